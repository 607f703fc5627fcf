//! Refusals of the admin address: `{"error": ...}` below `/admin/`, a page elsewhere. Also the extractors that refuse in that
//! form.

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, Uri, request::Parts};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::admin::error_page::error_page;

/// Longest body of a request, in bytes.
pub(crate) const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The refusal of a request to this path, with the reason.
pub(crate) fn refusal(path: &str, status: StatusCode, why: &str) -> Response {
    if path.starts_with("/admin/") {
        (status, Json(json!({"error": why}))).into_response()
    } else {
        error_page(status, why)
    }
}

/// The answer to an unknown path.
pub(crate) async fn not_found(uri: Uri) -> Response {
    let why = format!("{} does not exist", uri.path());
    refusal(uri.path(), StatusCode::NOT_FOUND, &why)
}

/// The answer to a method that a path does not support.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let why = format!("{method} is not allowed for {}", uri.path());
    refusal(uri.path(), StatusCode::METHOD_NOT_ALLOWED, &why)
}

/// The parameters of the query.
pub(crate) struct QueryParams<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => {
                let path = parts.uri.path();
                Err(refusal(path, error.status(), &error.body_text()))
            }
        }
    }
}

/// The whole body.
pub(crate) struct Body(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let path = request.uri().path().to_owned();
        match Bytes::from_request(request, state).await {
            Ok(body) => Ok(Self(body)),
            Err(error) => {
                let why = match error.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => "the body is longer than 8 MiB".to_owned(),
                    _ => error.body_text(),
                };
                Err(refusal(&path, error.status(), &why))
            }
        }
    }
}
