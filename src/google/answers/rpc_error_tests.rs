use super::*;
use proptest::prelude::*;

const TOKEN: &str = "ya29.c.b0Aaekm1K_very-secret-and-long";

fn read(http_status: u16, body: &str) -> CallError {
    let answer = ErrorResponse {
        http_status,
        retry_after: None,
        body: body.as_bytes(),
    };
    read_error(answer, SystemTime::UNIX_EPOCH, &[TOKEN])
}

fn read_after(retry_after: &str, body: &str) -> Option<Duration> {
    let answer = ErrorResponse {
        http_status: 429,
        retry_after: Some(retry_after),
        body: body.as_bytes(),
    };
    // Sun, 06 Nov 1994 08:49:37 GMT
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    read_error(answer, now, &[]).retry_after
}

#[test]
fn the_status_string_decides() {
    for kind in error_table::TABLE
        .iter()
        .filter(|row| row.code.is_some())
        .map(|row| row.kind)
    {
        let body = format!(
            r#"{{"error":{{"code":400,"message":"m","status":"{}"}}}}"#,
            kind.name()
        );
        let error = read(400, &body);
        assert_eq!(
            (error.kind, error.message.as_str(), error.http_status),
            (kind, "m", Some(400))
        );
    }
    let odd = read(503, r#"{"error":{"code":503,"status":"OVERLOADED"}}"#);
    assert_eq!(
        (odd.kind, odd.message.as_str()),
        (ErrorKind::Unavailable, "OVERLOADED")
    );
    let odd = read(400, r#"{"error":{"code":400,"status":"OVERLOADED"}}"#);
    assert_eq!(odd.kind, ErrorKind::Unknown);
}

#[test]
fn numbers_have_the_names_of_code_proto() {
    for (code, name) in [
        (1, "CANCELLED"),
        (5, "NOT_FOUND"),
        (9, "FAILED_PRECONDITION"),
        (16, "UNAUTHENTICATED"),
        (17, "CODE_17"),
        (-1, "CODE_-1"),
    ] {
        assert_eq!(code_name(code), name);
    }
}

#[test]
fn a_list_of_one_error_is_unwrapped() {
    assert_eq!(
        read(404, r#" [{"error":{"status":"NOT_FOUND"}}]"#).kind,
        ErrorKind::NotFound
    );
    for body in [
        "[]",
        r#"[{"error":{"status":"NOT_FOUND"}},{"error":{"status":"NOT_FOUND"}}]"#,
        r#"[[{"error":{"status":"NOT_FOUND"}}]]"#,
    ] {
        assert_eq!(read(404, body).kind, ErrorKind::NotServed, "{body}");
    }
}

/// The older form: no `status`, but reasons.
#[test]
fn reasons_of_the_older_form_decide() {
    for (http_status, reason, kind) in [
        (401, "authError", ErrorKind::Unauthenticated),
        (403, "forbidden", ErrorKind::PermissionDenied),
        (403, "accessNotConfigured", ErrorKind::PermissionDenied),
        (403, "quotaExceeded", ErrorKind::ResourceExhausted),
        (403, "rateLimitExceeded", ErrorKind::ResourceExhausted),
        (403, "userRateLimitExceeded", ErrorKind::ResourceExhausted),
        (403, "dailyLimitExceeded", ErrorKind::ResourceExhausted),
        (404, "notFound", ErrorKind::NotFound),
        (412, "conditionNotMet", ErrorKind::FailedPrecondition),
        (429, "rateLimitExceeded", ErrorKind::ResourceExhausted),
        (501, "notImplemented", ErrorKind::Unimplemented),
        (503, "backendError", ErrorKind::Unavailable),
        // A reason that nobody knows: only the number is left.
        (403, "surprise", ErrorKind::PermissionDenied),
        (400, "surprise", ErrorKind::Unrecognised),
        (404, "surprise", ErrorKind::NotServed),
    ] {
        let body = format!(
            r#"{{"error":{{"code":{http_status},"message":"m","errors":["text",{{"domain":"global","reason":"{reason}"}}]}}}}"#
        );
        let error = read(http_status, &body);
        let found = (error.kind, error.message.as_str());
        assert_eq!(found, (kind, "m"), "{http_status} {reason}");
        let reason = match reason {
            "accessNotConfigured" => "SERVICE_DISABLED",
            other => other,
        };
        assert_eq!(error.reason.as_deref(), Some(reason));
    }
    // Another code than the HTTP number: not Google's.
    let other = r#"{"error":{"code":7,"errors":[{"reason":"notFound"}]}}"#;
    assert_eq!(read(404, other).kind, ErrorKind::NotServed);
    // The name decides before the reason.
    let both =
        r#"{"error":{"code":403,"status":"RESOURCE_EXHAUSTED","errors":[{"reason":"forbidden"}]}}"#;
    assert_eq!(read(403, both).kind, ErrorKind::ResourceExhausted);
}

/// JSON that names neither a status nor a reason, and what is no JSON.
#[test]
fn what_only_a_number_says() {
    for (http_status, json, other) in [
        (400, ErrorKind::Unrecognised, ErrorKind::Unrecognised),
        (401, ErrorKind::Unauthenticated, ErrorKind::Unrecognised),
        (403, ErrorKind::PermissionDenied, ErrorKind::Unrecognised),
        (404, ErrorKind::NotServed, ErrorKind::NotServed),
        (405, ErrorKind::Unrecognised, ErrorKind::Unrecognised),
        (409, ErrorKind::Unrecognised, ErrorKind::Unrecognised),
        (429, ErrorKind::ResourceExhausted, ErrorKind::Unrecognised),
        (500, ErrorKind::Internal, ErrorKind::Unavailable),
        (501, ErrorKind::Unavailable, ErrorKind::Unavailable),
        (503, ErrorKind::Unavailable, ErrorKind::Unavailable),
        (504, ErrorKind::DeadlineExceeded, ErrorKind::Unavailable),
    ] {
        for body in [
            r#"{"error":{"code":0,"message":"m"}}"#,
            r#"{"message":"no Route matched with those values"}"#,
            r#"{"error":"invalid_grant"}"#,
            r#"{"error":{"status":"Not Found","message":"m"}}"#,
            "{}",
        ] {
            assert_eq!(read(http_status, body).kind, json, "{http_status} {body}");
        }
        for body in ["<html>Error", "", "{\"error\"", "\u{feff}{}"] {
            assert_eq!(read(http_status, body).kind, other, "{http_status} {body}");
        }
    }
}

#[test]
fn a_method_that_is_not_found_is_no_operation_that_is_not_found() {
    for (message, kind) in [
        ("Method not found.", ErrorKind::MethodNotFound),
        ("Operation not found.", ErrorKind::NotFound),
    ] {
        let body =
            format!(r#"{{"error":{{"code":404,"message":"{message}","status":"NOT_FOUND"}}}}"#);
        assert_eq!(read(404, &body).kind, kind);
    }
}

/// Never the error with it.
#[test]
fn a_detail_that_cannot_be_read_is_left_out() {
    for (details, retry_after) in [
        (r#"["text",7,null]"#, None),
        (r#""text""#, None),
        (
            r#"[{"@type":"x/google.rpc.RetryInfo","retryDelay":{"seconds":"34"}}]"#,
            Some(34),
        ),
        (
            r#"["text",{"@type":"x/google.rpc.RetryInfo","retryDelay":{"seconds":34,"nanos":0}}]"#,
            Some(34),
        ),
        (
            r#"[{"@type":"x/google.rpc.RetryInfo","retryDelay":"soon"}]"#,
            None,
        ),
        (
            r#"[{"@type":7},{"@type":"x/google.rpc.RetryInfo","retryDelay":"34s"}]"#,
            Some(34),
        ),
    ] {
        let body = format!(
            r#"{{"error":{{"code":"x","message":5,"status":"RESOURCE_EXHAUSTED","details":{details}}}}}"#
        );
        let error = read(429, &body);
        assert_eq!(error.kind, ErrorKind::ResourceExhausted, "{details}");
        let found = error.retry_after.map(|after| after.as_secs());
        assert_eq!(found, retry_after, "{details}");
    }
}

#[test]
fn what_is_not_googles_json_says_nothing_of_the_operation() {
    for (body, said) in [
        ("", "HTTP 404 with an empty body"),
        (
            "<html><title>Error 404</title>",
            "(it is not JSON): <html><title>Error 404",
        ),
        (
            r#"{"error":"invalid_grant"}"#,
            "HTTP 404: the JSON contains no Google error",
        ),
        (r#"{"error":{"code":404,"message":"gone"}}"#, "gone"),
        (
            r#"{"error":{"status":5}}"#,
            "the error names neither a status nor a reason",
        ),
        (
            r#"{"error":{"status":"NOT_FOUND","status":"OK"}}"#,
            "HTTP 404: the JSON contains no Google error",
        ),
        (r#"{"error":{"status":"NOT_FOUND""#, "ends too early"),
        (
            r#"{"message":"no route"}"#,
            "the JSON contains no Google error",
        ),
    ] {
        let error = read(404, body);
        assert_eq!(error.kind, ErrorKind::NotServed, "{body}");
        assert!(error.message.contains(said), "{body}: {}", error.message);
    }
    let broken = ErrorResponse {
        http_status: 404,
        retry_after: None,
        body: b"{\"error\":{\"status\":\"NOT_FOUND\",\"message\":\"\xff\"}}",
    };
    assert_eq!(
        read_error(broken, SystemTime::UNIX_EPOCH, &[]).kind,
        ErrorKind::NotServed
    );
}

#[test]
fn details_say_what_cures_it() {
    let error = read(
        429,
        r#"{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED","details":[
            {"@type":"type.googleapis.com/google.rpc.Help","links":[]},
            {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED","domain":"googleapis.com",
             "metadata":{"consumer":"projects/1","quota_metric":"q","service":"dialogflow.googleapis.com","quota_limit":"L"}},
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"},
            {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SECOND"}]}}"#,
    );
    assert_eq!(error.kind, ErrorKind::ResourceExhausted);
    assert_eq!(error.reason.as_deref(), Some("RATE_LIMIT_EXCEEDED"));
    assert_eq!(error.domain.as_deref(), Some("googleapis.com"));
    let keys: Vec<_> = error.metadata.keys().map(String::as_str).collect();
    assert_eq!(keys, ["consumer", "quota_metric", "service"]);
    assert_eq!(error.retry_after, Some(Duration::from_millis(1500)));
}

#[test]
fn the_longer_wait_counts() {
    let none = r#"{"error":{"status":"RESOURCE_EXHAUSTED"}}"#;
    let two = r#"{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"@type":"x/google.rpc.RetryInfo","retryDelay":"2s"}]}}"#;
    for (header, body, seconds) in [
        ("5", none, Some(5)),
        ("5", two, Some(5)),
        ("1", two, Some(2)),
        ("Sun, 06 Nov 1994 08:50:37 GMT", none, Some(60)),
        ("Sun, 06 Nov 1994 08:50:37 GMT", "<html>", Some(60)),
        ("Sun, 06 Nov 1994 08:48:37 GMT", none, Some(0)),
        ("99999999999999999999999999", none, Some(u64::MAX)),
        ("soon", none, None),
        ("-1", none, None),
        ("", two, Some(2)),
    ] {
        assert_eq!(
            read_after(header, body),
            seconds.map(Duration::from_secs),
            "{header}"
        );
    }
}

#[test]
fn an_echoed_token_is_removed_everywhere() {
    let body = format!(
        r#"{{"error":{{"status":"UNAUTHENTICATED","message":"bad {TOKEN}","details":[{{"@type":"x/google.rpc.ErrorInfo","reason":"{TOKEN}","domain":"{TOKEN}","metadata":{{"service":"{TOKEN}"}}}}]}}}}"#
    );
    for body in [
        body.clone(),
        body.replace("UNAUTHENTICATED", TOKEN),
        format!("<p>{TOKEN}"),
        format!("{}{TOKEN}", "x".repeat(MAX_QUOTE - 5)),
    ] {
        let shown = format!("{:?}", read(401, &body));
        assert!(!shown.contains("ya29"), "{shown}");
    }
}

#[test]
fn json_that_is_no_error_of_google_is_not_quoted() {
    for body in [
        r#"{"message":"bad \u0079a29.c.b0Aaekm1K_very-secret-and-long"}"#,
        r#" ["opaque-secret-1234567890"]"#,
        r#"{"access_token":"opaque-secret-1234567890""#,
        r#""opaque-secret-1234567890""#,
    ] {
        let message = read(502, body).message;
        assert!(
            message.starts_with("HTTP 502") && !message.contains("secret"),
            "{message}"
        );
    }
}

proptest! {
    #[test]
    fn no_body_panics_or_grows(body in proptest::collection::vec(any::<u8>(), 0..400), status in 400u16..600) {
        let answer = ErrorResponse { http_status: status, retry_after: None, body: &body };
        let error = read_error(answer, SystemTime::UNIX_EPOCH, &[]);
        prop_assert!(error.message.len() <= 400);
        prop_assert!(!error.message.chars().any(char::is_control));
    }
}
