//! Google's JSON errors: `{"error": {"code", "message", "status", "details"}}`, or a list of one such.
//!
//! Sources: AIP-193; google/rpc/{code,status,error_details}.proto. The `status` string decides what an error is, never the
//! HTTP number: 400 and 409 stand for several.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use super::{
    answer::{CallError, ErrorKind},
    clean::{clean, quote},
    error_table,
    proto_json::{self, NotProtoJson, Object},
};

/// What of an HTTP answer says how a call failed.
#[derive(Clone, Copy, Debug)]
pub struct FailedAnswer<'a> {
    /// The HTTP status, 400 or above.
    pub http_status: u16,
    /// The `Retry-After` header.
    pub retry_after: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
}

/// Keys of ErrorInfo's metadata that tell what to do; others may hold anything.
const METADATA_KEYS: [&str; 5] = ["permission", "consumer", "service", "quota_metric", "uid"];

/// Longest piece of a foreign body that a message quotes, in bytes.
const MAX_QUOTE: usize = 160;

/// The name of a google.rpc code, `CODE_<n>` for a number that google.rpc does not know.
pub fn code_name(code: i32) -> String {
    error_table::of_code(code).map_or_else(|| format!("CODE_{code}"), |kind| kind.name().to_owned())
}

/// The error of an answer with an HTTP status of 400 or above. Texts in the result are cleaned.
///
/// A body that is not Google's JSON gives [`ErrorKind::Unrecognised`]; a status name that google.rpc does not know gives
/// [`ErrorKind::Unknown`]. `now` is what an HTTP date in `Retry-After` is counted from.
pub fn read_error(answer: FailedAnswer<'_>, now: SystemTime, secrets: &[&str]) -> CallError {
    let waits = answer
        .retry_after
        .and_then(|header| read_retry_after(header, now));
    match read_json(answer.body, secrets) {
        Ok(error) => CallError {
            http_status: Some(answer.http_status),
            retry_after: error.retry_after.max(waits),
            ..error
        },
        Err(wrong) => CallError {
            retry_after: waits,
            ..unrecognised(Some(answer.http_status), answer.body, &wrong, secrets)
        },
    }
}

/// An answer of the endpoint that says nothing about the operation, with the beginning of its body unless that is JSON.
pub fn unrecognised(
    http_status: Option<u16>,
    body: &[u8],
    wrong: &NotProtoJson,
    secrets: &[&str],
) -> CallError {
    let status = http_status
        .map(|status| format!("HTTP {status} "))
        .unwrap_or_default();
    let quote = quote(body, secrets, MAX_QUOTE);
    let message = if body.iter().all(u8::is_ascii_whitespace) {
        format!("{status}with an empty body, which is not an answer of a Google API")
    } else if quote.is_empty() {
        format!("{status}is not an answer of a Google API ({wrong})")
    } else {
        format!("{status}is not an answer of a Google API ({wrong}): {quote}")
    };
    error(ErrorKind::Unrecognised, http_status, message)
}

/// A failure without details.
pub fn error(kind: ErrorKind, http_status: Option<u16>, message: String) -> CallError {
    CallError {
        kind,
        http_status,
        reason: None,
        domain: None,
        metadata: BTreeMap::new(),
        message,
        not_sent: false,
        retry_after: None,
    }
}

fn read_json(body: &[u8], secrets: &[&str]) -> Result<CallError, NotProtoJson> {
    let starts_list = body
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| *byte == b'[');
    let outer = if starts_list {
        let mut list = proto_json::objects_from_body(body)?;
        match (list.pop(), list.is_empty()) {
            (Some(only), true) => only,
            _ => return Err(NotProtoJson::new("the JSON is not a list of one error")),
        }
    } else {
        Object::from_body(body)?
    };
    let status = outer
        .object("error")?
        .ok_or_else(|| NotProtoJson::new("the JSON has no error"))?;
    read_status(&status, secrets)
}

fn read_status(status: &Object<'_>, secrets: &[&str]) -> Result<CallError, NotProtoJson> {
    let name = status
        .string("status")?
        .ok_or_else(|| NotProtoJson::new("the error has no status"))?;
    status.int32("code")?;
    let message = status.string("message")?.unwrap_or_default();
    let mut error = error(kind(&name), None, clean(&message, secrets));
    if error.message.is_empty() {
        error.message = clean(&name, secrets);
    }
    for detail in status.objects("details")? {
        let type_url = detail.string("@type")?.unwrap_or_default();
        match type_url.rsplit('/').next() {
            Some("google.rpc.ErrorInfo") if error.reason.is_none() => {
                read_error_info(&detail, &mut error, secrets)?;
            }
            Some("google.rpc.RetryInfo") => {
                let delay = detail.string("retryDelay")?;
                error.retry_after = error
                    .retry_after
                    .max(delay.as_deref().and_then(proto_json::duration));
            }
            _ => {}
        }
    }
    Ok(error)
}

fn read_error_info(
    info: &Object<'_>,
    error: &mut CallError,
    secrets: &[&str],
) -> Result<(), NotProtoJson> {
    let text = |text: String| clean(&text, secrets);
    error.reason = info.string("reason")?.map(text);
    error.domain = info.string("domain")?.map(text);
    if let Some(metadata) = info.object("metadata")? {
        for key in METADATA_KEYS {
            if let Some(value) = metadata.string(key)? {
                error.metadata.insert(key.to_owned(), text(value));
            }
        }
    }
    Ok(())
}

fn kind(name: &str) -> ErrorKind {
    error_table::of_rpc_name(name).unwrap_or(ErrorKind::Unknown)
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, which saturate, or a date, which is no wait if it has passed.
fn read_retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
#[path = "rpc_error_tests.rs"]
mod tests;
