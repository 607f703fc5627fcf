//! The process's clocks.
//!
//! Stored times are the API server's, from the `Date` headers of its answers: the creation times of objects come from there, and
//! a node's clock may be wrong by hours. Elapsed time is measured by the process's monotonic clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::lifecycle::Now;

/// Stands for "no answer yet"; not a time.
const UNKNOWN: i64 = i64::MIN;

/// Both clocks. The monotonic one counts from the start. Clones share what they learn.
#[derive(Clone, Debug)]
pub struct Clock {
    origin: Instant,
    /// The API server's time at `origin`, in milliseconds since the epoch.
    server: Arc<AtomicI64>,
}

impl Clock {
    /// Starts the clocks. Until the API server has answered, the node's clock is used.
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
            server: Arc::new(AtomicI64::new(UNKNOWN)),
        }
    }

    /// The time now.
    pub fn now(&self) -> Now {
        let mono = self.mono();
        Now {
            wall: self.server_time(mono).unwrap_or_else(Timestamp::now),
            mono,
        }
    }

    /// The wall time now, as [`Clock::now`] has it.
    pub fn system_time(&self) -> SystemTime {
        self.now().wall.into()
    }

    /// The monotonic time now.
    pub fn mono(&self) -> Duration {
        self.origin.elapsed()
    }

    /// A monotonic time as an instant for timers.
    pub fn instant(&self, mono: Duration) -> Instant {
        self.origin + mono
    }

    /// Learns from the `Date` header of an answer that came now, to a request that was `sent` then. The header has whole seconds
    /// and was written at some moment in between, so it gives a range; the known time is moved into the range, and no further. A
    /// slow answer gives a wide range. An invalid date is ignored.
    pub fn learn(&self, date: &str, sent: Duration) {
        self.learn_at(date, sent, self.mono());
    }

    fn learn_at(&self, date: &str, sent: Duration, received: Duration) {
        let Ok(date) = httpdate::parse_http_date(date) else {
            return;
        };
        let Ok(since_epoch) = date.duration_since(SystemTime::UNIX_EPOCH) else {
            return;
        };
        let date = millis(since_epoch);
        let earliest = date.saturating_sub(millis(received));
        let latest = date
            .saturating_add(999)
            .saturating_sub(millis(sent))
            .max(earliest);
        // Answers may overtake each other, which is harmless: the true time is in the range of each.
        let known = self.server.load(Ordering::Relaxed);
        let learnt = if known == UNKNOWN {
            earliest.midpoint(latest)
        } else {
            known.clamp(earliest, latest)
        };
        self.server.store(learnt, Ordering::Relaxed);
    }

    fn server_time(&self, mono: Duration) -> Option<Timestamp> {
        let at_origin = self.server.load(Ordering::Relaxed);
        if at_origin == UNKNOWN {
            return None;
        }
        let origin = Timestamp::from_millisecond(at_origin).ok()?;
        origin
            .checked_add(SignedDuration::try_from(mono).ok()?)
            .ok()
    }
}

/// A duration as logs show it.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// The API server's time at a moment of the process's clock, in milliseconds after 08:49:37.
    fn server_time(clock: &Clock, mono: Duration) -> i64 {
        let time = clock.server_time(mono).expect("known");
        time.as_millisecond() - 784_111_777_000
    }

    #[test]
    fn the_api_servers_time_is_narrowed_down_by_each_answer() {
        let clock = Clock::start();
        assert_eq!(clock.server_time(MS(0)), None);
        clock.learn_at("no date", MS(0), MS(0));
        assert_eq!(clock.server_time(MS(0)), None);
        clock.learn_at("Sun, 06 Nov 1994 08:49:37 GMT", MS(99), MS(100));
        assert_eq!(server_time(&clock, MS(100)), 500);
        // Still the same second 800 ms later, so it was earlier.
        clock.learn_at("Sun, 06 Nov 1994 08:49:37 GMT", MS(900), MS(900));
        assert_eq!(server_time(&clock, MS(900)), 999);
        clock.learn_at("Sun, 06 Nov 1994 08:49:38 GMT", MS(1000), MS(1000));
        assert_eq!(server_time(&clock, MS(1000)), 1099);
        // An answer that was on its way for 20 s, or lay unread, sets nothing back.
        clock.learn_at("Sun, 06 Nov 1994 08:49:38 GMT", MS(1000), MS(21_000));
        assert_eq!(server_time(&clock, MS(1000)), 1099);
        // The server's clock was set back by an hour.
        clock.learn_at("Sun, 06 Nov 1994 07:49:38 GMT", MS(1000), MS(1000));
        assert_eq!(server_time(&clock, MS(1000)), 1999 - 3_600_000);
    }

    #[test]
    fn clones_share_it_and_the_nodes_clock_does_not_count() {
        let clock = Clock::start();
        clock
            .clone()
            .learn("Sun, 06 Nov 1994 08:49:37 GMT", clock.mono());
        let wall = clock.now().wall.as_second();
        assert!((784_111_777..784_111_900).contains(&wall), "{wall}");
    }
}
