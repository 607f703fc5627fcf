//! Impersonation: tokens of a service account for an identity that may impersonate it.
//!
//! Source: google/iam/credentials/v1/iamcredentials.proto (`generateAccessToken`).

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::json;
use std::{sync::Arc, time::Duration};

use super::{
    credential::{Credential, FetchFailed},
    credential_fields::{Fields, TokenRequest},
    guarded_http::GuardedHttp,
    principal_name::is_account,
    token_answer::{FetchedToken, read_generated},
};
use crate::google::identity::token::{Token, TokenError};

/// The only scope that a token for IAM Credentials needs.
pub(super) const IAM_SCOPE: &str = "https://www.googleapis.com/auth/iam";

const URL_FIELD: &str = "service_account_impersonation_url";

/// How long a generated token is to live: an hour, or what the file says (10 minutes to 12 hours).
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime(Duration);

impl Default for Lifetime {
    fn default() -> Self {
        Self(Duration::from_secs(3600))
    }
}

impl Lifetime {
    /// This long. The caller keeps within Google's bounds.
    pub const fn new(lifetime: Duration) -> Self {
        Self(lifetime)
    }

    /// Reads it from a field; absent is the default.
    ///
    /// # Errors
    /// If it is not within Google's bounds.
    pub fn read(fields: &Fields<'_>, field: &str) -> Result<Self, TokenError> {
        match fields.number(field)? {
            None => Ok(Self::default()),
            Some(seconds) if (600..=43_200).contains(&seconds) => {
                Ok(Self(Duration::from_secs(seconds)))
            }
            Some(_) => Err(fields.wrong(field, "must be from 600 to 43200 seconds")),
        }
    }
}

/// One service account, and where its tokens are generated.
#[derive(Debug)]
pub(super) struct Impersonation {
    server: GuardedHttp,
    account: String,
    delegates: Vec<String>,
    scopes: Vec<String>,
    lifetime: Lifetime,
}

impl Impersonation {
    /// Reads `service_account_impersonation_url` and `delegates`.
    ///
    /// # Errors
    /// If the URL names no service account.
    pub fn new(
        fields: &Fields<'_>,
        lifetime: Lifetime,
        request: TokenRequest<'_>,
    ) -> Result<Self, TokenError> {
        let server = fields.token_server(URL_FIELD, None, request)?;
        let account = account(server.url()).ok_or_else(|| {
            fields.wrong(URL_FIELD, "must be https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/EMAIL:generateAccessToken")
        })?;
        let delegates = fields.strings("delegates")?;
        let delegates = delegates.into_iter().map(|given| {
            let email = given.rsplit('/').next().unwrap_or_default().to_owned();
            let full = format!("projects/-/serviceAccounts/{email}");
            match is_account(&email) && (given == email || given == full) {
                true => Ok(full),
                false => Err(fields.wrong(
                    "delegates",
                    "must contain email addresses of service accounts",
                )),
            }
        });
        Ok(Self {
            account,
            delegates: delegates.collect::<Result<_, _>>()?,
            scopes: request.scopes.to_vec(),
            lifetime,
            server,
        })
    }

    /// Of a service account, without delegates. `server` has the URL of `generateAccessToken` for the account.
    pub const fn of_account(
        server: GuardedHttp,
        account: String,
        scopes: Vec<String>,
        lifetime: Lifetime,
    ) -> Self {
        Self {
            server,
            account,
            delegates: Vec::new(),
            scopes,
            lifetime,
        }
    }

    /// The service account's e-mail address.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// A token of the service account. `caller` is the token of the identity that impersonates it.
    ///
    /// # Errors
    /// With the server and the reason in words.
    pub async fn token(&self, caller: &Token) -> Result<FetchedToken, String> {
        let Lifetime(lifetime) = self.lifetime;
        let mut body = json!({
            "scope": self.scopes,
            "lifetime": format!("{}s", lifetime.as_secs()),
        });
        if let (false, Some(fields)) = (self.delegates.is_empty(), body.as_object_mut()) {
            fields.insert("delegates".to_owned(), json!(self.delegates));
        }
        let named = |why: String| {
            format!(
                "impersonating {} at {}: {why}",
                self.account,
                self.server.host()
            )
        };
        let answer = self.server.post_json(caller, &body).await.map_err(named)?;
        let now = Timestamp::now();
        read_generated(&answer, lifetime, now, &[caller.secret()]).map_err(named)
    }
}

/// The e-mail address in the path of a `generateAccessToken` URL.
fn account(url: &str) -> Option<String> {
    let (before, account) = url.strip_suffix(":generateAccessToken")?.rsplit_once('/')?;
    // Some tools write the @ as URLs may.
    let account = account.replace("%40", "@");
    let good =
        before.ends_with("/serviceAccounts") && is_account(&account) && account.contains('@');
    good.then_some(account)
}

/// `impersonated_service_account` files, as `gcloud auth application-default login --impersonate-service-account` writes
/// them.
#[derive(Debug)]
pub(super) struct ImpersonatedServiceAccount {
    file: String,
    source: Arc<dyn Credential>,
    impersonation: Impersonation,
}

impl ImpersonatedServiceAccount {
    /// Reads the fields of the file. `source` is the credential of `source_credentials`.
    ///
    /// # Errors
    /// If it can never work.
    pub fn new(
        fields: &Fields<'_>,
        source: Arc<dyn Credential>,
        request: TokenRequest<'_>,
    ) -> Result<Self, TokenError> {
        Ok(Self {
            file: fields.file().to_owned(),
            source,
            impersonation: Impersonation::new(fields, Lifetime::default(), request)?,
        })
    }
}

impl Credential for ImpersonatedServiceAccount {
    fn fetch(&self) -> BoxFuture<'_, Result<FetchedToken, FetchFailed>> {
        Box::pin(async {
            let source = self.source.fetch().await?;
            Ok(self.impersonation.token(&source.token).await?)
        })
    }

    fn principal(&self) -> Option<String> {
        Some(self.impersonation.account().to_owned())
    }

    fn source(&self) -> String {
        format!("the impersonated_service_account file {}", self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_names_the_account() {
        const BASE: &str = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/";
        for (url, email) in [
            (
                format!("{BASE}a@p.iam.gserviceaccount.com:generateAccessToken"),
                Some("a@p.iam.gserviceaccount.com"),
            ),
            (
                format!("{BASE}a@p.iam.gserviceaccount.com:generateIdToken"),
                None,
            ),
            (format!("{BASE}:generateAccessToken"), None),
            (format!("{BASE}a%40p:generateAccessToken"), Some("a@p")),
            (format!("{BASE}a%2fp:generateAccessToken"), None),
            (
                "https://iamcredentials.googleapis.com/a@p:generateAccessToken".to_owned(),
                None,
            ),
        ] {
            assert_eq!(account(&url).as_deref(), email, "{url}");
        }
    }
}
