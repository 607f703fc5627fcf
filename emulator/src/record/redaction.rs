//! Removes secrets from recorded requests: tokens, keys and assertions.

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use crate::record::authorization::Authorization;

/// Replaces a secret.
pub const HIDDEN: &str = "(hidden)";

/// Only the length of a longer body is recorded.
const LONGEST_BODY: usize = 4096;

/// The headers of a request, by their names in lower case, as in HTTP/2, and in alphabetical order. Headers with the same name
/// are joined by commas. It is a single text, since the record may hold a million requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedactedHeaders(Box<str>);

impl RedactedHeaders {
    /// The headers of a request with this authorization, which is recorded by the token's ID.
    pub(crate) fn of(headers: &HeaderMap, authorization: &Authorization) -> Self {
        let mut lines: Vec<String> = headers
            .keys()
            .map(|name| {
                let values: Vec<_> = headers
                    .get_all(name)
                    .iter()
                    .map(|value| String::from_utf8_lossy(value.as_bytes()))
                    .collect();
                let value = match name {
                    &header::AUTHORIZATION => credentials(&values.join(", "), authorization),
                    name if is_secret(name.as_str()) => HIDDEN.to_owned(),
                    _ => values.join(", "),
                };
                format!("{name}: {value}")
            })
            .collect();
        lines.sort_unstable();
        Self(lines.join("\n").into())
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(|line| line.split_once(": "))
    }

    /// The value of a header, by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }
}

impl Serialize for RedactedHeaders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A query or a form, with the values of secret fields hidden.
pub(crate) fn pairs(text: &str) -> String {
    let shown = text.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    });
    shown.collect::<Vec<_>>().join("&")
}

/// A form or a JSON object with its secret fields hidden; the length of any other body; `None` for an empty one.
pub(crate) fn body(request: &Request<Bytes>) -> Option<String> {
    let body = request.body();
    if body.is_empty() {
        return None;
    }
    let length = || format!("({} bytes)", body.len());
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let shown = match std::str::from_utf8(body) {
        Ok(text) if text.len() > LONGEST_BODY => None,
        Ok(text) if kind.starts_with("application/x-www-form-urlencoded") => Some(pairs(text)),
        Ok(text) => object(text),
        Err(_) => None,
    };
    Some(shown.unwrap_or_else(length))
}

fn object(text: &str) -> Option<String> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(text) else {
        return None;
    };
    for (name, value) in &mut fields {
        if is_secret(name) {
            *value = HIDDEN.into();
        }
    }
    Some(Value::Object(fields).to_string())
}

fn credentials(sent: &str, authorization: &Authorization) -> String {
    let scheme = sent.split_once(' ').map(|(scheme, _)| scheme);
    match (scheme, authorization) {
        (Some(scheme), Authorization::Token(id)) => format!("{scheme} {id}"),
        (Some(scheme), _) if scheme.eq_ignore_ascii_case("bearer") => format!("{scheme} {HIDDEN}"),
        _ => HIDDEN.to_owned(),
    }
}

/// Whether a field with this name may be a secret. It is better to hide too much than too little.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let harmless = [
        "pagetoken",
        "page_token",
        "subject_token_type",
        "requested_token_type",
    ];
    let telling = [
        "authorization",
        "cookie",
        "token",
        "key",
        "secret",
        "password",
        "assertion",
        "chain",
    ];
    !harmless.contains(&name.as_str()) && telling.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        assert_eq!(
            pairs("alt=json&access_token=s&pageToken=p&%24x&key=s"),
            "alt=json&access_token=(hidden)&pageToken=p&%24x&key=(hidden)"
        );
        let request = |kind: &str, body: &'static str| {
            let request = Request::builder().header("content-type", kind);
            request.body(Bytes::from_static(body.as_bytes())).unwrap()
        };
        let form = request(
            "application/x-www-form-urlencoded",
            "subject_token=s&subject_token_type=jwt&scope=a",
        );
        assert_eq!(
            super::body(&form).as_deref(),
            Some("subject_token=(hidden)&subject_token_type=jwt&scope=a")
        );
        let json = request(
            "application/json",
            r#"{"scope": ["a"], "refreshToken": "s"}"#,
        );
        assert_eq!(
            super::body(&json).as_deref(),
            Some(r#"{"refreshToken":"(hidden)","scope":["a"]}"#)
        );
        let text = request("text/plain", "s3cret");
        assert_eq!(super::body(&text).as_deref(), Some("(6 bytes)"));
        assert_eq!(super::body(&request("text/plain", "")), None);
    }

    #[test]
    fn headers_stand_in_order_with_the_token_s_id() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-b", "2"),
            ("authorization", "Bearer s3cret"),
            ("x-goog-api-key", "s3cret"),
            ("x-b", "3"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let known = RedactedHeaders::of(&headers, &Authorization::Token("token-1".into()));
        assert_eq!(
            serde_json::to_string(&known).unwrap(),
            r#"{"authorization":"Bearer token-1","x-b":"2, 3","x-goog-api-key":"(hidden)"}"#
        );
        let unknown = RedactedHeaders::of(&headers, &Authorization::Unknown);
        assert_eq!(unknown.get("authorization"), Some("Bearer (hidden)"));
        headers.insert("authorization", "s3cret".parse().unwrap());
        let odd = RedactedHeaders::of(&headers, &Authorization::Unknown);
        assert_eq!(odd.get("authorization"), Some("(hidden)"));
    }
}
