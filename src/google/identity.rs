//! The operator's own identity, from wherever application-default credentials lead: a file of any kind that needs no
//! other program, or the metadata server.
//!
//! Guarantees: what can never work ends the start, with the file and the field; an identity that nobody meant gets no
//! token; tokens are kept, refreshed and fetched anew as `token_cache` says; every request is guarded as `guarded_http`
//! says; no key and no token is ever shown. Each kind of credentials is a file of its own below.

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
use super::catalogue::default_scopes;

pub use self::default_credentials::Environment;

/// Most requests of one fetch: who we are, the token, who we still are; or subject token, token exchange, impersonation.
const REQUESTS: u32 = 3;

/// How the operator's identity is found.
#[derive(Clone, Debug)]
pub struct IdentityConfig {
    /// Where to look for credentials.
    pub environment: Environment,
    /// The one identity that is acceptable. Without it any but a node's default one is.
    pub expect_principal: Option<String>,
    /// Scopes of the tokens.
    pub scopes: Vec<String>,
    /// Limit for one request to a token server. A fetch makes up to three of them, one after the other, and may take as long
    /// as three. GKE's metadata server may need half a minute for a token; whoever gives up earlier and asks again makes it
    /// start anew.
    pub request_timeout: Duration,
    /// Pause after a first failure; it doubles up to `max_pause`. A pod's metadata server needs some seconds to start.
    pub min_pause: Duration,
    /// Longest pause between fetches that fail.
    pub max_pause: Duration,
    /// Shortest time between two fetches because a token was refused. The metadata server has a memory of its own and may
    /// well give the same token again.
    pub refused_pause: Duration,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self {
            environment: Environment::default(),
            expect_principal: None,
            scopes: default_scopes(),
            request_timeout: Duration::from_secs(60),
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
    /// Looks for the credentials, and asks nobody yet for a token. [`super::connections::tls::install_provider`] must have been called.
    /// `observer` hears how each fetch ended.
    ///
    /// # Errors
    /// If what was found can never work: a file that is named and cannot be read, of an unknown kind, with wrong or
    /// missing fields, or for another identity than the expected one. What may pass is no error here, but one of each
    /// fetch: a subject token that is not there yet, a server that does not answer.
    pub fn new(config: IdentityConfig, observer: FetchObserver) -> Result<Self, TokenError> {
        let expected = config.expect_principal;
        let limit = config.request_timeout;
        let loaded = match default_credentials::find(&config.environment)? {
            FoundCredentials::File { name, text } => {
                let request = TokenRequest {
                    scopes: &config.scopes,
                    limit,
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

    /// `quota_project_id` of the credential file: the project whose quota the calls use if nothing else says. Never sent
    /// to a token server.
    pub fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }

    /// Whether tokens have the scopes of [`IdentityConfig::scopes`]; a person's have those that the person granted.
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
