//! How long quotas have held calls back. It measures time, not calls, so that it does not grow with the number of objects. Pure.

use std::time::{Duration, Instant};

/// Measures the time during which at least one hold was in force.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Throttled {
    /// The time up to the first instant is counted; the hold ends at the second.
    held: Option<(Instant, Instant)>,
    /// Counted since [`Throttled::take`].
    counted: Duration,
}

impl Throttled {
    /// A quota holds calls back for this long from now.
    pub fn hold(&mut self, now: Instant, wait: Duration) {
        self.count(now);
        let end = now + wait;
        let end = self.held.map_or(end, |(_, before)| before.max(end));
        self.held = Some((now, end));
    }

    /// Returns the time counted since the last call of this function.
    pub fn take(&mut self, now: Instant) -> Duration {
        self.count(now);
        std::mem::take(&mut self.counted)
    }

    fn count(&mut self, now: Instant) {
        if let Some((from, end)) = self.held {
            self.counted += end.min(now).saturating_duration_since(from);
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
        assert_eq!(throttled.take(at(5)), seconds(0));
        throttled.hold(at(10), seconds(20));
        throttled.hold(at(12), seconds(5));
        assert_eq!(throttled.take(at(15)), seconds(5));
        throttled.hold(at(20), seconds(20));
        assert_eq!(throttled.take(at(25)), seconds(10));
        assert_eq!(throttled.take(at(100)), seconds(15));
        assert_eq!(throttled.take(at(200)), seconds(0));
        throttled.hold(at(300), seconds(1));
        assert_eq!(throttled.take(at(400)), seconds(1));
    }
}
