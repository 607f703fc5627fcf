//! When a failed list or watch is tried again.

use std::time::Duration;

use crate::backoff::doubling;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The failures in a row.
#[derive(Debug, Default)]
pub struct RetryPace {
    failures: u32,
}

impl RetryPace {
    /// Resets the count.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The number of failures in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure. Returns the pause before the next try, which is never shorter than `retry_after`.
    pub fn failed(&mut self, retry_after: Option<Duration>) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let pause = doubling(FIRST_PAUSE, LONGEST_PAUSE, self.failures)
            .mul_f64(0.5 + 0.5 * fastrand::f64());
        pause.max(retry_after.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_as_long_as_the_api_server_asks_for() {
        let mut pace = RetryPace::default();
        assert!(pace.failed(None) <= FIRST_PAUSE);
        let asked = Duration::from_secs(20);
        assert_eq!(pace.failed(Some(asked)), asked);
        for _ in 0..20 {
            pace.failed(None);
        }
        assert!((LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(&pace.failed(None)));
        pace.succeeded();
        assert_eq!(pace.failures(), 0);
    }
}
