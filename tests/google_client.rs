//! The Operations client against a server with scripted faults.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/raw_http.rs"]
mod raw_http;

use opcancel::google::{
    answer::{CallError, ErrorKind, Operation},
    catalogue::{Target, resolve},
    client::{ClientConfig, MAX_ANSWER, MAX_OPERATION, OperationsClient, USER_AGENT},
    endpoint::EndpointOverrides,
    operation_name::OperationName,
    request_reason::RequestReason,
    tls,
    token::Token,
};
use raw_http::{RawHttp, Reply, answer};
use std::time::{Duration, SystemTime};

const TOKEN: &str = "ya29.c.b0Aaekm1K_very-secret-and-long";
const NAME: &str = "projects/ex.com:p/locations/eu/operations/o-1";

struct Caller {
    client: OperationsClient,
    target: Target,
}

impl Caller {
    fn new(endpoint: &str, config: ClientConfig) -> Self {
        tls::install_provider();
        let name = OperationName::parse(NAME).unwrap();
        let overriding = format!("dialogflow={endpoint}").parse().unwrap();
        let overrides = EndpointOverrides::new([overriding]);
        Self {
            client: OperationsClient::new(config).unwrap(),
            target: resolve("dialogflow", None, &name, &overrides).unwrap(),
        }
    }

    async fn get(&self) -> Result<Operation, CallError> {
        let (reason, token) = asking();
        let now = SystemTime::now();
        self.client.get(&self.target, &reason, &token, now).await
    }

    async fn cancel(&self) -> Result<(), CallError> {
        let (reason, token) = asking();
        let now = SystemTime::now();
        self.client.cancel(&self.target, &reason, &token, now).await
    }
}

fn asking() -> (RequestReason, Token) {
    (
        RequestReason::new("prod", "ns", "stop", "uid-1"),
        Token::new(TOKEN).unwrap(),
    )
}

async fn server(reply: &str) -> (RawHttp, Caller) {
    let reply = reply.to_owned();
    let server = RawHttp::start(move |_, _| Reply::Close(reply.clone())).await;
    let caller = Caller::new(&server.url(), ClientConfig::default());
    (server, caller)
}

fn quick() -> ClientConfig {
    ClientConfig {
        call_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(200),
        ..ClientConfig::default()
    }
}

#[tokio::test]
async fn a_get_says_who_asks_and_reads_the_operation() {
    let server = RawHttp::start(|_, _| {
        Reply::Keep(answer(
            "200 OK",
            r#"{"name":"projects/123/locations/eu/operations/o-1","done":true}"#,
        ))
    })
    .await;
    let config = ClientConfig {
        quota_project: Some("payer".to_owned()),
        ..ClientConfig::default()
    };
    let operation = Caller::new(&server.url(), config).get().await.unwrap();
    assert!(operation.done);
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let mut lines = requests[0].lines();
    assert_eq!(
        lines.next(),
        Some("GET /v2/projects/ex.com%3Ap/locations/eu/operations/o-1 HTTP/1.1")
    );
    let headers: Vec<_> = lines.collect();
    for header in [
        format!("authorization: bearer {}", TOKEN.to_lowercase()),
        format!("user-agent: {USER_AGENT}"),
        "x-goog-request-reason: opcancel prod ns/stop uid-1".to_owned(),
        "x-goog-user-project: payer".to_owned(),
    ] {
        assert!(headers.contains(&header.as_str()), "{header}: {headers:?}");
    }
}

#[tokio::test]
async fn a_cancel_is_an_empty_post_that_says_so() {
    let (server, caller) = server(&answer("200 OK", "{}")).await;
    caller.cancel().await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(
        requests[0].starts_with(
            "POST /v2/projects/ex.com%3Ap/locations/eu/operations/o-1:cancel HTTP/1.1\n"
        )
    );
    assert_eq!(requests[0].matches("content-length: 0\n").count(), 1);
    assert!(!requests[0].contains("x-goog-user-project"));
}

#[tokio::test]
async fn answers_that_are_none_of_googles() {
    let (other, _) = server(&answer("200 OK", "{}")).await;
    let location = format!("302 Found\r\nlocation: {}/v2/x", other.url());
    for (reply, kind, said) in [
        (
            answer(&location, "{}"),
            ErrorKind::Unrecognised,
            "redirects are not followed",
        ),
        (
            answer("304 Not Modified", ""),
            ErrorKind::Unrecognised,
            "HTTP 304",
        ),
        (
            answer("411 Length Required", "<html>Error 411"),
            ErrorKind::Unrecognised,
            "HTTP 411 is not an answer",
        ),
        (
            answer("200 OK", "<html>"),
            ErrorKind::Unrecognised,
            "it is not JSON",
        ),
        (
            answer("200 OK", r#"[{"done":true}]"#),
            ErrorKind::Unrecognised,
            "another shape",
        ),
        (
            answer("200 OK", r#"{"done":true,"done":true}"#),
            ErrorKind::Unrecognised,
            "a key comes twice",
        ),
        (
            answer("404 Not Found", "Not Found"),
            ErrorKind::NotServed,
            "HTTP 404",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"done\"".to_owned(),
            ErrorKind::Network,
            "closed before the answer was complete",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"do".to_owned(),
            ErrorKind::Network,
            "127.0.0.1",
        ),
        (
            "SSH-2.0-x\r\n\r\n".to_owned(),
            ErrorKind::Network,
            "127.0.0.1",
        ),
        (String::new(), ErrorKind::Network, "127.0.0.1"),
    ] {
        let (asked, caller) = server(&reply).await;
        let error = caller.get().await.unwrap_err();
        assert!(error.message.contains(said), "{reply}: {}", error.message);
        assert_eq!(error.kind, kind, "{reply}");
        let cancel = caller.cancel().await.unwrap_err();
        assert_eq!(cancel.kind, kind, "{reply}");
        assert!(!cancel.not_sent, "it may have arrived: {reply}");
        assert_eq!(asked.requests().len(), 2, "one request a call: {reply}");
    }
    assert!(other.requests().is_empty(), "a redirect was followed");
}

/// How GET and cancel read a 2xx answer: a cancel request is accepted unless the answer is a JSON object with an error; a GET needs 200
/// with an operation.
#[tokio::test]
async fn successes_of_any_form() {
    for (reply, get, taken) in [
        (answer("200 OK", ""), "HTTP 200 with an empty body", true),
        (
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            "HTTP 204 with an empty body",
            true,
        ),
        (answer("202 Accepted", "{}"), "only 200", true),
        (
            answer("206 Partial Content", r#"{"done":true}"#),
            "only 200",
            true,
        ),
        (
            answer("200 OK", r#"{"done":"true"}"#),
            "done is not true or false",
            true,
        ),
        (
            answer("200 OK", r#"{"error":{"code":403}}"#),
            "an error although it is not done",
            false,
        ),
        (answer("200 OK", "<html>Sign in"), "it is not JSON", false),
    ] {
        let (_server, caller) = server(&reply).await;
        let error = caller.get().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unrecognised, "{reply}");
        assert!(error.message.contains(get), "{reply}: {}", error.message);
        let cancel = caller.cancel().await;
        assert_eq!(cancel.is_ok(), taken, "{reply}: {cancel:?}");
        if let Err(error) = cancel {
            assert_eq!(error.kind, ErrorKind::Unrecognised);
        }
    }
}

#[tokio::test]
async fn googles_errors_keep_their_details() {
    let body = r#"{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED"}}"#;
    let reply = answer("429 Too Many Requests\r\nretry-after: 7", body);
    let (_server, caller) = server(&reply).await;
    let error = caller.cancel().await.unwrap_err();
    assert_eq!(
        (
            error.kind,
            error.http_status,
            error.retry_after,
            error.message.as_str()
        ),
        (
            ErrorKind::ResourceExhausted,
            Some(429),
            Some(Duration::from_secs(7)),
            "Quota"
        )
    );
}

#[tokio::test]
async fn what_goes_on_for_ever_is_cut_off() {
    let too_long = |most: usize| format!("more than {most} bytes");
    for (head, get, cancel) in [
        (
            "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
            "HTTP 200 is not an answer of a Google API (the JSON has another shape)".to_owned(),
            too_long(MAX_ANSWER),
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n{\"done\":true,\"response\":{\"data\":\"".to_owned(),
            too_long(MAX_OPERATION),
            too_long(MAX_ANSWER),
        ),
        (
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{{\"name\":\"",
                MAX_OPERATION + 10
            ),
            too_long(MAX_OPERATION),
            too_long(MAX_ANSWER),
        ),
        (
            "HTTP/1.1 503 Unavailable\r\n\r\n".to_owned(),
            too_long(MAX_ANSWER),
            too_long(MAX_ANSWER),
        ),
    ] {
        let server = RawHttp::start(move |_, _| Reply::Flood(head.clone())).await;
        let caller = Caller::new(&server.url(), ClientConfig::default());
        for (error, said) in [
            (caller.get().await.unwrap_err(), get),
            (caller.cancel().await.unwrap_err(), cancel),
        ] {
            assert_eq!(error.kind, ErrorKind::Unrecognised);
            assert!(error.message.contains(&said), "{said}: {}", error.message);
        }
    }
}

/// A finished operation whose response is one text of this many bytes, in chunks of any size.
fn finished(bytes: usize) -> String {
    answer(
        "200 OK",
        &format!(
            r#"{{"name":"{NAME}","response":{{"@type":"a/b.C","data":"{}"}},"done":true}}"#,
            "QUJD".repeat(bytes / 4)
        ),
    )
}

#[tokio::test]
async fn large_operations_are_read_and_say_how_long_it_took() {
    for (bytes, large) in [(1000, false), (3 << 19, true), (50 << 20, true)] {
        let (asked, caller) = server(&finished(bytes)).await;
        let operation = caller.get().await.unwrap();
        assert!(operation.done && operation.has_response);
        assert_eq!(operation.response_type.as_deref(), Some("b.C"));
        assert_eq!(operation.reading_took.is_some(), large, "{bytes}");
        assert_eq!(asked.requests().len(), 1);
    }
}

#[tokio::test]
async fn large_answers_that_hang_hold_up_others_no_longer_than_allowed() {
    let begun = finished(3 << 20);
    let server = RawHttp::start(move |_, before| {
        if before < 2 {
            Reply::Hang(begun[..2 << 20].to_owned())
        } else {
            Reply::Keep(begun.clone())
        }
    })
    .await;
    let config = ClientConfig {
        idle_timeout: Duration::from_millis(200),
        ..ClientConfig::default()
    };
    let caller = Caller::new(&server.url(), config);
    let (first, second) = tokio::join!(caller.get(), caller.get());
    for hung in [first, second] {
        let error = hung.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout);
        assert!(
            error.message.ends_with("no further byte within 200ms"),
            "{}",
            error.message
        );
    }
    assert!(caller.get().await.unwrap().done);
}

#[tokio::test]
async fn an_answer_that_drips_is_ended() {
    let begun = "HTTP/1.1 200 OK\r\n\r\n{\"done\":true,\"response\":{\"data\":\"".to_owned();
    let server = RawHttp::start(move |_, _| Reply::Drip(begun.clone())).await;
    let config = ClientConfig {
        idle_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_millis(300),
        ..ClientConfig::default()
    };
    let error = Caller::new(&server.url(), config).get().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert!(
        error.message.ends_with("did not end within 300ms"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn the_operation_is_the_one_asked_for() {
    for (name, said) in [
        (
            r#""name":"projects/p/locations/us/operations/o-1","#,
            "another operation",
        ),
        (
            r#""name":"projects/p/locations/eu/operations/o-2","#,
            "another operation",
        ),
        ("", "has no name"),
    ] {
        let body = format!(r#"{{{name}"done":true}}"#);
        let (_server, caller) = server(&answer("200 OK", &body)).await;
        let error = caller.get().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unrecognised);
        assert!(error.message.contains(said), "{name}: {}", error.message);
    }
}

#[tokio::test]
async fn every_wait_ends() {
    for begun in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
    ] {
        let server = RawHttp::start(move |_, _| Reply::Hang(begun.to_owned())).await;
        let error = Caller::new(&server.url(), quick()).get().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout, "{begun}");
        assert!(error.message.ends_with("within 200ms"), "{}", error.message);
        let mut abandoned = server.abandoned.clone();
        abandoned.wait_for(|left| *left == 1).await.unwrap();
    }
}

#[tokio::test]
async fn an_echoed_token_goes_nowhere() {
    let json =
        format!(r#"{{"error":{{"status":"UNAUTHENTICATED","message":"bad token {TOKEN}"}}}}"#);
    let operation = format!(
        r#"{{"name":"projects/123/locations/eu/operations/o-1","done":true,"metadata":{{"@type":"x/{TOKEN}","state":"{TOKEN}"}},"response":{{"@type":"{TOKEN}"}},"error":{{"code":3,"message":"{TOKEN}"}}}}"#
    );
    for reply in [
        answer("401 Unauthorized", &json),
        answer("401 Unauthorized", &format!("<html>Bearer {TOKEN}")),
        answer("200 OK", &format!("Bearer {TOKEN}")),
        answer("200 OK", &operation),
    ] {
        let (_server, caller) = server(&reply).await;
        let shown = format!("{:?}", caller.get().await);
        assert!(shown.contains("[token removed]"), "{shown}");
        assert!(!shown.contains("ya29"), "{shown}");
    }
}

#[tokio::test]
async fn no_server_listens() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let gone = Caller::new(&url, ClientConfig::default());
    let error = gone.get().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Network);
    assert!(error.not_sent, "no connection stood");
    assert!(
        error.message.ends_with(": connection refused"),
        "{}",
        error.message
    );
    let error = gone
        .client
        .warm(&gone.target.endpoint, true)
        .await
        .unwrap_err();
    assert!(
        error.message.ends_with(": connection refused"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_post_is_sent_once_whatever_becomes_of_it() {
    // The first answers leave connections open. Then the server reads a POST and closes the connection.
    let server = RawHttp::start(|head, _| {
        if head.starts_with("POST") {
            Reply::Close(String::new())
        } else {
            Reply::Keep(answer(
                "200 OK",
                r#"{"name":"projects/123/locations/eu/operations/o-1"}"#,
            ))
        }
    })
    .await;
    let caller = Caller::new(&server.url(), ClientConfig::default());
    for _ in 0..2 {
        caller.get().await.unwrap();
    }
    assert_eq!(caller.cancel().await.unwrap_err().kind, ErrorKind::Network);
    let requests = server.requests();
    assert_eq!(
        requests
            .iter()
            .filter(|head| head.starts_with("POST"))
            .count(),
        1
    );
}

#[tokio::test]
async fn warming_shows_no_token() {
    let server = RawHttp::start(|_, _| {
        Reply::Keep("HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n".to_owned())
    })
    .await;
    let caller = Caller::new(&server.url(), ClientConfig::default());
    caller
        .client
        .warm(&caller.target.endpoint, true)
        .await
        .unwrap();
    let requests = server.requests();
    assert!(!requests.is_empty());
    for head in requests {
        assert!(head.starts_with("HEAD / HTTP/1.1"), "{head}");
        assert!(!head.contains("authorization"), "{head}");
    }
}

#[test]
fn a_quota_project_that_is_none_is_refused() {
    for bad in ["", "a b", "a\n", "ä"] {
        let config = ClientConfig {
            quota_project: Some(bad.to_owned()),
            ..ClientConfig::default()
        };
        let error = OperationsClient::new(config).unwrap_err().to_string();
        assert!(error.starts_with("--quota-project"), "{error}");
    }
}
