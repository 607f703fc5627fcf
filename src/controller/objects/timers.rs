//! When the next step of each object is due. Pure, and small: twenty thousand timers take half a megabyte.

use std::{collections::BTreeSet, num::NonZeroU64, time::Duration};

use super::id::Id;

/// When an object's next step is due, in microseconds of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wake(NonZeroU64);

/// All timers, the next first.
#[derive(Debug, Default)]
pub struct Timers(BTreeSet<(Wake, Id)>);

impl Wake {
    /// The first microsecond that is not before `time`.
    fn at(time: Duration) -> Self {
        let micros = time.as_nanos().div_ceil(1000);
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        Self(NonZeroU64::new(micros).unwrap_or(NonZeroU64::MIN))
    }

    /// As a monotonic time.
    pub const fn time(self) -> Duration {
        Duration::from_micros(self.0.get())
    }
}

impl Timers {
    /// Sets, moves or ends an object's timer, which was `before`.
    pub fn set(&mut self, id: Id, before: Option<Wake>, at: Option<Duration>) -> Option<Wake> {
        let wake = at.map(Wake::at);
        if wake != before {
            before.map(|before| self.0.remove(&(before, id)));
            wake.map(|wake| self.0.insert((wake, id)));
        }
        wake
    }

    /// When the next timer is due.
    pub fn next(&self) -> Option<Duration> {
        self.0.first().map(|(wake, _)| wake.time())
    }

    /// Removes one that is due.
    pub fn take_due(&mut self, now: Duration) -> Option<Id> {
        self.next().filter(|next| *next <= now)?;
        self.0.pop_first().map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn each_is_due_once_at_the_time_that_was_set_last() {
        let mut timers = Timers::default();
        let first = timers.set(1, None, Some(MS(10)));
        let second = timers.set(2, None, Some(MS(10)));
        let third = timers.set(3, None, Some(MS(5)));
        timers.set(1, first, Some(MS(30)));
        assert_eq!(timers.set(2, second, None), None);
        assert_eq!(timers.next(), Some(MS(5)));
        assert_eq!(timers.take_due(MS(4)), None);
        assert_eq!(timers.take_due(MS(29)), Some(3));
        assert_eq!(timers.take_due(MS(29)), None);
        // One that went off does nothing any more.
        timers.set(3, third, None);
        assert_eq!(timers.take_due(MS(30)), Some(1));
        assert_eq!((timers.next(), timers.take_due(MS(99))), (None, None));
    }

    #[test]
    fn none_is_due_too_early() {
        let mut timers = Timers::default();
        let odd = Duration::from_nanos(1_000_001);
        timers.set(1, None, Some(odd));
        assert_eq!(timers.take_due(MS(1)), None);
        assert!(timers.next().is_some_and(|next| next >= odd));
        timers.set(2, None, Some(Duration::MAX));
        assert!(timers.take_due(odd + MS(1)).is_some());
        assert_eq!(timers.take_due(MS(u64::from(u32::MAX))), None);
    }
}
