//! The fields of a credential file. An error names the file and the field, and never shows a value.

use std::{fmt, time::Duration};

use super::{
    guarded_http::{GuardedHttp, token_url},
    secret::Secret,
    token::TokenError,
};
use crate::google::{
    answers::proto_json::{NotProtoJson, Object},
    connections::proxy::HttpsProxy,
    universe_domain::UniverseDomain,
};

/// What every kind of credential needs to request tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenRequest<'a> {
    /// Scopes of the tokens.
    pub scopes: &'a [String],
    /// Limit for one request.
    pub limit: Duration,
    /// The proxy on the way to Google's token servers.
    pub proxy: Option<&'a HttpsProxy>,
    /// The universe of the calls.
    pub universe: &'a UniverseDomain,
}

/// The fields of one JSON object in a file. An empty string counts as absent.
pub(super) struct Fields<'a> {
    file: &'a str,
    within: String,
    object: Object<'a>,
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl<'a> Fields<'a> {
    /// The fields of a whole file. `file` is its name in messages.
    pub const fn new(file: &'a str, object: Object<'a>) -> Self {
        Self {
            file,
            within: String::new(),
            object,
        }
    }

    /// The name of the file in messages.
    pub fn file(&self) -> &str {
        self.file
    }

    /// An error about a field.
    pub fn wrong(&self, field: &str, what: impl fmt::Display) -> TokenError {
        TokenError::new(format!(
            "the credential file {}: field \"{}{field}\" {what}",
            self.file, self.within
        ))
    }

    /// Whether the field exists.
    pub fn has(&self, field: &str) -> bool {
        self.object.raw(field).is_some()
    }

    /// A required string.
    pub fn required(&self, field: &str) -> Result<String, TokenError> {
        self.optional(field)?
            .ok_or_else(|| self.wrong(field, "is missing or empty"))
    }

    /// An optional string.
    pub fn optional(&self, field: &str) -> Result<Option<String>, TokenError> {
        let text = self.object.string(field);
        let text = text.map_err(|_| self.wrong(field, "must be a string"))?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// A required string that is never shown.
    pub fn secret(&self, field: &str) -> Result<Secret, TokenError> {
        Ok(Secret::new(self.required(field)?))
    }

    /// A list of strings; absent is empty.
    pub fn strings(&self, field: &str) -> Result<Vec<String>, TokenError> {
        self.object.raw(field).map_or(Ok(Vec::new()), |raw| {
            serde_json::from_str(raw.get())
                .map_err(|_| self.wrong(field, "must be a list of strings"))
        })
    }

    /// A whole number; absent is none.
    pub fn number(&self, field: &str) -> Result<Option<u64>, TokenError> {
        let read = |raw: &serde_json::value::RawValue| {
            raw.get()
                .parse()
                .map_err(|_| self.wrong(field, "must be a whole number"))
        };
        self.object.raw(field).map(read).transpose()
    }

    /// The names and values of an object of strings; absent is empty.
    pub fn pairs(&self, field: &str) -> Result<Vec<(String, String)>, TokenError> {
        let Some(fields) = self.object(field)? else {
            return Ok(Vec::new());
        };
        let pair = |key: &str| Ok((key.to_owned(), fields.required(key)?));
        fields.object.keys().map(pair).collect()
    }

    /// An object; absent is none.
    pub fn object(&self, field: &str) -> Result<Option<Fields<'a>>, TokenError> {
        let wrong = |error: NotProtoJson| self.wrong(field, format!("must be an object ({error})"));
        let object = self.object.object(field).map_err(wrong)?;
        Ok(object.map(|object| Fields {
            file: self.file,
            within: format!("{}{field}.", self.within),
            object,
        }))
    }

    /// The address of a token server; `default` if it is absent and there is one.
    pub fn token_server(
        &self,
        field: &str,
        default: Option<&str>,
        request: TokenRequest<'_>,
    ) -> Result<GuardedHttp, TokenError> {
        let text = match (self.optional(field)?, default) {
            (Some(text), _) => text,
            (None, Some(default)) => default.to_owned(),
            (None, None) => self.required(field)?,
        };
        let url = token_url(&text).map_err(|what| self.wrong(field, what))?;
        GuardedHttp::new(url, request.limit, request.proxy).map_err(|why| {
            TokenError::new(format!(
                "cannot set up TLS for the credential file {}: {why}",
                self.file
            ))
        })
    }
}
