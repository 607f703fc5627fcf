//! The metadata server of Compute Engine and GKE: our identity and its tokens.
//!
//! Source: Google's documentation of the Compute Engine metadata server (`instance/service-accounts/default/...`).

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue};
use reqwest::Url;
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    credential::{Credential, FetchFailed},
    guarded_http::{GuardedHttp, GuardedResponse, form_value},
    principal_name::{check_metadata, is_account},
    token_answer::{self, FetchedToken, read_oauth},
};
use crate::google::{identity::token::TokenError, universe_domain::UniverseDomain};

const HOST_VARIABLE: &str = "GCE_METADATA_HOST";

/// The link-local address of all of Google's metadata servers. Not their name: the DNS search list of a pod can resolve
/// `metadata.google.internal` to a Service of a tenant, and plain HTTP would not notice.
const DEFAULT_HOST: &str = "169.254.169.254";

/// Where the universe is, below `/computeMetadata/v1`. Older servers do not have it.
const UNIVERSE_PATH: &str = "/universe/universe-domain";

/// Below `/computeMetadata/v1`.
const ACCOUNT_PATH: &str = "/instance/service-accounts/default";

/// The identity that a metadata server provides. It is read and checked before and after every token, because the server answers
/// each request independently: no call to Google may use an unexpected identity.
#[derive(Debug)]
pub(super) struct MetadataServer {
    base: String,
    universe: GuardedHttp,
    email: GuardedHttp,
    token: GuardedHttp,
    expect_principal: Option<String>,
    expect_universe: UniverseDomain,
    /// The server said that it is in this universe, or that it has none to name. It does not move.
    is_in_universe: AtomicBool,
    principal: Mutex<Option<String>>,
}

impl MetadataServer {
    /// Sends no request yet. `host` is the value of `GCE_METADATA_HOST`; `None` means Google's address.
    ///
    /// # Errors
    /// If that is no host.
    pub fn new(
        host: Option<&str>,
        scopes: &[String],
        expect_principal: Option<String>,
        expect_universe: UniverseDomain,
        limit: Duration,
    ) -> Result<Self, TokenError> {
        let scopes = form_value(&scopes.join(","));
        let http = |path: &str| value(host, &format!("{ACCOUNT_PATH}{path}"), limit);
        Ok(Self {
            universe: value(host, UNIVERSE_PATH, limit)?,
            email: http("/email")?,
            token: http(&format!("/token?scopes={scopes}"))?,
            base: checked_base(host)?,
            expect_principal,
            expect_universe,
            is_in_universe: AtomicBool::new(false),
            principal: Mutex::default(),
        })
    }

    /// Checks, until it succeeds once, that the server is in the universe of the calls. A 404 or an empty answer means the default one
    /// (AIP-4120).
    async fn check_universe(&self) -> Result<(), FetchFailed> {
        if self.is_in_universe.load(Ordering::Relaxed) {
            return Ok(());
        }
        let failed = |why: String| format!("it did not return its universe: {why}");
        let answer = self.universe.get(headers()).await.map_err(failed)?;
        let found = match answer.status {
            404 => String::new(),
            _ => text(&answer).map_err(failed)?,
        };
        if !found.is_empty() && found.parse::<UniverseDomain>().is_err() {
            return Err(failed("its answer is not a domain".to_owned()).into());
        }
        let checked = self.expect_universe.check(Some(&found));
        checked.map_err(|why| {
            FetchFailed::WrongIdentity(format!(
                "the universe of {} is {why}; no call is made",
                self.source()
            ))
        })?;
        self.is_in_universe.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The e-mail address of the identity that tokens from here would have.
    async fn email(&self) -> Result<String, String> {
        let failed = |why: String| format!("it did not return the identity: {why}");
        let email = read_value(&self.email).await.map_err(failed)?;
        if is_account(&email) {
            Ok(email)
        } else {
            Err(failed("its answer is not an email address".to_owned()))
        }
    }

    /// The same, if it is the expected identity.
    async fn checked_email(&self) -> Result<String, FetchFailed> {
        let email = self.email().await?;
        check_metadata(&email, self.expect_principal.as_deref())
            .map_err(FetchFailed::WrongIdentity)?;
        Ok(email)
    }
}

impl Credential for MetadataServer {
    fn fetch(&self) -> BoxFuture<'_, Result<FetchedToken, FetchFailed>> {
        Box::pin(async {
            let email = self.checked_email().await?;
            self.check_universe().await?;
            let answer = self.token.get(headers()).await?;
            let fetched = read_oauth(&answer, &[])?;
            // The identity may have changed in between. Then it is unknown whose token this is.
            let after = self.checked_email().await?;
            if after != email {
                let why = format!("its identity changed from {email} to {after} during the fetch");
                return Err(FetchFailed::Failed(why));
            }
            *self
                .principal
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(email);
            Ok(fetched)
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
            "cannot get a token from {}: {why} (on GKE, check that the node pool has Workload Identity and that the pod's ServiceAccount is bound to a Google identity; elsewhere, set GOOGLE_APPLICATION_CREDENTIALS)",
            self.source()
        )
    }
}

/// A client for one value below `/computeMetadata/v1`. `host` is the value of `GCE_METADATA_HOST`.
///
/// # Errors
/// As [`MetadataServer::new`].
pub(super) fn value(
    host: Option<&str>,
    path: &str,
    limit: Duration,
) -> Result<GuardedHttp, TokenError> {
    let url = format!("{}/computeMetadata/v1{path}", checked_base(host)?);
    let url = Url::parse(&url).map_err(|error| TokenError::new(error.to_string()))?;
    GuardedHttp::new(url, limit, None).map_err(TokenError::new)
}

/// Reads such a value.
///
/// # Errors
/// With the reason in words.
pub(super) async fn read_value(value: &GuardedHttp) -> Result<String, String> {
    text(&value.get(headers()).await?)
}

fn text(answer: &GuardedResponse) -> Result<String, String> {
    if answer.status != 200 {
        return Err(token_answer::refusal(answer, &[]));
    }
    let text = std::str::from_utf8(&answer.body).map_err(|_| "its answer is not UTF-8")?;
    Ok(text.trim().to_owned())
}

fn headers() -> HeaderMap {
    let google = HeaderValue::from_static("Google");
    HeaderMap::from_iter([(http::HeaderName::from_static("metadata-flavor"), google)])
}

fn checked_base(host: Option<&str>) -> Result<String, TokenError> {
    base(host.unwrap_or(DEFAULT_HOST)).ok_or_else(|| {
        TokenError::new(format!(
            "{HOST_VARIABLE} must be HOST[:PORT] of a metadata server, for example 169.254.169.254"
        ))
    })
}

/// Base URL without a slash at its end; none if `host` is more or less than a host and a port.
fn base(host: &str) -> Option<String> {
    // What would make a path, a query or a user name of a part of it, and what URLs are silently rid of.
    let more = |c: char| "/\\?#@".contains(c) || c.is_whitespace() || c.is_control();
    if host.contains(more) {
        return None;
    }
    let url = Url::parse(&format!("http://{host}")).ok()?;
    Some(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_hosts_are_refused() {
        for host in [
            "",
            ":80",
            "a b",
            "a\tb",
            "user@host",
            "@host",
            "host/",
            "host/path",
            "host\\path",
            "host?x",
            "host?",
            "host#",
            "http://host",
        ] {
            assert_eq!(base(host), None, "{host}");
            let made = MetadataServer::new(
                Some(host),
                &[],
                None,
                UniverseDomain::default(),
                Duration::from_secs(1),
            );
            let error = made.unwrap_err().to_string();
            assert!(error.contains("GCE_METADATA_HOST must be"), "{error}");
        }
        for host in [DEFAULT_HOST, "127.0.0.1:2", "localhost:3", "[::1]:4"] {
            assert_eq!(base(host), Some(format!("http://{host}")));
        }
        for host in ["metadata.google.internal:80", "Metadata.Google.Internal"] {
            let same = "http://metadata.google.internal";
            assert_eq!(base(host).as_deref(), Some(same), "{host}");
        }
    }

    #[test]
    fn no_name_has_to_be_found_for_the_default() {
        assert!(DEFAULT_HOST.parse::<std::net::IpAddr>().is_ok());
    }

    #[test]
    fn scopes_stand_in_the_query() {
        crate::google::connections::tls::install_provider();
        let scopes = ["https://a/b".to_owned(), "c".to_owned()];
        let server = MetadataServer::new(
            None,
            &scopes,
            None,
            UniverseDomain::default(),
            Duration::from_secs(1),
        )
        .unwrap();
        assert_eq!(
            server.token.url(),
            "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token?scopes=https%3A%2F%2Fa%2Fb%2Cc"
        );
    }
}
