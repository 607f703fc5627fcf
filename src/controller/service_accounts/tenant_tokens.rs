//! The tokens of all ServiceAccounts that are used: what is at hand, and how the rest is obtained.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use kube::Client;
use lru::LruCache;
use tokio::time::timeout;

use super::{
    account::{self, Account},
    fetch_turns::FetchTurns,
    token_request,
};
use crate::{
    api::Reason,
    controller::{
        clock::{Clock, milliseconds},
        rate_limits::RateLimits,
    },
    google::{
        identity::{
            Audiences, CacheLimits, Cached, FetchedToken, WorkloadIdentity, WorkloadTokenCache,
        },
        token::{Token, TokenError},
    },
    telemetry::metrics::Metrics,
};

/// Maximum number of ServiceAccounts that are remembered.
const MOST_ACCOUNTS: NonZeroUsize = match NonZeroUsize::new(4096) {
    Some(most) => most,
    None => NonZeroUsize::MIN,
};

/// The time limit for one request to the API server.
const API_TIMEOUT: Duration = Duration::from_secs(5);

/// How many tokens a namespace may request at once; as many more follow in each minute. So a namespace that creates ServiceAccounts or
/// changes annotations in a loop does not use up Google's quotas for all others.
const PER_MINUTE: u32 = 60;

/// Everything that a token depends on. Scopes and endpoints are the same for the whole process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    namespace: String,
    name: String,
    account: Account,
    audiences: Arc<Audiences>,
}

/// A ServiceAccount's name, and its namespace.
type AccountName = (String, String);

/// The answer to a request that several callers wait for.
type Reading = Shared<BoxFuture<'static, Result<Account, TokenError>>>;

#[derive(Clone)]
struct Read {
    /// When the request began: what it returns is not older.
    begun: Duration,
    reading: Reading,
}

/// See the module. Clones share everything.
#[derive(Clone)]
pub struct TenantTokens(Arc<Inner>);

struct Inner {
    client: Client,
    identity: WorkloadIdentity,
    clock: Clock,
    metrics: Arc<Metrics>,
    turns: FetchTurns,
    state: Mutex<State>,
}

struct State {
    accounts: LruCache<AccountName, Read>,
    tokens: WorkloadTokenCache<Key>,
    fetches: HashMap<Key, Shared<BoxFuture<'static, ()>>>,
    rates: RateLimits,
}

/// What is at hand for a call.
#[derive(Debug)]
pub enum AtHand {
    /// A token.
    Token(Token),
    /// A step failed, now or a short time ago.
    Failed(TokenError),
    /// Nothing: [`TenantTokens::obtain`] first.
    Nothing,
}

impl TenantTokens {
    /// Makes no request yet.
    pub fn new(
        client: Client,
        identity: WorkloadIdentity,
        clock: Clock,
        metrics: Arc<Metrics>,
        limits: CacheLimits,
    ) -> Self {
        Self(Arc::new(Inner {
            client,
            identity,
            clock,
            metrics,
            turns: FetchTurns::default(),
            state: Mutex::new(State {
                accounts: LruCache::new(MOST_ACCOUNTS),
                tokens: WorkloadTokenCache::new(limits),
                fetches: HashMap::new(),
                rates: RateLimits::per_minute(PER_MINUTE),
            }),
        }))
    }

    /// The token of a ServiceAccount, if it is at hand. The ServiceAccount must have been read since `since`, so that one that was
    /// deleted, replaced or annotated again before gets no token of what it was.
    pub fn at_hand(&self, namespace: &str, name: &str, since: Duration) -> AtHand {
        let mut state = self.0.lock();
        let account = match state.account(namespace, name, since) {
            Some(Ok(account)) => account,
            Some(Err(error)) => return AtHand::Failed(error),
            None => return AtHand::Nothing,
        };
        let Some(audiences) = self.0.identity.known_audiences() else {
            return AtHand::Nothing;
        };
        let key = Key::new(namespace, name, account, audiences);
        match state.tokens.get(&key, self.0.clock.mono()) {
            Cached::Token(token) => AtHand::Token(token),
            Cached::Failed(error) => AtHand::Failed(error),
            Cached::Missing => AtHand::Nothing,
        }
    }

    /// Reads the ServiceAccount, unless it was read since `since`, and fetches a token, unless there is one. Returns an error that
    /// the cache does not have. The requests go on if the caller gives up.
    pub fn obtain(
        &self,
        namespace: &str,
        name: &str,
        since: Duration,
    ) -> impl Future<Output = Result<(), TokenError>> + Send + 'static {
        let inner = self.0.clone();
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        async move {
            let Ok(account) = inner.account(&namespace, &name, since).await else {
                // `at_hand` has the error.
                return Ok(());
            };
            let audiences = inner.identity.audiences().await?;
            let key = Key::new(&namespace, &name, account, audiences);
            if let Some(fetch) = inner.fetch_unless_cached(&key) {
                fetch.await;
            }
            Ok(())
        }
    }

    /// Google refused this token: it is not used again.
    pub fn refused(&self, token: &Token) {
        self.0.lock().tokens.refused(token);
    }

    /// Google's name for a ServiceAccount, if it is known.
    pub fn principal(&self, namespace: &str, name: &str) -> Option<String> {
        let account = self.0.lock().account(namespace, name, Duration::ZERO);
        let account = account?.ok()?;
        match account.google_account {
            Some(account) => Some(account.email().to_owned()),
            None => Some(
                self.0
                    .identity
                    .known_audiences()?
                    .principal(namespace, name),
            ),
        }
    }
}

impl Key {
    fn new(namespace: &str, name: &str, account: Account, audiences: Arc<Audiences>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            account,
            audiences,
        }
    }
}

impl State {
    /// The ServiceAccount as it was read since then; `None` if it was not, or is being read.
    fn account(
        &mut self,
        namespace: &str,
        name: &str,
        since: Duration,
    ) -> Option<Result<Account, TokenError>> {
        let read = self
            .accounts
            .get(&(namespace.to_owned(), name.to_owned()))?;
        (read.begun >= since)
            .then(|| read.reading.peek().cloned())
            .flatten()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a ServiceAccount, unless it was read, or is being read, since then.
    fn account(self: &Arc<Self>, namespace: &str, name: &str, since: Duration) -> Reading {
        let key = (namespace.to_owned(), name.to_owned());
        let mut state = self.lock();
        if let Some(read) = state.accounts.get(&key)
            && read.begun >= since
        {
            return read.reading.clone();
        }
        let begun = self.clock.mono();
        let inner = self.clone();
        let (namespace, name) = key.clone();
        let reading = async move {
            let _turn = inner.turns.take(&namespace).await;
            let read = account::read(&inner.client, &namespace, &name);
            timeout(API_TIMEOUT, read).await.unwrap_or_else(|_| {
                Err(TokenError::because(
                    Reason::ServiceAccountNotReady,
                    format!(
                        "ServiceAccount {namespace}/{name} cannot be read: the API server does not answer"
                    ),
                ))
            })
        };
        let reading = spawned(reading, || Err(TokenError::new("the process is stopping")));
        let read = Read {
            begun,
            reading: reading.clone(),
        };
        state.accounts.put(key, read);
        reading
    }

    /// The fetch that is under way, or a new one; `None` if the cache has a token or an error.
    fn fetch_unless_cached(self: &Arc<Self>, key: &Key) -> Option<Shared<BoxFuture<'static, ()>>> {
        let mut state = self.lock();
        if state.tokens.get(key, self.clock.mono()) != Cached::Missing {
            return None;
        }
        // One that ended and is still there was interrupted.
        if let Some(fetch) = state.fetches.get(key)
            && fetch.peek().is_none()
        {
            return Some(fetch.clone());
        }
        let (inner, of) = (self.clone(), key.clone());
        // It ends under the lock that is held now, so it cannot end before it is stored.
        let fetch = spawned(
            async move {
                let begun = inner.clock.mono();
                let result = inner.fetch(&of).await;
                log(&of, &result, inner.clock.mono().saturating_sub(begun));
                let failed = result.as_ref().err().and_then(TokenError::step);
                inner.metrics.service_account_token_fetched(failed);
                let mut state = inner.lock();
                state.fetches.remove(&of);
                let now = inner.clock.mono();
                state.tokens.keep(of, result, begun, now);
            },
            || (),
        );
        state.fetches.insert(key.clone(), fetch.clone());
        Some(fetch)
    }

    /// Counts a token that is requested now.
    fn take_rate(&self, namespace: &str) -> Result<(), TokenError> {
        let now = self.clock.mono();
        let mut state = self.lock();
        let wait = state.rates.wait(namespace, 0, now);
        if wait.is_zero() {
            state.rates.take(&namespace.into(), now);
            return Ok(());
        }
        Err(TokenError::because(
            Reason::TokenRequestFailed,
            format!(
                "namespace {namespace} has requested {PER_MINUTE} tokens of ServiceAccounts in a minute; the next one follows in {} s",
                wait.as_secs() + 1
            ),
        ))
    }

    async fn fetch(&self, key: &Key) -> Result<FetchedToken, TokenError> {
        let Key {
            namespace,
            name,
            account,
            audiences,
        } = key;
        let _turn = self.turns.take(namespace).await;
        self.take_rate(namespace)?;
        let request = token_request::token(
            &self.client,
            namespace,
            name,
            &account.uid,
            &audiences.subject_token,
        );
        let subject_token = timeout(API_TIMEOUT, request).await.unwrap_or_else(|_| {
            Err(TokenError::because(
                Reason::TokenRequestFailed,
                format!(
                    "the API server does not answer the request for a token of ServiceAccount {namespace}/{name}"
                ),
            ))
        })?;
        let google_account = account.google_account.as_ref();
        self.identity
            .exchange(audiences, &subject_token, google_account)
            .await
    }
}

/// A task of its own that several callers can wait for. `lost` is its result if it is interrupted.
fn spawned<T: Clone + Send + Sync + 'static>(
    work: impl Future<Output = T> + Send + 'static,
    lost: impl FnOnce() -> T + Send + 'static,
) -> Shared<BoxFuture<'static, T>> {
    let task = tokio::spawn(work);
    async move { task.await.unwrap_or_else(|_| lost()) }
        .boxed()
        .shared()
}

fn log(key: &Key, result: &Result<FetchedToken, TokenError>, took: Duration) {
    let milliseconds = milliseconds(took);
    let (namespace, service_account) = (&key.namespace, &key.name);
    match result {
        Ok(_) => tracing::debug!(namespace, service_account, milliseconds, "token fetched"),
        Err(error) => tracing::debug!(
            namespace,
            service_account,
            milliseconds,
            "no token: {error}"
        ),
    }
}
