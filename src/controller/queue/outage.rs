//! Whether the API server takes requests at all. Pure.
//!
//! While it does not, those that have something to write wait in the queue, not each for a time of its own, and one of them asks now and
//! then. As soon as it gets an answer, all others follow.

use std::time::Duration;

use crate::backoff::doubling;

/// So many requests in a row without an answer are everyday life.
const EVERYDAY: u32 = 4;

/// The pauses after more of them.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// A request got no answer, or one that is about all requests: too many (429), or not now (502, 503, 504).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// How long the API server wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Outage {
    /// In a row.
    failures: u32,
    /// Nothing is sent before, and then one request at a time.
    paused_until: Option<Duration>,
}

impl Outage {
    /// How many requests may be under way, of so many at the best of times.
    pub fn at_once(&self, now: Duration, most: usize) -> usize {
        match self.paused_until {
            None => most,
            Some(until) if until <= now => 1,
            Some(_) => 0,
        }
    }

    /// When the next one may ask.
    pub const fn pause_ends(&self) -> Option<Duration> {
        self.paused_until
    }

    /// A request was answered.
    pub const fn is_over(&mut self) {
        self.failures = 0;
        self.paused_until = None;
    }

    /// A request was not.
    pub fn failed(&mut self, trouble: Trouble, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        let pause = self
            .failures
            .checked_sub(EVERYDAY)
            .map(|beyond| doubling(FIRST_PAUSE, LONGEST_PAUSE, beyond.saturating_add(1)));
        if let Some(pause) = pause.max(trouble.retry_after) {
            let until = now.saturating_add(pause);
            self.paused_until = Some(self.paused_until.map_or(until, |before| before.max(until)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    /// Before, each of those that had something to write came back after a pause of its own, up to 66 s after the outage.
    #[test]
    fn one_asks_every_three_seconds_and_all_follow_its_answer() {
        let (mut outage, mut now, mut asked) = (Outage::default(), Duration::ZERO, 0);
        while now < S(600) {
            match outage.at_once(now, 16) {
                0 => now = outage.pause_ends().unwrap(),
                room => {
                    assert!(room == 1 || asked < EVERYDAY, "{asked}");
                    outage.failed(Trouble::default(), now);
                    asked += 1;
                }
            }
        }
        assert!((200..220).contains(&asked), "{asked}");
        assert!(outage.pause_ends().unwrap() <= now + LONGEST_PAUSE);
        outage.is_over();
        assert_eq!(outage.at_once(now, 16), 16);
    }

    #[test]
    fn the_api_servers_own_pause_is_kept_from_the_first_time() {
        let mut outage = Outage::default();
        let trouble = Trouble {
            retry_after: Some(S(20)),
        };
        outage.failed(trouble, S(1));
        // Another answer that was on its way shortens nothing.
        outage.failed(Trouble::default(), S(2));
        assert_eq!(outage.at_once(S(20), 16), 0);
        assert_eq!(outage.at_once(S(21), 16), 1);
    }
}
