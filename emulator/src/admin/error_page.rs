//! The page that says why a request was refused.

use axum::response::Response;
use http::StatusCode;

use crate::admin::html;

/// A page that says why nothing was done.
pub(crate) fn error_page(status: StatusCode, sentence: &str) -> Response {
    let back = r#"<nav><a href="/">All operations</a></nav>"#;
    html::page(status, "Not done", Some(sentence), back, None)
}
