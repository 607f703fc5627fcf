//! The answers of token servers: OAuth 2.0 (RFC 6749 sections 5.1 and 5.2, RFC 8693) and IAM Credentials'
//! GenerateAccessTokenResponse (google/iam/credentials/v1/common.proto).

use jiff::Timestamp;
use std::time::Duration;

use super::guarded_http::GuardedResponse;
use crate::google::{
    answers::proto_json::{NotProtoJson, Object},
    clean::{clean, cut, quote},
    identity::token::Token,
};

/// Longest piece of a server's error that a message quotes, in bytes.
const MAX_QUOTE: usize = 300;

/// A token and its lifetime, counted from the request.
#[derive(Clone, Debug)]
pub struct FetchedToken {
    /// The token.
    pub token: Token,
    /// The lifetime that the server gives; never zero, but possibly absurdly long.
    pub life: Duration,
}

/// Reads an OAuth answer: `access_token` and `expires_in`, or an error. `secrets` are the texts that were sent: the answer may contain
/// them.
///
/// # Errors
/// With the reason, without any of the secrets.
pub fn read_oauth(answer: &GuardedResponse, secrets: &[&str]) -> Result<FetchedToken, String> {
    let read = |object: &Object<'_>| -> Result<(Option<String>, Option<Duration>), NotProtoJson> {
        let life = match object.raw("expires_in") {
            None => None,
            Some(raw) => Some(seconds(raw.get())?),
        };
        // RFC 6749, section 7.1: a token of a type that is not understood must not be used.
        if let Some(kind) = object.string("token_type")?
            && !kind.eq_ignore_ascii_case("Bearer")
        {
            return Err(NotProtoJson::new("token_type is not Bearer"));
        }
        Ok((object.string("access_token")?, life))
    };
    fetched(answer, secrets, read)
}

/// Reads IAM Credentials' answer: `accessToken` and `expireTime`. `asked` is the requested lifetime: the result is
/// never longer, even if the clocks differ.
///
/// # Errors
/// As [`read_oauth`].
pub fn read_generated(
    answer: &GuardedResponse,
    asked: Duration,
    now: Timestamp,
    secrets: &[&str],
) -> Result<FetchedToken, String> {
    let read = |object: &Object<'_>| -> Result<(Option<String>, Option<Duration>), NotProtoJson> {
        let life = match object.string("expireTime")? {
            None => None,
            Some(text) => {
                let end: Timestamp = text
                    .parse()
                    .map_err(|_| NotProtoJson::new("expireTime is not a timestamp"))?;
                let left = u64::try_from(end.duration_since(now).as_secs()).unwrap_or(0);
                Some(Duration::from_secs(left).min(asked))
            }
        };
        Ok((object.string("accessToken")?, life))
    };
    fetched(answer, secrets, read)
}

fn fetched(
    answer: &GuardedResponse,
    secrets: &[&str],
    read: impl FnOnce(&Object<'_>) -> Result<(Option<String>, Option<Duration>), NotProtoJson>,
) -> Result<FetchedToken, String> {
    if answer.status != 200 {
        return Err(refusal(answer, secrets));
    }
    // Nothing is quoted from a successful answer: an unreadable answer may still contain a token.
    let not_a_token = |why: String| format!("its answer is not a token response: {why}");
    let object = Object::from_body(&answer.body).map_err(|error| not_a_token(error.to_string()))?;
    let (token, life) = read(&object).map_err(|error| not_a_token(error.to_string()))?;
    let token = token.ok_or_else(|| not_a_token("it contains no token".to_owned()))?;
    let life =
        life.ok_or_else(|| not_a_token("it does not say how long the token is valid".to_owned()))?;
    if life.is_zero() {
        return Err("the token has already expired (check this machine's clock)".to_owned());
    }
    let token = Token::new(&token).map_err(|error| error.to_string())?;
    Ok(FetchedToken { token, life })
}

/// Whole seconds, as a number or a string of digits. A value that does not fit becomes the maximum.
fn seconds(raw: &str) -> Result<Duration, NotProtoJson> {
    let digits = raw.trim_matches('"');
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NotProtoJson::new("expires_in is not a number of seconds"));
    }
    Ok(Duration::from_secs(digits.parse().unwrap_or(u64::MAX)))
}

/// What an answer other than `200 OK` says, cleaned and short. Nothing is quoted from an answer below 400: it may contain a valid
/// token.
pub(super) fn refusal(answer: &GuardedResponse, secrets: &[&str]) -> String {
    let status = answer.status;
    let object = Object::from_body(&answer.body).ok();
    let said = match object.and_then(|object| said(&object)) {
        _ if status < 400 => String::new(),
        Some(said) => cut(&clean(&said, secrets), MAX_QUOTE),
        None if answer.body.trim_ascii_start().starts_with(b"<") => "an HTML page".to_owned(),
        None => quote(&answer.body, secrets, MAX_QUOTE),
    };
    if said.is_empty() {
        format!("HTTP {status}")
    } else {
        format!("HTTP {status}: {said}")
    }
}

/// The code and the sentence of OAuth's or Google's JSON.
fn said(object: &Object<'_>) -> Option<String> {
    let (code, sentence) = match object.object("error") {
        Ok(Some(error)) => (error.string("status").ok()?, error.string("message").ok()?),
        _ => (
            object.string("error").ok()?,
            object.string("error_description").ok()?,
        ),
    };
    match (code, sentence) {
        (Some(code), Some(sentence)) => Some(format!("{code}: {sentence}")),
        (code, sentence) => code.or(sentence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> GuardedResponse {
        GuardedResponse {
            status,
            body: bytes::Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    #[test]
    fn lives_are_whole_seconds_and_never_overflow() {
        for (expires_in, life) in [
            ("3599", 3599),
            ("\"3599\"", 3599),
            ("3599,\"token_type\":\"bearer\"", 3599),
            ("18446744073709551615", u64::MAX),
            ("99999999999999999999999999", u64::MAX),
        ] {
            let body = format!(r#"{{"access_token":"a","expires_in":{expires_in}}}"#);
            let fetched = read_oauth(&answer(200, &body), &[]).unwrap();
            assert_eq!(fetched.life, Duration::from_secs(life));
        }
        for wrong in ["-1", "1.5", "1e3", "\"\"", "true", "{}"] {
            let body = format!(r#"{{"access_token":"secret","expires_in":{wrong}}}"#);
            let error = read_oauth(&answer(200, &body), &[]).unwrap_err();
            assert!(
                error.contains("expires_in") && !error.contains("secret"),
                "{error}"
            );
        }
        for (body, said) in [
            (r#"{"access_token":"a","expires_in":0}"#, "already expired"),
            (r#"{"access_token":"a"}"#, "how long"),
            (
                r#"{"access_token":"a","expires_in":1,"token_type":"mac"}"#,
                "token_type is not Bearer",
            ),
            (r#"{"expires_in":1}"#, "no token"),
            (r#"{"access_token":"a b","expires_in":1}"#, "in a header"),
            (
                r#"{"access_token":"a","access_token":"b","expires_in":1}"#,
                "twice",
            ),
            ("\"a\"", "not a token response"),
            ("", "not a token response"),
        ] {
            let error = read_oauth(&answer(200, body), &[]).unwrap_err();
            assert!(error.contains(said), "{body}: {error}");
        }
    }

    #[test]
    fn an_expire_time_is_not_believed_beyond_what_was_asked_for() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let hour = Duration::from_secs(3600);
        for (end, life) in [
            ("2026-01-01T00:10:00Z", Some(600)),
            ("2026-01-01T01:00:00.5Z", Some(3600)),
            ("9999-01-01T00:00:00Z", Some(3600)),
            ("2026-01-01T00:00:00Z", None),
            ("2025-01-01T00:00:00Z", None),
            ("tomorrow", None),
        ] {
            let body = format!(r#"{{"accessToken":"a","expireTime":"{end}"}}"#);
            let read = read_generated(&answer(200, &body), hour, now, &[]);
            assert_eq!(read.ok().map(|f| f.life.as_secs()), life, "{end}");
        }
    }

    #[test]
    fn refusals_say_what_the_server_says_and_no_secret() {
        for (status, body, said) in [
            (
                400,
                r#"{"error":"invalid_grant","error_description":"The token 1//secret-refresh is bad"}"#,
                "HTTP 400: invalid_grant: The token [token removed] is bad",
            ),
            (
                403,
                r#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#,
                "HTTP 403: PERMISSION_DENIED: no",
            ),
            (
                400,
                r#"{"error":"invalid_request"}"#,
                "HTTP 400: invalid_request",
            ),
            (502, "<html>1//secret-refresh", "HTTP 502: an HTML page"),
            (500, "", "HTTP 500"),
            (
                201,
                r#"{"access_token":"opaque-secret-1234567890"}"#,
                "HTTP 201",
            ),
            (204, "opaque-secret-1234567890", "HTTP 204"),
            (400, r#"{"message":"bad 1\/\/secret-refresh"}"#, "HTTP 400"),
            (400, "\u{feff} {\"message\":\"\\u0065yJhbGci", "HTTP 400"),
            (400, r#"["opaque-secret-1234567890"]"#, "HTTP 400"),
            (400, r#""opaque-secret-1234567890""#, "HTTP 400"),
            (400, ")]}'\n{\"token\":\"1\\/\\/secret-refresh", "HTTP 400"),
            (
                400,
                "bad token 1%2f%2Fsecret-refresh",
                "HTTP 400: bad token [token removed]",
            ),
            (
                403,
                "plain 1//secret-refresh",
                "HTTP 403: plain [token removed]",
            ),
        ] {
            let secrets = ["1//secret-refresh", "1%2F%2Fsecret-refresh"];
            assert_eq!(refusal(&answer(status, body), &secrets), said, "{body}");
        }
    }
}
