//! Bodies of the kind application/x-www-form-urlencoded.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Request, header};

/// The fields of a form; of two with one name the last counts.
#[derive(Debug, Default)]
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads the body of a request; `None` if it is not a form.
    pub(crate) fn read(request: &Request<Bytes>) -> Option<Self> {
        Self::of(request.headers(), request.body())
    }

    /// The same for headers and body.
    pub(crate) fn of(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        if !kind.starts_with("application/x-www-form-urlencoded") {
            return None;
        }
        let text = std::str::from_utf8(body).ok()?;
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
        Some(Self(pairs.collect()))
    }

    /// A field; an absent one is empty.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The requested scopes.
    pub(crate) fn scopes(&self) -> Vec<String> {
        let scopes = self.get("scope").split_whitespace();
        scopes.map(str::to_owned).collect()
    }
}
