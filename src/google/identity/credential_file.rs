//! Credential files: JSON with a field `type`. What can never work is refused here, with the file, the field and what
//! would be right; the contents are never shown.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    authorized_user::AuthorizedUser,
    credential::Credential,
    external_account::ExternalAccount,
    guarded_http::{GuardedHttp, token_url},
    impersonation::ImpersonatedServiceAccount,
    secret::Secret,
    service_account::ServiceAccount,
};
use crate::google::{
    answers::proto_json::{NotProtoJson, Object},
    identity::token::TokenError,
};

const KINDS: &str =
    "external_account, impersonated_service_account, service_account or authorized_user";

/// The only universe whose hosts are in the catalogue.
const UNIVERSE: &str = "googleapis.com";

/// What every kind needs to ask for tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenRequest<'a> {
    /// Scopes of the tokens.
    pub scopes: &'a [String],
    /// Limit for one request.
    pub limit: Duration,
}

/// What a file says.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The credential itself.
    pub credential: Arc<dyn Credential>,
    /// `quota_project_id`
    pub quota_project: Option<String>,
}

/// Makes a credential of a file's contents. `name` is how messages call the file.
///
/// # Errors
/// If it can never work; the message names the file and the field.
pub(super) fn load(
    name: &str,
    text: &str,
    request: TokenRequest<'_>,
) -> Result<Loaded, TokenError> {
    let object = Object::from_body(text.as_bytes()).map_err(|error| {
        TokenError::new(format!(
            "the credential file {name} is not a JSON object: {error}"
        ))
    })?;
    let fields = Fields {
        file: name,
        within: String::new(),
        object,
    };
    let quota_project = fields.optional("quota_project_id")?;
    if let Some(project) = &quota_project
        && !project.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(fields.wrong("quota_project_id", "must be a project id or number"));
    }
    Ok(Loaded {
        credential: credential(&fields, request, true)?,
        quota_project,
    })
}

/// Makes a credential of one object; `impersonation` says whether it may be one that stands for another.
pub(super) fn credential(
    fields: &Fields<'_>,
    request: TokenRequest<'_>,
    impersonation: bool,
) -> Result<Arc<dyn Credential>, TokenError> {
    if let Some(universe) = fields.optional("universe_domain")?
        && universe != UNIVERSE
    {
        return Err(fields.wrong("universe_domain", format!("must be {UNIVERSE} or absent")));
    }
    Ok(match fields.required("type")?.as_str() {
        "external_account" => Arc::new(ExternalAccount::new(fields, request)?),
        "authorized_user" => Arc::new(AuthorizedUser::new(fields, request)?),
        "service_account" => Arc::new(ServiceAccount::new(fields, request)?),
        "impersonated_service_account" if impersonation => {
            Arc::new(ImpersonatedServiceAccount::new(fields, request)?)
        }
        "impersonated_service_account" => {
            return Err(fields.wrong(
                "type",
                "must not be impersonated_service_account again; use the field delegates",
            ));
        }
        _ => return Err(fields.wrong("type", format!("must be {KINDS}"))),
    })
}

/// The fields of one JSON object in a file, read one by one. An empty string counts as absent.
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
    /// How messages call the file.
    pub fn file(&self) -> &str {
        self.file
    }

    /// A complaint about a field.
    pub fn wrong(&self, field: &str, what: impl fmt::Display) -> TokenError {
        TokenError::new(format!(
            "the credential file {}: field \"{}{field}\" {what}",
            self.file, self.within
        ))
    }

    /// Whether a field is there at all.
    pub fn has(&self, field: &str) -> bool {
        self.object.raw(field).is_some()
    }

    /// A string that must be there.
    pub fn required(&self, field: &str) -> Result<String, TokenError> {
        self.optional(field)?
            .ok_or_else(|| self.wrong(field, "is missing or empty"))
    }

    /// A string that may be absent.
    pub fn optional(&self, field: &str) -> Result<Option<String>, TokenError> {
        let text = self.object.string(field);
        let text = text.map_err(|_| self.wrong(field, "must be a string"))?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// A string that must be there and is not to be shown.
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
        GuardedHttp::new(url, request.limit).map_err(|why| {
            TokenError::new(format!(
                "cannot set up TLS for the credential file {}: {why}",
                self.file
            ))
        })
    }
}

#[cfg(test)]
#[path = "credential_file_tests.rs"]
mod tests;
