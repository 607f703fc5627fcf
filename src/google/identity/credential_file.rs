//! Credential files: JSON with a field `type`. A file that can never work is refused. The error names the file, the field and what
//! is expected, and never shows the contents.

use std::sync::Arc;

use super::{
    authorized_user::AuthorizedUser,
    credential::Credential,
    credential_fields::{Fields, TokenRequest},
    external_account::ExternalAccount,
    impersonation::{IAM_SCOPE, ImpersonatedServiceAccount},
    service_account::ServiceAccount,
};
use crate::google::{answers::proto_json::Object, identity::token::TokenError};

const KINDS: &str =
    "external_account, impersonated_service_account, service_account or authorized_user";

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
    let fields = Fields::new(name, object);
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

/// Makes a credential from one object. `impersonation` says whether the type impersonated_service_account is allowed.
fn credential(
    fields: &Fields<'_>,
    request: TokenRequest<'_>,
    impersonation: bool,
) -> Result<Arc<dyn Credential>, TokenError> {
    let kind = fields.required("type")?;
    let universe = fields.optional("universe_domain")?;
    // An impersonated account is in the universe of its source, which is checked too.
    if universe.is_some() || kind != "impersonated_service_account" {
        let checked = request.universe.check(universe.as_deref());
        checked.map_err(|why| fields.wrong("universe_domain", format!("is {why}")))?;
    }
    Ok(match kind.as_str() {
        "external_account" => Arc::new(ExternalAccount::new(fields, request)?),
        "authorized_user" => Arc::new(AuthorizedUser::new(fields, request)?),
        "service_account" => Arc::new(ServiceAccount::new(fields, request)?),
        "impersonated_service_account" if impersonation => {
            let source = fields
                .object("source_credentials")?
                .ok_or_else(|| fields.wrong("source_credentials", "is missing"))?;
            let scopes = [IAM_SCOPE.to_owned()];
            let for_source = TokenRequest {
                scopes: &scopes,
                ..request
            };
            let source = credential(&source, for_source, false)?;
            Arc::new(ImpersonatedServiceAccount::new(fields, source, request)?)
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

#[cfg(test)]
#[path = "credential_file_tests.rs"]
mod tests;
