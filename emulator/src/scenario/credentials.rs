//! The token services of a scenario: the credentials that they accept, and the principals that they issue tokens for.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    duration_text::{self, DurationSchema},
    protocol::json_web_token::KeySet,
};

/// The token services of a scenario. The default accepts every well-formed subject token, lets everybody impersonate every
/// service account, and has no users and no keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Credentials {
    /// The identity providers that STS accepts. Without any, it accepts every audience and checks no signature.
    pub providers: Vec<Provider>,
    /// Who may impersonate which service account. Without any, everybody may impersonate each.
    pub impersonation: Vec<MayImpersonate>,
    /// Users whose refresh tokens the OAuth server accepts.
    pub users: Vec<User>,
    /// Service accounts whose assertions the OAuth server accepts.
    pub service_accounts: Vec<ServiceAccountKeys>,
    /// Lifetime of the tokens of STS and of the OAuth server.
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
    /// Its full name, as in the parameter `audience`.
    pub audience: String,
    /// `iss` of the subject tokens that it accepts.
    pub issuer: String,
    /// `aud` of these tokens. If absent, its full name, with or without a leading `https:`.
    #[serde(default)]
    pub allowed_audiences: Vec<String>,
    /// The issuer's public keys. If absent, no signature is checked.
    #[serde(default)]
    pub jwks: Option<KeySet>,
}

/// The permission to impersonate a service account (`iam.serviceAccounts.getAccessToken`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MayImpersonate {
    /// The caller.
    pub principal: String,
    /// The service account's e-mail address.
    pub service_account: String,
}

/// A user, identified by a refresh token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// The refresh token itself.
    pub refresh_token: String,
    /// Its principal.
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
