//! The metadata server beside us: who we are, and our tokens.
//!
//! Source: Google's documentation of the Compute Engine metadata server (`instance/service-accounts/default/...`).

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue};
use reqwest::Url;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    credential::{Credential, FetchFailed},
    guarded_http::{GuardedHttp, form_value},
    principal_name::{check_metadata, is_account},
    token_answer::{self, Fetched, read_oauth},
};
use crate::google::token::TokenError;

const HOST_VARIABLE: &str = "GCE_METADATA_HOST";
const DEFAULT_HOST: &str = "metadata.google.internal";
const ACCOUNT_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default";

/// The identity that a metadata server gives out. Who that is, is asked and checked before every token: nothing is asked
/// of Google by an identity that nobody chose.
#[derive(Debug)]
pub(super) struct MetadataServer {
    base: String,
    email: GuardedHttp,
    token: GuardedHttp,
    expect_principal: Option<String>,
    principal: Mutex<Option<String>>,
}

impl MetadataServer {
    /// Asks nobody yet. `host` is the value of `GCE_METADATA_HOST`; absent is Google's.
    ///
    /// # Errors
    /// If that is no host.
    pub fn new(
        host: Option<&str>,
        scopes: &[String],
        expect_principal: Option<String>,
        limit: Duration,
    ) -> Result<Self, TokenError> {
        let base = base(host.unwrap_or(DEFAULT_HOST)).ok_or_else(|| {
            TokenError::new(format!(
                "{HOST_VARIABLE} must be HOST[:PORT] of a metadata server, such as 169.254.169.254"
            ))
        })?;
        let scopes = form_value(&scopes.join(","));
        let http = |path: &str| {
            let url = format!("{base}{ACCOUNT_PATH}{path}");
            let url = Url::parse(&url).map_err(|error| TokenError::new(error.to_string()))?;
            GuardedHttp::new(url, limit).map_err(TokenError::new)
        };
        Ok(Self {
            email: http("/email")?,
            token: http(&format!("/token?scopes={scopes}"))?,
            base,
            expect_principal,
            principal: Mutex::default(),
        })
    }

    /// The e-mail address of the identity that tokens from here would have.
    async fn email(&self) -> Result<String, String> {
        let failed = |why: String| format!("it did not say who we are: {why}");
        let answer = self.email.get(headers()).await.map_err(failed)?;
        if answer.status != 200 {
            return Err(failed(token_answer::refusal(&answer, &[])));
        }
        let email = std::str::from_utf8(&answer.body).unwrap_or_default().trim();
        if is_account(email) {
            Ok(email.to_owned())
        } else {
            Err(failed("its answer is no e-mail address".to_owned()))
        }
    }
}

impl Credential for MetadataServer {
    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, FetchFailed>> {
        Box::pin(async {
            let email = self.email().await?;
            check_metadata(&email, self.expect_principal.as_deref())
                .map_err(FetchFailed::WrongIdentity)?;
            *self
                .principal
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(email);
            let answer = self.token.get(headers()).await?;
            Ok(read_oauth(&answer, &[])?)
        })
    }

    fn principal(&self) -> Option<String> {
        let principal = self.principal.lock();
        principal.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn source(&self) -> String {
        format!("the metadata server {}", self.base)
    }

    fn explain(&self, why: &str) -> String {
        format!(
            "no token from {}: {why} (on GKE: does this node pool have Workload Identity, and is the pod's ServiceAccount bound to a Google identity? Elsewhere: set GOOGLE_APPLICATION_CREDENTIALS)",
            self.source()
        )
    }
}

fn headers() -> HeaderMap {
    let google = HeaderValue::from_static("Google");
    HeaderMap::from_iter([(http::HeaderName::from_static("metadata-flavor"), google)])
}

/// Base URL without a slash at its end; none if `host` is more or less than a host.
fn base(host: &str) -> Option<String> {
    let base = format!("http://{host}");
    let url = Url::parse(&base).ok()?;
    (url.as_str() == format!("{base}/") && url.username().is_empty()).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_hosts_are_refused() {
        for host in ["", "a b", "user@host", "host/path", "host?x", "http://host"] {
            assert_eq!(base(host), None, "{host}");
            let made = MetadataServer::new(Some(host), &[], None, Duration::from_secs(1));
            let error = made.unwrap_err().to_string();
            assert!(error.contains("GCE_METADATA_HOST must be"), "{error}");
        }
        for host in [DEFAULT_HOST, "127.0.0.1:2", "localhost:3", "[::1]:4"] {
            assert_eq!(base(host), Some(format!("http://{host}")));
        }
    }

    #[test]
    fn scopes_stand_in_the_query() {
        crate::google::tls::install_provider();
        let scopes = ["https://a/b".to_owned(), "c".to_owned()];
        let server = MetadataServer::new(None, &scopes, None, Duration::from_secs(1)).unwrap();
        assert_eq!(
            server.token.url(),
            "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token?scopes=https%3A%2F%2Fa%2Fb%2Cc"
        );
    }
}
