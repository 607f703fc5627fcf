//! The cache for the token of a credential.
//!
//! Guarantees: concurrent callers share one fetch; every wait is bounded; a token that expires soon is renewed while callers use the old
//! one, early enough for two attempts at a server that takes a minute; without callers there are no fetches; after any failure there is
//! a pause that doubles, then another attempt; a refused token is replaced, at a limited rate, and is used until a new one is there.

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, ready},
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    credential::{Credential, FetchFailed},
    token_answer::FetchedToken,
};
use crate::{
    backoff::doubling,
    google::{
        clean::clean,
        identity::token::{FetchObserver, FetchResult, Token, TokenError},
    },
};

/// The longest lifetime that Google gives a token (constraint `iam.allowServiceAccountCredentialLifetimeExtension`). A longer one is
/// cut to this.
const LONGEST_LIFE: Duration = Duration::from_secs(12 * 3600);

/// How long before it expires a token is renewed, but never in the first half of its lifetime. The metadata server returns a new token
/// only in the last 5 minutes of the old one, and no token with less than that left. A fetch of three slow requests takes 3 of these
/// minutes; after a failed fetch of one minute there is time for another.
const REFRESH_BEFORE_END: Duration = Duration::from_secs(4 * 60);

/// How long before it expires a token is no longer used: the request must arrive in time.
const LAST_USE_BEFORE_END: Duration = Duration::from_secs(10);

/// When the token is fetched.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchTiming {
    /// Limit for one fetch with all of its requests.
    pub fetch_timeout: Duration,
    /// Pause after a first failure; it doubles up to `max_pause`.
    pub min_pause: Duration,
    /// Longest pause between fetches that fail.
    pub max_pause: Duration,
    /// Shortest time between two fetches because a token was refused.
    pub refused_pause: Duration,
}

/// The cache. Clones are cheap and share the token.
#[derive(Clone)]
pub(super) struct TokenCache(Arc<Inner>);

struct Inner {
    credential: Arc<dyn Credential>,
    timing: FetchTiming,
    observer: FetchObserver,
    clock: Clock,
    state: Mutex<State>,
}

/// The current time; tests replace it.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

#[derive(Default)]
struct State {
    cached: Option<CachedToken>,
    fetching: Option<Fetching>,
    failures: u32,
    failed: Option<(TokenError, Instant)>,
    renewed: Option<Instant>,
}

type Fetching = Shared<BoxFuture<'static, Result<Token, TokenError>>>;

#[derive(Clone)]
struct CachedToken {
    token: Token,
    /// A server refused it, so callers wait for another one.
    refused: bool,
    refresh_from: Instant,
    good_until: Instant,
}

impl TokenCache {
    /// Fetches no token yet.
    pub fn new(
        credential: Arc<dyn Credential>,
        timing: FetchTiming,
        observer: FetchObserver,
    ) -> Self {
        Self::with_clock(credential, timing, observer, Box::new(Instant::now))
    }

    fn with_clock(
        credential: Arc<dyn Credential>,
        timing: FetchTiming,
        observer: FetchObserver,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Inner {
            credential,
            timing,
            observer,
            clock,
            state: Mutex::default(),
        }))
    }

    /// The credential whose token is cached.
    pub fn credential(&self) -> &dyn Credential {
        self.0.credential.as_ref()
    }

    /// See [`crate::google::identity::token::TokenSource::token`]. A fetch begins at once and goes on if the caller gives up.
    pub fn token(&self) -> BoxFuture<'static, Result<Token, TokenError>> {
        let mut state = self.0.lock();
        let now = (self.0.clock)();
        let cached = state
            .cached
            .as_ref()
            .filter(|cached| now < cached.good_until);
        let cached = cached.cloned();
        let paused = state.failed.as_ref().filter(|(_, until)| now < *until);
        match (cached, paused) {
            (Some(cached), None) if cached.refused => {
                let (fetching, inner) = (self.0.fetching(&mut state), self.0.clone());
                let instead = async move {
                    let fetched = fetching.await;
                    match (inner.clock)() < cached.good_until {
                        true => Ok(fetched.unwrap_or(cached.token)),
                        false => fetched,
                    }
                };
                instead.boxed()
            }
            (Some(cached), paused) => {
                if now >= cached.refresh_from && paused.is_none() {
                    // Goes on in the background.
                    drop(self.0.fetching(&mut state));
                }
                ready(Ok(cached.token)).boxed()
            }
            (None, Some((error, _))) => ready(Err(error.clone())).boxed(),
            (None, None) => self.0.fetching(&mut state).boxed(),
        }
    }

    /// See [`crate::google::identity::token::TokenSource::refused`].
    pub fn refused(&self, token: &Token) {
        let mut state = self.0.lock();
        let now = (self.0.clock)();
        let paused = state.renewed.is_some_and(|renewed| {
            now.saturating_duration_since(renewed) < self.0.timing.refused_pause
        });
        if let Some(cached) = state
            .cached
            .as_mut()
            .filter(|cached| cached.token == *token)
            && !paused
        {
            cached.refused = true;
            state.renewed = Some(now);
        }
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenCache")
            .field(&self.0.credential)
            .finish()
    }
}

impl Inner {
    /// The fetch that is under way, or a new one.
    fn fetching(self: &Arc<Self>, state: &mut State) -> Fetching {
        if let Some(fetching) = &state.fetching {
            return fetching.clone();
        }
        // A separate task: a caller that gives up must not restart the fetch for the others. The task ends under the lock that we
        // hold now, so it cannot end before it is stored.
        let task = tokio::spawn(self.clone().fetch());
        let fetching = async {
            task.await
                .unwrap_or_else(|_| Err(TokenError::new("the process is stopping")))
        }
        .boxed()
        .shared();
        state.fetching = Some(fetching.clone());
        fetching
    }

    async fn fetch(self: Arc<Self>) -> Result<Token, TokenError> {
        let begun = (self.clock)();
        let limit = self.timing.fetch_timeout;
        let credential = self.credential.clone();
        // Another separate task: a panic counts as a failure, not as a fetch that never ends.
        let fetch = async move { tokio::time::timeout(limit, credential.fetch()).await };
        let fetched = match tokio::spawn(fetch).await {
            Ok(Ok(fetched)) => fetched,
            Ok(Err(_)) => Err(FetchFailed::Failed(format!("no answer within {limit:?}"))),
            Err(_) => Err(FetchFailed::Failed("the fetch was interrupted".to_owned())),
        };
        let (result, outcome) = match fetched {
            Ok(fetched) => (Ok(fetched), FetchResult::Fetched),
            Err(FetchFailed::WrongIdentity(message)) => (
                Err(TokenError::new(clean(&message, &[]))),
                FetchResult::RefusedIdentity,
            ),
            Err(FetchFailed::Failed(why)) => (
                Err(TokenError::new(clean(&self.credential.explain(&why), &[]))),
                FetchResult::Failed,
            ),
        };
        let kept = self.keep(result, begun);
        // Last: an observer that panics must not leave a fetch that never ends.
        self.observer.notify(outcome);
        kept
    }

    /// Stores the result of a fetch that started at `begun`.
    fn keep(
        &self,
        result: Result<FetchedToken, TokenError>,
        begun: Instant,
    ) -> Result<Token, TokenError> {
        let mut state = self.lock();
        state.fetching = None;
        match result {
            Ok(fetched) => {
                state.failures = 0;
                state.failed = None;
                let cached = CachedToken::new(fetched, begun);
                let token = cached.token.clone();
                state.cached = Some(cached);
                Ok(token)
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let FetchTiming {
                    min_pause,
                    max_pause,
                    ..
                } = self.timing;
                let until = (self.clock)() + doubling(min_pause, max_pause, state.failures);
                state.failed = Some((error.clone(), until));
                Err(error)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachedToken {
    /// `begun` is when the token was requested; its lifetime starts later.
    fn new(fetched: FetchedToken, begun: Instant) -> Self {
        let life = fetched.life.min(LONGEST_LIFE);
        Self {
            token: fetched.token,
            refused: false,
            refresh_from: begun + (life / 2).max(life.saturating_sub(REFRESH_BEFORE_END)),
            good_until: begun + life.saturating_sub(LAST_USE_BEFORE_END.min(life / 10)),
        }
    }
}

#[cfg(test)]
#[path = "token_cache_tests.rs"]
mod tests;
