//! Google identities. The operator's own comes from application-default credentials: a credential file that needs no other program, or
//! the metadata server. That of a tenant's ServiceAccount comes from the ServiceAccount's token (`workload_identity`).
//!
//! Guarantees: credentials that can never work end the start with an error that names the file and the field; an unexpected identity
//! gets no token; `token_cache` caches and renews tokens; `guarded_http` limits every request; keys and tokens are never shown. Each
//! kind of credentials has its own file.

mod authorized_user;
mod credential;
mod credential_fields;
mod credential_file;
mod default_credentials;
mod external_account;
mod guarded_http;
mod impersonation;
mod metadata_server;
mod principal_name;
mod secret;
mod service_account;
mod sts;
mod subject_token;
pub mod token;
mod token_answer;
mod token_cache;
mod workload_identity;
mod workload_provider;
mod workload_token_cache;

use futures::future::BoxFuture;
use std::{sync::Arc, time::Duration};

use self::{
    credential_fields::TokenRequest,
    credential_file::Loaded,
    default_credentials::FoundCredentials,
    metadata_server::MetadataServer,
    token::{FetchObserver, Token, TokenError, TokenSource},
    token_cache::{FetchTiming, TokenCache},
};
use super::{
    catalogue::CLOUD_PLATFORM, connections::proxy::HttpsProxy, universe_domain::UniverseDomain,
};

pub use self::{
    default_credentials::Environment,
    guarded_http::GuardedResponse,
    secret::Secret,
    token_answer::{FetchedToken, read_generated, read_oauth},
    workload_identity::{
        ACCOUNT_ANNOTATION, GoogleAccount, TokenEndpoint, WorkloadIdentity, WorkloadIdentityConfig,
    },
    workload_provider::{Audiences, WorkloadIdentityProvider},
    workload_token_cache::{CacheLimits, Cached, WorkloadTokenCache},
};

/// Maximum number of requests of one fetch: identity, universe, token, identity again; or subject token, token exchange, impersonation.
const REQUESTS: u32 = 4;

/// How the operator's identity is found.
#[derive(Clone, Debug)]
pub struct IdentityConfig {
    /// Where to look for credentials.
    pub environment: Environment,
    /// The only accepted identity. If it is `None`, every identity except a node's default one is accepted.
    pub expect_principal: Option<String>,
    /// Scopes of the tokens.
    pub scopes: Vec<String>,
    /// Time limit of one request to a token server. A fetch makes up to four requests in sequence. GKE's metadata server can need
    /// half a minute for a token, and starts over if the client gives up and asks again.
    pub request_timeout: Duration,
    /// The proxy for Google's token servers (`--https-proxy`). The metadata server, loopback hosts and the source of a subject token are
    /// always reached directly.
    pub https_proxy: Option<HttpsProxy>,
    /// The universe of the calls. Credentials of another one get no token.
    pub universe_domain: UniverseDomain,
    /// Pause after the first failure. It doubles up to `max_pause`. The metadata server of a pod needs some seconds to start.
    pub min_pause: Duration,
    /// Longest pause after a failure.
    pub max_pause: Duration,
    /// Shortest time between two fetches because a token was refused. The metadata server has its own cache and may return the same
    /// token again.
    pub refused_pause: Duration,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self {
            environment: Environment::default(),
            expect_principal: None,
            scopes: vec![CLOUD_PLATFORM.to_owned()],
            request_timeout: Duration::from_secs(60),
            https_proxy: None,
            universe_domain: UniverseDomain::default(),
            min_pause: Duration::from_millis(500),
            max_pause: Duration::from_secs(30),
            refused_pause: Duration::from_secs(10),
        }
    }
}

/// The operator's identity.
#[derive(Debug)]
pub struct OperatorIdentity {
    tokens: TokenCache,
    quota_project: Option<String>,
}

impl OperatorIdentity {
    /// Finds the credentials; fetches no token yet. [`super::connections::tls::install_provider`] must have been called. `observer` is
    /// called after each fetch.
    ///
    /// # Errors
    /// If the credentials can never work: the named file cannot be read, has an unknown kind or wrong fields, or is for another
    /// identity than the expected one. Temporary failures are errors of a fetch instead: a subject token that does not exist yet, a
    /// server that does not answer.
    pub fn new(config: IdentityConfig, observer: FetchObserver) -> Result<Self, TokenError> {
        let expected = config.expect_principal;
        let limit = config.request_timeout;
        let loaded = match default_credentials::find(&config.environment)? {
            FoundCredentials::File { name, text } => {
                let request = TokenRequest {
                    scopes: &config.scopes,
                    limit,
                    proxy: config.https_proxy.as_ref(),
                    universe: &config.universe_domain,
                };
                let loaded = credential_file::load(&name, &text, request)?;
                let (source, principal) =
                    (loaded.credential.source(), loaded.credential.principal());
                principal_name::check_file(&source, principal.as_deref(), expected.as_deref())
                    .map_err(TokenError::new)?;
                loaded
            }
            FoundCredentials::MetadataServer => Loaded {
                credential: Arc::new(MetadataServer::new(
                    config.environment.metadata_host.as_deref(),
                    &config.scopes,
                    expected,
                    config.universe_domain,
                    limit,
                )?),
                quota_project: None,
            },
        };
        let timing = FetchTiming {
            fetch_timeout: limit * REQUESTS,
            min_pause: config.min_pause,
            max_pause: config.max_pause,
            refused_pause: config.refused_pause,
        };
        Ok(Self {
            tokens: TokenCache::new(loaded.credential, timing, observer),
            quota_project: loaded.quota_project,
        })
    }

    /// `quota_project_id` of the credential file: the default project for the quota of calls. It is never sent to a token server.
    pub fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }

    /// Whether tokens have the scopes of [`IdentityConfig::scopes`]. Tokens of a person have the scopes that the person granted.
    pub fn takes_scopes(&self) -> bool {
        self.tokens.credential().takes_scopes()
    }

    /// Where tokens come from, for logs: a kind of file and its path, or the metadata server.
    pub fn source(&self) -> String {
        self.tokens.credential().source()
    }
}

impl TokenSource for OperatorIdentity {
    fn token(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        self.tokens.token()
    }

    fn refused(&self, token: &Token) {
        self.tokens.refused(token);
    }

    fn principal(&self) -> Option<String> {
        self.tokens.credential().principal()
    }
}
