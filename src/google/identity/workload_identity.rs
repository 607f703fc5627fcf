//! The Google identity of a Kubernetes ServiceAccount. Google's Security Token Service exchanges the ServiceAccount's token for one of
//! Google's. If the ServiceAccount names a Google service account, IAM Credentials then generates a token of that account.
//!
//! This module keeps only the audiences; [`super::workload_token_cache`] caches the tokens. Every error names the step that failed.

use reqwest::Url;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{sync::Mutex, time::Instant};

use super::{
    guarded_http::{GuardedHttp, token_url},
    impersonation::{IAM_SCOPE, Impersonation, Lifetime},
    metadata_server,
    principal_name::is_account,
    secret::Secret,
    sts::TokenExchange,
    token::TokenError,
    token_answer::FetchedToken,
    workload_provider::{Audiences, WorkloadIdentityProvider},
};
use crate::{
    api::Reason,
    google::{clean::clean, connections::proxy::HttpsProxy, universe_domain::UniverseDomain},
};

/// The annotation by which GKE's Workload Identity names the Google service account of a ServiceAccount.
pub const ACCOUNT_ANNOTATION: &str = "iam.gke.io/gcp-service-account";

/// Lifetime of the generated tokens of a Google service account. It is shorter than Google's default of an hour, because a token stays
/// valid after an administrator revokes the binding.
const TOKEN_LIFETIME: Duration = Duration::from_secs(900);

/// How long a failure to read the cluster's name is remembered.
const NAME_PAUSE: Duration = Duration::from_secs(5);

/// How the identities of ServiceAccounts are obtained.
#[derive(Clone, Debug)]
pub struct WorkloadIdentityConfig {
    /// `--workload-identity-provider`
    pub provider: WorkloadIdentityProvider,
    /// `GCE_METADATA_HOST`
    pub metadata_host: Option<String>,
    /// `--sts-endpoint`: the base URL of the Security Token Service.
    pub sts: TokenEndpoint,
    /// `--iam-credentials-endpoint`: the base URL of IAM Credentials.
    pub iam_credentials: TokenEndpoint,
    /// Scopes of the tokens.
    pub scopes: Vec<String>,
    /// Time limit of one request to a token server.
    pub request_timeout: Duration,
    /// `--https-proxy`
    pub https_proxy: Option<HttpsProxy>,
}

/// The base URL of a token server, such as `https://sts.googleapis.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEndpoint(String);

impl std::str::FromStr for TokenEndpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = token_url(text)?;
        if url.path() == "/" && url.host_str().is_some() {
            Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
        } else {
            Err("must have no path; use for example https://sts.googleapis.com".to_owned())
        }
    }
}

impl TokenEndpoint {
    /// The endpoint of an API, such as `sts`, in a universe.
    pub fn in_universe(api: &str, universe: &UniverseDomain) -> Self {
        Self(format!("https://{api}.{universe}"))
    }
}

impl std::fmt::Display for TokenEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The e-mail address of a Google service account, from an annotation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GoogleAccount(String);

impl GoogleAccount {
    /// Reads an annotation.
    ///
    /// # Errors
    /// If it is not an e-mail address that can be part of a URL's path.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let parts = text.split_once('@');
        let good = is_account(text)
            && !text.contains(':')
            && parts.is_some_and(|(name, domain)| {
                !name.is_empty() && domain.contains('.') && !domain.contains('@')
            });
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(TokenError::because(
            Reason::ServiceAccountNotReady,
            format!(
                "the annotation {ACCOUNT_ANNOTATION} is not the email address of a Google service account; correct the annotation, or remove it"
            ),
        ))
    }

    /// The e-mail address.
    pub fn email(&self) -> &str {
        &self.0
    }

    /// The path at IAM Credentials that generates its tokens.
    pub fn token_path(&self) -> String {
        format!(
            "/v1/projects/-/serviceAccounts/{}:generateAccessToken",
            self.0
        )
    }
}

/// Exchanges the tokens of ServiceAccounts.
#[derive(Debug)]
pub struct WorkloadIdentity {
    sts: GuardedHttp,
    iam_credentials: GuardedHttp,
    scopes: Vec<String>,
    provider: Provider,
}

#[derive(Debug)]
enum Provider {
    Named(Arc<Audiences>),
    /// The values of the metadata server: project, location and name of the cluster.
    Gke(Box<GkeCluster>),
}

#[derive(Debug)]
struct GkeCluster {
    values: [GuardedHttp; 3],
    /// The last failure to read the values, and when it was. One caller at a time reads them.
    failed: Mutex<Option<(TokenError, Instant)>>,
    known: OnceLock<Arc<Audiences>>,
}

/// Where the metadata server has the project, the location and the name of a GKE cluster.
const CLUSTER_PATHS: [&str; 3] = [
    "/project/project-id",
    "/instance/attributes/cluster-location",
    "/instance/attributes/cluster-name",
];

impl WorkloadIdentity {
    /// Sends no request yet.
    ///
    /// # Errors
    /// If there are no certificate authorities, or `GCE_METADATA_HOST` is no host.
    pub fn new(config: &WorkloadIdentityConfig) -> Result<Self, TokenError> {
        let limit = config.request_timeout;
        let http = |base: &TokenEndpoint, path: &str| {
            let url = Url::parse(&format!("{base}{path}"));
            let url = url.map_err(|error| TokenError::new(error.to_string()))?;
            GuardedHttp::new(url, limit, config.https_proxy.as_ref()).map_err(TokenError::new)
        };
        let provider = match &config.provider {
            WorkloadIdentityProvider::Named(audiences) => {
                Provider::Named(Arc::new(audiences.clone()))
            }
            WorkloadIdentityProvider::ThisGkeCluster => {
                let host = config.metadata_host.as_deref();
                let [project, location, cluster] = CLUSTER_PATHS;
                let value = |path| metadata_server::value(host, path, limit);
                Provider::Gke(Box::new(GkeCluster {
                    values: [value(project)?, value(location)?, value(cluster)?],
                    failed: Mutex::default(),
                    known: OnceLock::new(),
                }))
            }
        };
        Ok(Self {
            sts: http(&config.sts, "/v1/token")?,
            iam_credentials: http(&config.iam_credentials, "/")?,
            scopes: config.scopes.clone(),
            provider,
        })
    }

    /// The audiences, if they are known yet.
    pub fn known_audiences(&self) -> Option<Arc<Audiences>> {
        match &self.provider {
            Provider::Named(audiences) => Some(audiences.clone()),
            Provider::Gke(cluster) => cluster.known.get().cloned(),
        }
    }

    /// The audiences. Concurrent callers share the requests for the cluster's name.
    ///
    /// # Errors
    /// If the metadata server does not return it.
    pub async fn audiences(&self) -> Result<Arc<Audiences>, TokenError> {
        let GkeCluster {
            values,
            failed,
            known,
        } = match &self.provider {
            Provider::Named(audiences) => return Ok(audiences.clone()),
            Provider::Gke(cluster) => cluster.as_ref(),
        };
        let mut failed = failed.lock().await;
        if let Some(known) = known.get() {
            return Ok(known.clone());
        }
        if let Some((error, at)) = failed.as_ref()
            && at.elapsed() < NAME_PAUSE
        {
            return Err(error.clone());
        }
        let audiences = cluster_name(values).await.map_err(|why| {
            let message = format!(
                "the metadata server does not return the name of this GKE cluster: {why}; set --workload-identity-provider=projects/PROJECT/locations/LOCATION/clusters/CLUSTER"
            );
            TokenError::because(Reason::TokenExchangeFailed, clean(&message, &[]))
        });
        match audiences {
            Ok(audiences) => Ok(known.get_or_init(|| Arc::new(audiences)).clone()),
            Err(error) => {
                *failed = Some((error.clone(), Instant::now()));
                Err(error)
            }
        }
    }

    /// Exchanges a ServiceAccount's token; with `account` for a token of that Google service account.
    ///
    /// # Errors
    /// With the step that failed, and what the server says.
    pub async fn exchange(
        &self,
        audiences: &Audiences,
        subject_token: &Secret,
        account: Option<&GoogleAccount>,
    ) -> Result<FetchedToken, TokenError> {
        let fetched = self.fetch(audiences, subject_token, account).await?;
        Ok(FetchedToken {
            token: fetched.token.of_tenant(),
            life: fetched.life,
        })
    }

    async fn fetch(
        &self,
        audiences: &Audiences,
        subject_token: &Secret,
        account: Option<&GoogleAccount>,
    ) -> Result<FetchedToken, TokenError> {
        // With an account, only IAM Credentials gets the exchanged token.
        let scope = match account {
            Some(_) => IAM_SCOPE.to_owned(),
            None => self.scopes.join(" "),
        };
        let exchange = TokenExchange {
            server: self.sts.clone(),
            audience: audiences.exchange.clone(),
            subject_token_type: "urn:ietf:params:oauth:token-type:jwt".to_owned(),
            scope,
            workforce_project: None,
            client: None,
        };
        let failed = |reason| move |why: String| TokenError::because(reason, clean(&why, &[]));
        let own = exchange.exchange(subject_token).await;
        let own = own.map_err(failed(Reason::TokenExchangeFailed))?;
        let Some(account) = account else {
            return Ok(own);
        };
        let server = self.iam_credentials.with_path(&account.token_path());
        let scopes = self.scopes.clone();
        let lifetime = Lifetime::new(TOKEN_LIFETIME);
        let impersonation =
            Impersonation::of_account(server, account.email().to_owned(), scopes, lifetime);
        let token = impersonation.token(&own.token).await;
        token.map_err(failed(Reason::ImpersonationFailed))
    }
}

async fn cluster_name(values: &[GuardedHttp; 3]) -> Result<Audiences, String> {
    let [project, location, cluster] = values;
    let project = metadata_server::read_value(project).await?;
    let location = metadata_server::read_value(location).await?;
    let cluster = metadata_server::read_value(cluster).await?;
    Audiences::of_gke(&project, &location, &cluster).ok_or_else(|| {
        "its project, location or name has characters that such names do not have".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_is_an_email_address_or_nothing() {
        let email = "deployer@acme-prod.iam.gserviceaccount.com";
        assert_eq!(GoogleAccount::new(email).unwrap().email(), email);
        for bad in [
            "",
            " ",
            "deployer",
            "@acme-prod.iam.gserviceaccount.com",
            "deployer@",
            "deployer@localhost",
            "a@b@c.example",
            "a/../b@c.example",
            "a%2fb@c.example",
            "a@c.example:generateIdToken",
            "a@c.example?x=y",
            "a@c.example#",
            "a@c.example\n",
            "\u{e4}@c.example",
        ] {
            let error = GoogleAccount::new(bad).unwrap_err().to_string();
            assert!(error.contains(ACCOUNT_ANNOTATION), "{bad}: {error}");
        }
    }

    proptest::proptest! {
        /// Whatever is accepted stands in the path unchanged, and leads nowhere else.
        #[test]
        fn an_accepted_annotation_is_one_segment_of_the_path(
            text in "[a-z0-9@.:%/\\\\?#+_~ -]{0,40}|[a-z.]{1,9}@[a-z.-]{1,20}|\\PC{0,20}"
        ) {
            if let Ok(account) = GoogleAccount::new(&text) {
                let path = account.token_path();
                let mut url = Url::parse("https://iamcredentials.googleapis.com/").unwrap();
                url.set_path(&path);
                proptest::prop_assert_eq!(url.path(), &path);
                proptest::prop_assert_eq!(url.host_str(), Some("iamcredentials.googleapis.com"));
                proptest::prop_assert_eq!((url.query(), url.fragment()), (None, None));
                let expected = format!("/v1/projects/-/serviceAccounts/{text}:generateAccessToken");
                proptest::prop_assert_eq!(path, expected);
            }
        }
    }

    #[test]
    fn endpoints_are_hosts_over_tls() {
        let endpoint: TokenEndpoint = "https://sts.googleapis.com/".parse().unwrap();
        assert_eq!(endpoint.to_string(), "https://sts.googleapis.com");
        assert!("http://127.0.0.1:1".parse::<TokenEndpoint>().is_ok());
        for bad in [
            "",
            "sts.googleapis.com",
            "http://sts.googleapis.com",
            "https://sts.googleapis.com/v1",
            "https://user@sts.googleapis.com",
            "https://sts.googleapis.com?x",
        ] {
            assert!(bad.parse::<TokenEndpoint>().is_err(), "{bad}");
        }
    }
}
