//! For how long quotas have held calls back: time, not calls, so that it does not grow with the number of objects. Pure.

use std::time::{Duration, Instant};

/// The time in which at least one hold was in force.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Throttled {
    /// Counted up to the first time; held until the second.
    held: Option<(Instant, Instant)>,
    /// Counted, and not yet given away.
    passed: Duration,
}

impl Throttled {
    /// A quota holds calls back for this long from now.
    pub fn until(&mut self, now: Instant, wait: Duration) {
        self.count(now);
        let end = now + wait;
        let end = self.held.map_or(end, |(_, before)| before.max(end));
        self.held = Some((now, end));
    }

    /// How much has passed since this was last asked.
    pub fn passed(&mut self, now: Instant) -> Duration {
        self.count(now);
        std::mem::take(&mut self.passed)
    }

    fn count(&mut self, now: Instant) {
        if let Some((from, end)) = self.held {
            self.passed += end.min(now).saturating_duration_since(from);
            self.held = (end > now).then_some((now, end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_once_however_many_holds_overlap() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let seconds = Duration::from_secs;
        let mut throttled = Throttled::default();
        assert_eq!(throttled.passed(at(5)), seconds(0));
        throttled.until(at(10), seconds(20));
        throttled.until(at(12), seconds(5));
        assert_eq!(throttled.passed(at(15)), seconds(5));
        throttled.until(at(20), seconds(20));
        assert_eq!(throttled.passed(at(25)), seconds(10));
        assert_eq!(throttled.passed(at(100)), seconds(15));
        assert_eq!(throttled.passed(at(200)), seconds(0));
        throttled.until(at(300), seconds(1));
        assert_eq!(throttled.passed(at(400)), seconds(1));
    }
}
