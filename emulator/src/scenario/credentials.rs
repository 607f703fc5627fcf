//! What a scenario says about Google's token services: whom they believe, and whom they give tokens for.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    duration_text::{self, DurationSchema},
    protocol::json_web_token::KeySet,
};

/// The token services of a scenario. The default believes every well-formed subject token and lets everybody impersonate
/// everybody; it knows no users and no keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Credentials {
    /// The identity providers that STS knows; none means any audience, and no signature is checked.
    pub providers: Vec<Provider>,
    /// Who may act as which service account; none means everybody as each.
    pub impersonation: Vec<MayImpersonate>,
    /// Users whose refresh tokens the OAuth server takes.
    pub users: Vec<User>,
    /// Service accounts whose assertions the OAuth server takes.
    pub service_accounts: Vec<ServiceAccountKeys>,
    /// Life of the tokens of STS and of the OAuth server.
    #[serde(with = "duration_text")]
    #[schemars(with = "DurationSchema")]
    pub expires_in: Duration,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            impersonation: Vec::new(),
            users: Vec::new(),
            service_accounts: Vec::new(),
            expires_in: Duration::from_secs(3599),
        }
    }
}

/// An OIDC provider of a workload identity pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    /// Its full name, as the parameter `audience` spells it.
    pub audience: String,
    /// `iss` of the subject tokens that it believes.
    pub issuer: String,
    /// `aud` of those; none means its full name, with or without `https:` before it.
    #[serde(default)]
    pub allowed_audiences: Vec<String>,
    /// The issuer's public keys; absent means that no signature is checked.
    #[serde(default)]
    pub jwks: Option<KeySet>,
}

/// Leave to act as a service account (`iam.serviceAccounts.getAccessToken`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MayImpersonate {
    /// Who.
    pub principal: String,
    /// As whom, an e-mail address.
    pub service_account: String,
}

/// A person, by the refresh token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// The refresh token itself.
    pub refresh_token: String,
    /// Whose it is.
    pub principal: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// A service account, and the public halves of its keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccountKeys {
    /// Its e-mail address.
    pub email: String,
    /// Its keys.
    pub jwks: KeySet,
}
