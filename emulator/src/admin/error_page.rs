//! The page that says why a request was refused.

use axum::response::Response;
use http::StatusCode;

use crate::admin::html;

/// A page with the reason.
pub(crate) fn error_page(status: StatusCode, sentence: &str) -> Response {
    let back = r#"<nav><a href="/">All operations</a></nav>"#;
    html::page(status, "Request refused", Some(sentence), back, None)
}
