//! The operator's own identity: a service account whose tokens the metadata server gives out.
//!
//! Guarantees: who we are is asked and checked before any token is; many callers share one fetch; every fetch has a time
//! limit; after a failure the credential is made anew, after a pause that doubles; a refused token is fetched anew at once,
//! but not again and again.

use futures::future::BoxFuture;
use hyper_util::client::proxy::matcher::Matcher;
use std::{
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Mutex, time::Instant};

use super::{
    credential::Credential,
    metadata_server::{HOST_VARIABLE, MetadataServer},
    token::{Token, TokenError, TokenSource},
};

/// What a node's own service account ends with, by default with the Editor role.
const NODE_ACCOUNT: &str = "-compute@developer.gserviceaccount.com";

/// How the operator's identity is found.
#[derive(Clone, Debug)]
pub struct IdentityConfig {
    /// Base URL of the metadata server; `GCE_METADATA_HOST` wins over it, and both absent is Google's.
    pub metadata_server: Option<String>,
    /// The one identity that is acceptable. Without it any but a node's default one is.
    pub expect_principal: Option<String>,
    /// Limit for one fetch, the question who we are included.
    pub fetch_timeout: Duration,
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
            metadata_server: None,
            expect_principal: None,
            fetch_timeout: Duration::from_secs(10),
            min_pause: Duration::from_millis(500),
            max_pause: Duration::from_secs(30),
            refused_pause: Duration::from_secs(10),
        }
    }
}

/// The operator's identity on a metadata server.
#[derive(Debug)]
pub struct MetadataIdentity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: IdentityConfig,
    server: MetadataServer,
    /// Held through a fetch: the callers that come meanwhile wait for its end, and share it.
    state: Mutex<State>,
    principal: StdMutex<Option<String>>,
    refused: StdMutex<Option<Token>>,
}

#[derive(Debug, Default)]
struct State {
    credential: Option<Credential>,
    handed_out: Option<Token>,
    renewed: Option<Instant>,
    failures: u32,
    failed: Option<(TokenError, Instant)>,
}

impl MetadataIdentity {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// If the address of the metadata server is none, if a proxy would stand before it, or if this system has no
    /// certificate authorities (the library cannot do without).
    pub fn new(config: IdentityConfig) -> Result<Self, TokenError> {
        let moved = std::env::var(HOST_VARIABLE).ok();
        let server =
            MetadataServer::new(config.metadata_server.clone(), moved, config.fetch_timeout)?;
        server.refuse_proxy(&Matcher::from_env())?;
        Ok(Self(Arc::new(Inner {
            config,
            server,
            state: Mutex::default(),
            principal: StdMutex::default(),
            refused: StdMutex::default(),
        })))
    }
}

impl TokenSource for MetadataIdentity {
    fn token(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        // A task of its own: a caller that gives up must not make the others begin again.
        let fetch = tokio::spawn(self.0.clone().token());
        Box::pin(async {
            fetch
                .await
                .unwrap_or_else(|_| Err(TokenError::new("the process is ending")))
        })
    }

    fn refused(&self, token: &Token) {
        *lock(&self.0.refused) = Some(token.clone());
    }

    fn principal(&self) -> Option<String> {
        lock(&self.0.principal).clone()
    }
}

impl Inner {
    async fn token(self: Arc<Self>) -> Result<Token, TokenError> {
        let mut state = self.state.lock().await;
        if let Some((error, until)) = &state.failed
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        self.drop_refused(&mut state);
        let limit = self.config.fetch_timeout;
        let fetched = match tokio::time::timeout(limit, self.fetch(&mut state)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(self.failed(&format!("no answer within {limit:?}"))),
        };
        match fetched {
            Ok(token) => {
                state.failures = 0;
                state.failed = None;
                state.handed_out = Some(token.clone());
                Ok(token)
            }
            Err(error) => {
                state.credential = None;
                let doubled = 2u32.saturating_pow(state.failures);
                let pause = self.config.min_pause.saturating_mul(doubled);
                let until = Instant::now() + pause.min(self.config.max_pause);
                state.failures = state.failures.saturating_add(1);
                state.failed = Some((error.clone(), until));
                Err(error)
            }
        }
    }

    /// Drops the credential if the token that it gave was refused, but not again and again.
    fn drop_refused(&self, state: &mut State) {
        let refused = lock(&self.refused).take();
        let current = refused.is_some() && refused == state.handed_out;
        let paused = state
            .renewed
            .is_some_and(|renewed| renewed.elapsed() < self.config.refused_pause);
        if current && !paused {
            state.credential = None;
            state.renewed = Some(Instant::now());
        }
    }

    async fn fetch(&self, state: &mut State) -> Result<Token, TokenError> {
        let credential = match &state.credential {
            Some(credential) => credential,
            None => {
                // Who we are comes first: nothing is asked of Google by an identity that nobody chose.
                let email = self.server.email().await?;
                check_principal(&email, self.config.expect_principal.as_deref())?;
                let credential = Credential::new(self.server.base())
                    .await
                    .map_err(|why| self.failed(&why))?;
                *lock(&self.principal) = Some(email);
                state.credential.insert(credential)
            }
        };
        let secret = credential.token().await.map_err(|why| self.failed(&why))?;
        Token::new(&secret)
    }

    fn failed(&self, why: &str) -> TokenError {
        TokenError::new(format!(
            "no token from the metadata server {}: {why} (on GKE: does this node pool have Workload Identity, and is the pod's ServiceAccount bound to a Google identity?)",
            self.server.base()
        ))
    }
}

/// Fails closed on an identity that nobody meant (design section 5).
fn check_principal(email: &str, expected: Option<&str>) -> Result<(), TokenError> {
    match expected {
        Some(expected) if expected == email => Ok(()),
        Some(expected) => Err(TokenError::new(format!(
            "the metadata server's identity is {email}, but {expected} is expected (--expect-principal); no call is made"
        ))),
        None if email.ends_with(NODE_ACCOUNT) => Err(TokenError::new(format!(
            "the metadata server gives out the node's own service account {email}, so Workload Identity is not at work here (hostNetwork, or a node pool without GKE_METADATA); no call is made with it"
        ))),
        None => Ok(()),
    }
}

fn lock<T>(mutex: &StdMutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_identity_that_was_meant_is_used() {
        const NODE: &str = "123-compute@developer.gserviceaccount.com";
        const OWN: &str = "opcancel@acme.iam.gserviceaccount.com";
        for (email, expected, good) in [
            (OWN, None, true),
            (OWN, Some(OWN), true),
            (OWN, Some("other@acme.iam.gserviceaccount.com"), false),
            (OWN, Some(""), false),
            (NODE, None, false),
            (NODE, Some(NODE), true),
            (NODE, Some(OWN), false),
            ("acme.svc.id.goog", None, true),
        ] {
            assert_eq!(
                check_principal(email, expected).is_ok(),
                good,
                "{email} {expected:?}"
            );
        }
    }
}
