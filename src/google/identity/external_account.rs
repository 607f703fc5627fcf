//! `external_account` files: workload identity federation (AIP-4117), on any cluster or cloud with OIDC, and fleets.

use futures::future::BoxFuture;

use super::{
    credential::{Credential, FetchFailed},
    credential_fields::{Fields, TokenRequest},
    impersonation::{IAM_SCOPE, Impersonation, Lifetime},
    principal_name::{is_workforce, pool_of_audience},
    sts::TokenExchange,
    subject_token::SubjectToken,
    token_answer::FetchedToken,
};
use crate::google::identity::token::TokenError;

/// Kinds of subject tokens that STS takes from files and URLs.
const SUBJECT_TOKEN_TYPES: [&str; 3] = [
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:id_token",
    "urn:ietf:params:oauth:token-type:saml2",
];

/// An identity from elsewhere, which Google exchanges for one of its own.
#[derive(Debug)]
pub(super) struct ExternalAccount {
    file: String,
    subject: SubjectToken,
    exchange: TokenExchange,
    impersonation: Option<Impersonation>,
}

impl ExternalAccount {
    /// Reads the fields of the file.
    ///
    /// # Errors
    /// If it can never work.
    pub fn new(fields: &Fields<'_>, request: TokenRequest<'_>) -> Result<Self, TokenError> {
        let audience = fields.required("audience")?;
        if pool_of_audience(&audience).is_none() {
            return Err(fields.wrong(
                "audience",
                "must be //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER (no https: before it), a workforce pool's provider, or identitynamespace:POOL:PROVIDER of a fleet",
            ));
        }
        let subject_token_type = fields.required("subject_token_type")?;
        if !SUBJECT_TOKEN_TYPES.contains(&subject_token_type.as_str()) {
            return Err(fields.wrong(
                "subject_token_type",
                format!("must be one of {}", SUBJECT_TOKEN_TYPES.join(", ")),
            ));
        }
        let workforce_project = fields.optional("workforce_pool_user_project")?;
        if workforce_project.is_some() && !is_workforce(&audience) {
            return Err(fields.wrong(
                "workforce_pool_user_project",
                "is only for workforce pools, and audience names another pool; remove it",
            ));
        }
        let source = fields
            .object("credential_source")?
            .ok_or_else(|| fields.wrong("credential_source", "is missing"))?;
        let impersonation = match fields.optional("service_account_impersonation_url")? {
            None => None,
            Some(_) => {
                let lifetime = match fields.object("service_account_impersonation")? {
                    Some(options) => Lifetime::read(&options, "token_lifetime_seconds")?,
                    None => Lifetime::default(),
                };
                Some(Impersonation::new(fields, lifetime, request)?)
            }
        };
        let client = match fields.optional("client_id")? {
            Some(id) => Some((id, fields.secret("client_secret")?)),
            None => None,
        };
        // A token that is only shown to IAM Credentials need not be good for more.
        let scope = match &impersonation {
            Some(_) => IAM_SCOPE.to_owned(),
            None => request.scopes.join(" "),
        };
        Ok(Self {
            file: fields.file().to_owned(),
            subject: SubjectToken::new(&source, request.limit)?,
            exchange: TokenExchange {
                server: fields.token_server("token_url", None, request)?,
                audience,
                subject_token_type,
                scope,
                workforce_project,
                client,
            },
            impersonation,
        })
    }
}

impl Credential for ExternalAccount {
    fn fetch(&self) -> BoxFuture<'_, Result<FetchedToken, FetchFailed>> {
        Box::pin(async {
            let subject = self.subject.read().await?;
            let own = self.exchange.exchange(&subject).await?;
            match &self.impersonation {
                Some(impersonation) => Ok(impersonation.token(&own.token).await?),
                None => Ok(own),
            }
        })
    }

    fn principal(&self) -> Option<String> {
        match &self.impersonation {
            Some(impersonation) => Some(impersonation.account().to_owned()),
            None => pool_of_audience(&self.exchange.audience),
        }
    }

    fn source(&self) -> String {
        format!("the external_account file {}", self.file)
    }
}
