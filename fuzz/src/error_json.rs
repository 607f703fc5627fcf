//! The JSON of an error: no body breaks the reader, decides against the `status` string, or shows a token.

use std::time::SystemTime;

use opcancel::google::{
    answer::{CallError, ErrorKind},
    error_table,
    rpc_error::{ErrorResponse, read_error},
};
use serde_json::Value;

use crate::cleaned_text::{self, SENT};

/// What ErrorInfo's metadata may keep.
const METADATA: [&str; 5] = ["permission", "consumer", "service", "quota_metric", "uid"];

/// Checks any bytes as the body of an error, with some HTTP statuses.
pub fn check(data: &[u8]) {
    for http_status in [400, 403, 404, 429, 501, 503] {
        let answer = ErrorResponse {
            http_status,
            retry_after: None,
            body: data,
        };
        let error = read_error(answer, SystemTime::UNIX_EPOCH, &[SENT]);
        assert_eq!(error.http_status, Some(http_status));
        assert!(!error.not_sent);
        check_texts(&error);
        check_kind(data, &error);
    }
}

fn check_texts(error: &CallError) {
    assert!(!error.message.is_empty());
    cleaned_text::check(&error.message, 1024);
    for text in [&error.reason, &error.domain].into_iter().flatten() {
        cleaned_text::check(text, 1024);
    }
    for (key, value) in &error.metadata {
        assert!(METADATA.contains(&key.as_str()), "{key}");
        cleaned_text::check(value, 1024);
    }
}

/// A status that google.rpc knows decides, whatever the HTTP status is.
fn check_kind(data: &[u8], error: &CallError) {
    let value: Value = serde_json::from_slice(data).unwrap_or_default();
    let status = value["error"]["status"].as_str();
    let Some(kind) = status.and_then(error_table::of_rpc_name) else {
        return;
    };
    let kinds = match kind {
        // A front end answers so for a method that the service does not have.
        ErrorKind::NotFound => vec![ErrorKind::NotFound, ErrorKind::MethodNotFound],
        kind => vec![kind],
    };
    // Another parser keeps the last of two equal keys; this one refuses both.
    let refused = error.message.contains("is not an answer of a Google API");
    let no_google_error = error.message.contains("contains no Google error");
    assert!(
        kinds.contains(&error.kind) || refused || no_google_error,
        "{error:?}"
    );
}
