//! Errors of Google's clients, taken apart as their users would.

use google_cloud_gax::error::{Error, rpc::StatusDetails};
use serde_json::{Map, Value, json};

/// What a user of the client can learn from an error.
pub(crate) fn error_json(error: &Error) -> Value {
    let status = error.status();
    let mut found = Map::new();
    let mut add = |name: &str, value: Value| found.insert(name.to_owned(), value);
    add("class", class(error).into());
    add("httpStatus", json!(error.http_status_code()));
    add("code", json!(status.map(|status| status.code.name())));
    add("message", json!(status.map(|status| &status.message)));
    add("text", error.to_string().into());
    for detail in status.iter().flat_map(|status| &status.details) {
        match detail {
            StatusDetails::ErrorInfo(info) => {
                add("reason", info.reason.as_str().into());
                add("domain", info.domain.as_str().into());
                add("metadata", json!(info.metadata));
            }
            StatusDetails::RetryInfo(info) => _ = add("retryDelay", json!(info.retry_delay)),
            _ => {}
        }
    }
    found.into()
}

/// By its questions; the type is one.
fn class(error: &Error) -> &'static str {
    let answers = [
        (error.is_timeout(), "timeout"),
        (error.is_exhausted(), "exhausted"),
        (error.is_deserialization(), "deserialization"),
        (error.is_authentication(), "authentication"),
        (error.is_transport(), "transport"),
        (error.status().is_some(), "service"),
    ];
    let fits = answers.iter().find(|(yes, _)| *yes);
    fits.map_or("other", |(_, name)| name)
}
