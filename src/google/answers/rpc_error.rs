//! Google's JSON errors: `{"error": {"code", "message", "status", "details"}}`, or a list of one such.
//!
//! Sources: AIP-193; google/rpc/{code,status,error_details}.proto. The `status` string decides what an error is, in the older form
//! the reason in `errors[]`. Where there is neither, the HTTP number sets the pace, but never an outcome.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use super::{
    answer::{CallError, ErrorKind},
    error_table,
    proto_json::{self, NotProtoJson, Object},
};
use crate::google::clean::{clean, quote};

/// What of an HTTP answer says how a call failed.
#[derive(Clone, Copy, Debug)]
pub struct ErrorResponse<'a> {
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
/// If the body is not JSON, the HTTP status decides: unavailable, a path that is not served, else [`ErrorKind::Unrecognised`]. A status
/// name that google.rpc does not know becomes [`ErrorKind::Unknown`]. A date in `Retry-After` is counted from `now`.
pub fn read_error(answer: ErrorResponse<'_>, now: SystemTime, secrets: &[&str]) -> CallError {
    let waits = answer
        .retry_after
        .and_then(|header| read_retry_after(header, now));
    match read_json(answer, secrets) {
        Ok(error) => CallError {
            http_status: Some(answer.http_status),
            retry_after: error.retry_after.max(waits),
            ..error
        },
        Err(wrong) => CallError {
            kind: match error_table::of_http_status(answer.http_status) {
                // A server in trouble, or one that does not serve the path, needs no JSON to say so.
                ErrorKind::NotServed => ErrorKind::NotServed,
                _ if answer.http_status >= 500 => ErrorKind::Unavailable,
                _ => ErrorKind::Unrecognised,
            },
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
    let quote = quote(body, secrets, MAX_QUOTE);
    let mut error = unrecognised_and_unquoted(http_status, wrong);
    if body.iter().all(u8::is_ascii_whitespace) {
        let status = http_status
            .map(|status| format!("HTTP {status} "))
            .unwrap_or_default();
        error.message =
            format!("{status}with an empty body, which is not an answer of a Google API");
    } else if !quote.is_empty() {
        error.message = format!("{}: {quote}", error.message);
    }
    error
}

/// The same, of whose body nothing may be quoted.
pub fn unrecognised_and_unquoted(http_status: Option<u16>, wrong: &NotProtoJson) -> CallError {
    let status = http_status
        .map(|status| format!("HTTP {status} "))
        .unwrap_or_default();
    let message = format!("{status}is not an answer of a Google API ({wrong})");
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

fn read_json(answer: ErrorResponse<'_>, secrets: &[&str]) -> Result<CallError, NotProtoJson> {
    let body = answer.body;
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
    Ok(match outer.object("error") {
        Ok(Some(status)) => read_status(&status, answer.http_status, secrets),
        // Some gateway's own JSON.
        _ => only_a_number(answer.http_status, "the JSON contains no Google error"),
    })
}

/// What an answer means whose JSON says nothing but its HTTP status does.
fn only_a_number(http_status: u16, wrong: &str) -> CallError {
    error(
        error_table::of_http_status(http_status),
        None,
        format!("HTTP {http_status}: {wrong}"),
    )
}

/// The error in Google's newer or older form. What cannot be read of it is left out, never the error with it.
fn read_status(status: &Object<'_>, http_status: u16, secrets: &[&str]) -> CallError {
    let text = |object: &Object<'_>, key: &str| object.string(key).ok().flatten();
    let name = text(status, "status");
    let older_reason = older_reason(status, http_status);
    let message = text(status, "message").unwrap_or_default();
    let mut error = only_a_number(http_status, "the error names neither a status nor a reason");
    let named = name.as_deref().and_then(error_table::of_rpc_name);
    let meant = older_reason
        .as_deref()
        .and_then(error_table::of_older_reason);
    // A name that a later version of google.rpc may have: the number says more, if it says anything.
    let later_name = name.as_deref().is_some_and(is_in_style);
    let unknown = later_name && error.kind == ErrorKind::Unrecognised;
    if let Some(kind) = named
        .or(meant)
        .or_else(|| unknown.then_some(ErrorKind::Unknown))
    {
        error.kind = kind;
    }
    if let Some(name) = name.as_deref().or(older_reason.as_deref()) {
        error.message = clean(name, secrets);
    }
    if error.kind == ErrorKind::NotFound && message.trim() == METHOD_NOT_FOUND {
        error.kind = ErrorKind::MethodNotFound;
    }
    if !message.is_empty() {
        error.message = clean(&message, secrets);
    }
    error.reason = older_reason.map(|reason| clean(error_table::newer_reason(&reason), secrets));
    let mut has_info = false;
    for detail in status.objects_that_can_be_read("details") {
        let type_url = text(&detail, "@type").unwrap_or_default();
        match type_url.rsplit('/').next() {
            Some("google.rpc.ErrorInfo") if !std::mem::replace(&mut has_info, true) => {
                read_error_info(&detail, &mut error, secrets);
            }
            Some("google.rpc.RetryInfo") => {
                error.retry_after = error.retry_after.max(retry_delay(&detail));
            }
            _ => {}
        }
    }
    error
}

/// What Google's front ends answer for a method that a service does not have.
const METHOD_NOT_FOUND: &str = "Method not found.";

/// The first reason of the older form that says something: `error.errors[].reason`. Its `code` is the HTTP number: any other
/// JSON that has such a list is not Google's.
fn older_reason(status: &Object<'_>, http_status: u16) -> Option<String> {
    if status.int32("code").ok()? != i32::from(http_status) {
        return None;
    }
    let errors = status.objects_that_can_be_read("errors");
    let mut reasons = errors
        .iter()
        .filter_map(|error| error.string("reason").ok().flatten());
    let first = reasons.next()?;
    let mut all = std::iter::once(first.clone()).chain(reasons);
    Some(
        all.find(|reason| error_table::of_older_reason(reason).is_some())
            .unwrap_or(first),
    )
}

/// How long RetryInfo asks to wait: as ProtoJSON has durations, or as an object with `seconds` and `nanos`.
fn retry_delay(detail: &Object<'_>) -> Option<Duration> {
    if let Ok(Some(text)) = detail.string("retryDelay") {
        return proto_json::duration(&text);
    }
    let delay = detail.object("retryDelay").ok().flatten()?;
    // More than an int32 of them is as good as the most.
    let seconds = delay.int32("seconds").unwrap_or(i32::MAX);
    let nanos = delay.int32("nanos").unwrap_or(0);
    let part = |number: i32| u64::try_from(number).unwrap_or(0);
    Some(Duration::from_secs(part(seconds)) + Duration::from_nanos(part(nanos)))
}

fn read_error_info(info: &Object<'_>, error: &mut CallError, secrets: &[&str]) {
    let text = |object: &Object<'_>, key: &str| {
        let text = object.string(key).ok().flatten()?;
        Some(clean(&text, secrets))
    };
    error.reason = text(info, "reason").or_else(|| error.reason.take());
    error.domain = text(info, "domain");
    if let Ok(Some(metadata)) = info.object("metadata") {
        for key in METADATA_KEYS {
            if let Some(value) = text(&metadata, key) {
                error.metadata.insert(key.to_owned(), value);
            }
        }
    }
}

/// Whether a status name is one as google.rpc has them. Anything else is some library's own making, such as `Not Found`.
fn is_in_style(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
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
