//! How long a server asks to wait: `Retry-After`, and RetryInfo in the body.

use std::time::{Duration, SystemTime};

use opcancel::google::rpc_error::{ErrorResponse, read_error};
use serde_json::json;

/// 2026-01-01, as all answers of the check.
const NOW: Duration = Duration::from_secs(1_767_225_600);

/// Checks any text as the header and as the duration of RetryInfo.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let header = asked(Some(text), b"");
    assert_eq!(header, expected_of_header(text), "{text:?}");
    let detail = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": text});
    let error =
        json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [detail]}});
    let body = error.to_string();
    let info = asked(None, body.as_bytes());
    if let Some(info) = info {
        assert!(text.ends_with('s') && text.starts_with(|c: char| c.is_ascii_digit()));
        let digits = text.trim_end_matches('s').split('.').next().unwrap();
        assert_eq!(info.as_secs(), digits.parse().unwrap_or(u64::MAX));
    }
    // The longer of the two counts.
    assert_eq!(asked(Some(text), body.as_bytes()), header.max(info));
}

fn asked(header: Option<&str>, body: &[u8]) -> Option<Duration> {
    let answer = ErrorResponse {
        http_status: 429,
        retry_after: header,
        body,
    };
    read_error(answer, SystemTime::UNIX_EPOCH + NOW, &[]).retry_after
}

/// RFC 9110, 10.2.3: seconds or a date.
fn expected_of_header(text: &str) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(since.saturating_sub(NOW))
}
