//! The tokens of ServiceAccounts' Google identities, and the exchanges that failed. Pure: the time is an argument.
//!
//! Guarantees: a token is found only by exactly the key that it was fetched for; it is used for at most 80 % of its life and at most
//! for a configured time; a refused token is never returned again; a failure is returned for a while, longer with each in a row; the
//! number of entries is bounded, and the one that was used least recently goes first.

use lru::LruCache;
use std::{hash::Hash, num::NonZeroUsize, time::Duration};

use super::{
    token::{Token, TokenError},
    token_answer::FetchedToken,
};
use crate::backoff::doubling;

/// The limits of the cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheLimits {
    /// Maximum number of tokens and failures together.
    pub entries: NonZeroUsize,
    /// How long a token is used at most.
    pub max_age: Duration,
    /// How long a first failure is remembered. It doubles up to `max_pause`.
    pub min_pause: Duration,
    /// The longest time that a failure is remembered.
    pub max_pause: Duration,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            entries: NonZeroUsize::new(4096).unwrap_or(NonZeroUsize::MIN),
            max_age: Duration::from_secs(720),
            min_pause: Duration::from_secs(2),
            max_pause: Duration::from_secs(60),
        }
    }
}

/// The shortest time between two exchanges because Google refused the tokens.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// What the cache has for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cached {
    /// A token that may be used.
    Token(Token),
    /// The last exchange failed a short time ago.
    Failed(TokenError),
    /// Nothing.
    Missing,
}

/// See the module.
#[derive(Debug)]
pub struct WorkloadTokenCache<K: Hash + Eq> {
    entries: LruCache<K, Entry>,
    limits: CacheLimits,
}

#[derive(Clone, Debug)]
struct Entry {
    state: State,
    /// Until when `state` counts. A failure stays after that, so that the next one in a row is remembered longer.
    until: Duration,
    /// When the exchange began.
    begun: Duration,
}

#[derive(Clone, Debug)]
enum State {
    Token(Token),
    Failed { error: TokenError, in_a_row: u32 },
}

impl<K: Hash + Eq> WorkloadTokenCache<K> {
    /// An empty cache.
    pub fn new(limits: CacheLimits) -> Self {
        Self {
            entries: LruCache::new(limits.entries),
            limits,
        }
    }

    /// What there is for a key. All times are counted from the same moment.
    pub fn get(&mut self, key: &K, now: Duration) -> Cached {
        match self.entries.get(key) {
            Some(entry) if now < entry.until => match &entry.state {
                State::Token(token) => Cached::Token(token.clone()),
                State::Failed { error, .. } => Cached::Failed(error.clone()),
            },
            _ => Cached::Missing,
        }
    }

    /// Stores the result of an exchange that began at `begun`.
    pub fn keep(
        &mut self,
        key: K,
        result: Result<FetchedToken, TokenError>,
        begun: Duration,
        now: Duration,
    ) {
        let entry = match result {
            Ok(fetched) => {
                let age = (fetched.life / 5 * 4).min(self.limits.max_age);
                Entry {
                    until: begun.saturating_add(age),
                    state: State::Token(fetched.token),
                    begun,
                }
            }
            Err(error) => {
                let before = match self.entries.peek(&key).map(|entry| &entry.state) {
                    Some(State::Failed { in_a_row, .. }) => *in_a_row,
                    _ => 0,
                };
                let in_a_row = before.saturating_add(1);
                let pause = doubling(self.limits.min_pause, self.limits.max_pause, in_a_row);
                Entry {
                    until: now.saturating_add(pause),
                    state: State::Failed { error, in_a_row },
                    begun,
                }
            }
        };
        self.entries.put(key, entry);
    }

    /// Google refused this token: it is not returned again. If it was fetched a moment ago, the next exchange waits.
    pub fn refused(&mut self, token: &Token) {
        for (_, entry) in self.entries.iter_mut() {
            if matches!(&entry.state, State::Token(cached) if cached == token) {
                // In the past, unless the token is new: then the next call finds nothing.
                entry.until = entry.begun.saturating_add(REFUSED_PAUSE);
                entry.state = State::Failed {
                    error: TokenError::new(
                        "Google did not accept the last token; the controller fetches another one in a few seconds",
                    ),
                    in_a_row: 0,
                };
            }
        }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
#[path = "workload_token_cache_tests.rs"]
mod tests;
