//! Keeps a credential's token.
//!
//! Guarantees: many callers share one fetch; every wait is bounded; a token that ends soon is fetched anew while callers
//! go on with the old one, early enough for a server that takes a minute, and takes it twice; nothing is fetched when nobody calls; after a failure, whatever it was, comes a pause that
//! doubles, and then another try; a refused token is fetched anew, but not again and again, and is better than none.

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
    token_answer::Fetched,
};
use crate::google::{
    clean::clean,
    identity::token::{FetchObserver, FetchResult, Token, TokenError},
};

/// The longest life that Google gives any token (constraint `iam.allowServiceAccountCredentialLifetimeExtension`):
/// more is not believed.
const LONGEST_LIFE: Duration = Duration::from_secs(12 * 3600);

/// How long before its end a token is fetched anew, but never in the first half of its life. The metadata server gives out
/// a new one in the last 5 minutes only, and a life that it gives out has at least as much left. A fetch of three requests
/// that each take as long as they may is over in 3 of these minutes; one that fails after a minute leaves time for another.
const REFRESH_BEFORE_END: Duration = Duration::from_secs(4 * 60);

/// How long before its end a token is not given out any more: it has to arrive.
const LAST_USE_BEFORE_END: Duration = Duration::from_secs(10);

/// When a keeper fetches.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchPace {
    /// Limit for one fetch with all of its requests.
    pub fetch_timeout: Duration,
    /// Pause after a first failure; it doubles up to `max_pause`.
    pub min_pause: Duration,
    /// Longest pause between fetches that fail.
    pub max_pause: Duration,
    /// Shortest time between two fetches because a token was refused.
    pub refused_pause: Duration,
}

/// See the module. Cheap to clone; clones share the token.
#[derive(Clone)]
pub(super) struct TokenKeeper(Arc<Inner>);

struct Inner {
    credential: Arc<dyn Credential>,
    pace: FetchPace,
    observer: FetchObserver,
    clock: Clock,
    state: Mutex<State>,
}

/// What time it is; tests turn it.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

#[derive(Default)]
struct State {
    held: Option<Held>,
    fetching: Option<Fetching>,
    failures: u32,
    failed: Option<(TokenError, Instant)>,
    renewed: Option<Instant>,
}

type Fetching = Shared<BoxFuture<'static, Result<Token, TokenError>>>;

#[derive(Clone)]
struct Held {
    token: Token,
    /// A server refused it: another one is worth waiting for.
    refused: bool,
    refresh_from: Instant,
    good_until: Instant,
}

impl TokenKeeper {
    /// Asks nobody yet.
    pub fn new(credential: Arc<dyn Credential>, pace: FetchPace, observer: FetchObserver) -> Self {
        Self::with_clock(credential, pace, observer, Box::new(Instant::now))
    }

    fn with_clock(
        credential: Arc<dyn Credential>,
        pace: FetchPace,
        observer: FetchObserver,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Inner {
            credential,
            pace,
            observer,
            clock,
            state: Mutex::default(),
        }))
    }

    /// The credential that it keeps the token of.
    pub fn credential(&self) -> &dyn Credential {
        self.0.credential.as_ref()
    }

    /// See [`crate::google::identity::token::TokenSource::token`]. A fetch begins at once and goes on if the caller gives up.
    pub fn token(&self) -> BoxFuture<'static, Result<Token, TokenError>> {
        let mut state = self.0.lock();
        let now = (self.0.clock)();
        let held = state.held.as_ref().filter(|held| now < held.good_until);
        let held = held.cloned();
        let paused = state.failed.as_ref().filter(|(_, until)| now < *until);
        match (held, paused) {
            (Some(held), None) if held.refused => {
                let (fetching, inner) = (self.0.fetching(&mut state), self.0.clone());
                let instead = async move {
                    let fetched = fetching.await;
                    match (inner.clock)() < held.good_until {
                        true => Ok(fetched.unwrap_or(held.token)),
                        false => fetched,
                    }
                };
                instead.boxed()
            }
            (Some(held), paused) => {
                if now >= held.refresh_from && paused.is_none() {
                    // Goes on in the background.
                    drop(self.0.fetching(&mut state));
                }
                ready(Ok(held.token)).boxed()
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
            now.saturating_duration_since(renewed) < self.0.pace.refused_pause
        });
        if let Some(held) = state.held.as_mut().filter(|held| held.token == *token)
            && !paused
        {
            held.refused = true;
            state.renewed = Some(now);
        }
    }
}

impl fmt::Debug for TokenKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenKeeper")
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
        // A task of its own: a caller that gives up must not make the others begin again. It ends under the lock that
        // we hold now, so it cannot be over before it is noted.
        let task = tokio::spawn(self.clone().fetch());
        let fetching = async {
            task.await
                .unwrap_or_else(|_| Err(TokenError::new("the process is ending")))
        }
        .boxed()
        .shared();
        state.fetching = Some(fetching.clone());
        fetching
    }

    async fn fetch(self: Arc<Self>) -> Result<Token, TokenError> {
        let begun = (self.clock)();
        let limit = self.pace.fetch_timeout;
        let credential = self.credential.clone();
        // In a task of its own again: if it should panic, that is a failure like any other, and not for ever.
        let fetch = async move { tokio::time::timeout(limit, credential.fetch()).await };
        let fetched = match tokio::spawn(fetch).await {
            Ok(Ok(fetched)) => fetched,
            Ok(Err(_)) => Err(FetchFailed::Failed(format!("no answer within {limit:?}"))),
            Err(_) => Err(FetchFailed::Failed("the fetch was broken off".to_owned())),
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
        // Last: an observer that panics must not leave a fetch behind that never ends.
        self.observer.tell(outcome);
        kept
    }

    /// Notes how a fetch that began then has ended.
    fn keep(
        &self,
        result: Result<Fetched, TokenError>,
        begun: Instant,
    ) -> Result<Token, TokenError> {
        let mut state = self.lock();
        state.fetching = None;
        match result {
            Ok(fetched) => {
                state.failures = 0;
                state.failed = None;
                let held = Held::new(fetched, begun);
                let token = held.token.clone();
                state.held = Some(held);
                Ok(token)
            }
            Err(error) => {
                let doubled = 2u32.saturating_pow(state.failures);
                let pause = self.pace.min_pause.saturating_mul(doubled);
                let until = (self.clock)() + pause.min(self.pace.max_pause);
                state.failures = state.failures.saturating_add(1);
                state.failed = Some((error.clone(), until));
                Err(error)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// `begun` is when the token was asked for: its life began after that.
    fn new(fetched: Fetched, begun: Instant) -> Self {
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
#[path = "keeper_tests.rs"]
mod tests;
