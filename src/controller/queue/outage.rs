//! Detects that the API server is unavailable. Pure.
//!
//! During an outage all writes wait in the queue, not each for its own delay, and one request now and then tries whether the outage
//! is over. As soon as one is answered, all others follow.

use std::time::Duration;

use crate::backoff::doubling;

/// So many failures in a row are normal.
const NORMAL_FAILURES: u32 = 4;

/// The pauses after more failures.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// A request got no answer, or 429, 502, 503 or 504, which concern all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unavailable {
    /// How long the API server asks to wait.
    pub retry_after: Option<Duration>,
}

/// The failures in a row, and the pause after them.
#[derive(Debug, Default)]
pub struct Outage {
    failures: u32,
    /// Nothing is sent before this time, and then one request at a time.
    paused_until: Option<Duration>,
}

impl Outage {
    /// How many requests may be in flight; `most` without an outage.
    pub fn most_in_flight(&self, now: Duration, most: usize) -> usize {
        match self.paused_until {
            None => most,
            Some(until) if until <= now => 1,
            Some(_) => 0,
        }
    }

    /// When the next request may be sent.
    pub const fn pause_ends(&self) -> Option<Duration> {
        self.paused_until
    }

    /// A request was answered: the outage is over.
    pub const fn answered(&mut self) {
        self.failures = 0;
        self.paused_until = None;
    }

    /// A request failed.
    pub fn failed(&mut self, unavailable: Unavailable, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        let pause = self
            .failures
            .checked_sub(NORMAL_FAILURES)
            .map(|beyond| doubling(FIRST_PAUSE, LONGEST_PAUSE, beyond.saturating_add(1)));
        if let Some(pause) = pause.max(unavailable.retry_after) {
            let until = now.saturating_add(pause);
            self.paused_until = Some(self.paused_until.map_or(until, |before| before.max(until)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    /// Before, each write came back after a delay of its own, up to 66 s after the outage.
    #[test]
    fn one_request_every_three_seconds_is_tried_and_all_follow_its_answer() {
        let (mut outage, mut now, mut asked) = (Outage::default(), Duration::ZERO, 0);
        while now < S(600) {
            match outage.most_in_flight(now, 16) {
                0 => now = outage.pause_ends().unwrap(),
                room => {
                    assert!(room == 1 || asked < NORMAL_FAILURES, "{asked}");
                    outage.failed(Unavailable::default(), now);
                    asked += 1;
                }
            }
        }
        assert!((200..220).contains(&asked), "{asked}");
        assert!(outage.pause_ends().unwrap() <= now + LONGEST_PAUSE);
        outage.answered();
        assert_eq!(outage.most_in_flight(now, 16), 16);
    }

    #[test]
    fn the_api_servers_own_pause_is_kept_from_the_first_time() {
        let mut outage = Outage::default();
        let unavailable = Unavailable {
            retry_after: Some(S(20)),
        };
        outage.failed(unavailable, S(1));
        // Another failure does not shorten the pause.
        outage.failed(Unavailable::default(), S(2));
        assert_eq!(outage.most_in_flight(S(20), 16), 0);
        assert_eq!(outage.most_in_flight(S(21), 16), 1);
    }
}
