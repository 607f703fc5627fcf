use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::api::Reason;

/// Stands for everything that a token depends on.
type Key = u8;

const ENTRIES: usize = 3;
const MAX_AGE: u64 = 100;
const MIN_PAUSE: u64 = 2;
const MAX_PAUSE: u64 = 16;

fn cache() -> WorkloadTokenCache<Key> {
    WorkloadTokenCache::new(CacheLimits {
        entries: NonZeroUsize::new(ENTRIES).unwrap(),
        max_age: s(MAX_AGE),
        min_pause: s(MIN_PAUSE),
        max_pause: s(MAX_PAUSE),
    })
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn token(number: usize) -> Token {
    Token::new(&format!("token-{number}")).unwrap()
}

fn fetched(number: usize, life: u64) -> Result<FetchedToken, TokenError> {
    Ok(FetchedToken {
        token: token(number),
        life: s(life),
    })
}

fn failed() -> TokenError {
    TokenError::because(Reason::TokenExchangeFailed, "no")
}

#[derive(Clone, Debug)]
enum Action {
    Get(Key),
    Fetched {
        key: Key,
        life: u64,
        took: u64,
    },
    Failed(Key),
    /// Google refuses the last token of this key.
    Refused(Key),
    Wait(u64),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let key = 0..5u8;
    let action = prop_oneof![
        4 => key.clone().prop_map(Action::Get),
        3 => (key.clone(), 1..400u64, 0..5u64)
            .prop_map(|(key, life, took)| Action::Fetched { key, life, took }),
        2 => key.clone().prop_map(Action::Failed),
        1 => key.prop_map(Action::Refused),
        3 => (0..60u64).prop_map(Action::Wait),
    ];
    vec(action, 1..60)
}

/// What a cache without a bound would have.
#[derive(Clone, Copy)]
struct Known {
    token: usize,
    begun: u64,
    life: u64,
    refused: bool,
}

proptest! {
    /// A token is returned only for the key that it was fetched for, while it is the last one of that key, within 80 % of its life and
    /// the longest age, and not after it was refused.
    #[test]
    fn a_token_is_returned_only_where_it_may_be(actions in actions()) {
        let mut cache = cache();
        let (mut known, mut now, mut number) = (HashMap::<Key, Known>::new(), 1000, 0);
        for action in actions {
            match action {
                Action::Wait(time) => now += time,
                Action::Fetched { key, life, took } => {
                    number += 1;
                    let begun = now;
                    now += took;
                    cache.keep(key, fetched(number, life), s(begun), s(now));
                    known.insert(key, Known { token: number, begun, life, refused: false });
                }
                Action::Failed(key) => {
                    cache.keep(key, Err(failed()), s(now), s(now));
                    known.remove(&key);
                }
                Action::Refused(key) => if let Some(known) = known.get_mut(&key) {
                    cache.refused(&token(known.token));
                    known.refused = true;
                },
                Action::Get(key) => if let Cached::Token(found) = cache.get(&key, s(now)) {
                    let known = known[&key];
                    prop_assert_eq!(found, token(known.token));
                    prop_assert!(!known.refused);
                    let age = (now - known.begun) as f64;
                    prop_assert!(age < known.life as f64 * 0.8 && age < MAX_AGE as f64, "{age}");
                },
            }
            prop_assert!(cache.len() <= ENTRIES);
        }
    }

    /// Exchanges that always fail get rarer, up to a limit, however often a token is wanted.
    #[test]
    fn failures_in_a_row_are_remembered_longer(waits in vec(0..3u64, 100..200)) {
        let mut cache = cache();
        let (mut now, mut exchanges) = (0, Vec::new());
        for wait in waits {
            now += wait;
            if cache.get(&0, s(now)) == Cached::Missing {
                exchanges.push(now);
                cache.keep(0, Err(failed()), s(now), s(now));
            }
        }
        for (number, pair) in exchanges.windows(2).enumerate() {
            let pause = (MIN_PAUSE << number.min(10)).min(MAX_PAUSE);
            prop_assert!(pair[1] - pair[0] >= pause, "{exchanges:?}");
        }
    }
}

#[test]
fn the_life_counts_from_the_request_and_ends_at_80_percent() {
    let mut cache = cache();
    cache.keep(0, fetched(1, 50), s(10), s(15));
    assert_eq!(cache.get(&0, s(49)), Cached::Token(token(1)));
    assert_eq!(cache.get(&0, s(50)), Cached::Missing);
    cache.keep(0, fetched(2, 3600), s(100), s(100));
    assert_eq!(cache.get(&0, s(199)), Cached::Token(token(2)));
    assert_eq!(cache.get(&0, s(200)), Cached::Missing);
    assert_eq!(cache.get(&1, s(100)), Cached::Missing, "another key");
}

/// Before, the exchange ended with a panic.
#[test]
fn a_token_whose_life_is_absurdly_long_is_used_for_the_longest_age() {
    let mut cache = cache();
    cache.keep(0, fetched(1, u64::MAX), s(10), s(15));
    assert_eq!(cache.get(&0, s(109)), Cached::Token(token(1)));
    assert_eq!(cache.get(&0, s(110)), Cached::Missing);
}

#[test]
fn a_refused_token_is_gone_at_once_and_fetched_again_after_a_pause() {
    let mut cache = cache();
    cache.keep(0, fetched(1, 90), s(0), s(0));
    cache.keep(1, fetched(2, 90), s(0), s(0));
    cache.refused(&token(1));
    assert!(matches!(cache.get(&0, s(9)), Cached::Failed(_)));
    assert_eq!(cache.get(&0, s(10)), Cached::Missing);
    assert_eq!(cache.get(&1, s(9)), Cached::Token(token(2)));
    // An old one needs no pause.
    cache.refused(&token(2));
    assert_eq!(cache.get(&1, s(60)), Cached::Missing);
    // The next one is another token: what is said of the old one does not count.
    cache.keep(0, fetched(3, 90), s(60), s(60));
    cache.refused(&token(1));
    assert_eq!(cache.get(&0, s(60)), Cached::Token(token(3)));
}

#[test]
fn the_least_recently_used_entry_goes_first_and_a_success_ends_a_row_of_failures() {
    let mut cache = cache();
    for key in 0..3 {
        cache.keep(key, fetched(key.into(), 90), s(0), s(0));
    }
    cache.get(&0, s(1));
    cache.keep(3, Err(failed()), s(1), s(1));
    assert_eq!(cache.get(&1, s(1)), Cached::Missing);
    assert_eq!(cache.get(&0, s(1)), Cached::Token(token(0)));
    assert_eq!(cache.get(&3, s(2)), Cached::Failed(failed()));
    cache.keep(3, Err(failed()), s(10), s(10));
    assert_eq!(
        cache.get(&3, s(13)),
        Cached::Failed(failed()),
        "twice as long"
    );
    cache.keep(3, fetched(4, 10), s(20), s(20));
    cache.keep(3, Err(failed()), s(30), s(30));
    assert_eq!(
        cache.get(&3, s(32)),
        Cached::Missing,
        "as short as the first"
    );
}
