//! A rate for each namespace: so many at once, and as many more in each minute (a token bucket). Pure: the time is an argument.

use std::{collections::HashMap, sync::Arc, time::Duration};

const MINUTE: Duration = Duration::from_secs(60);

/// Namespaces with their whole rate are forgotten when there are more entries than this, and than twice those that were left before.
const FEW: usize = 64;

/// The same rate for each namespace. All times are counted from the same moment.
#[derive(Debug)]
pub struct RateLimits {
    /// The time after which a namespace may take one more.
    spacing: Duration,
    /// When each namespace has its whole rate again; one without an entry has it.
    whole_at: HashMap<Arc<str>, Duration>,
    forget_above: usize,
}

impl RateLimits {
    /// A namespace may take so many at once, at least one, and as many more in each minute.
    pub fn per_minute(number: u32) -> Self {
        Self {
            spacing: MINUTE / number.max(1),
            whole_at: HashMap::new(),
            forget_above: FEW,
        }
    }

    /// How long a namespace has to wait until it may take one and `rest` are left; zero if it may now.
    pub fn wait(&self, namespace: &str, rest: u32, now: Duration) -> Duration {
        let used = self.used(namespace, now);
        let after = used.saturating_add(self.spacing.saturating_mul(rest.saturating_add(1)));
        after.saturating_sub(MINUTE)
    }

    /// Takes one, whether the namespace may or not: the next one comes later then.
    pub fn take(&mut self, namespace: &Arc<str>, now: Duration) {
        let used = self.used(namespace, now);
        let whole_at = now.saturating_add(used).saturating_add(self.spacing);
        self.whole_at.insert(namespace.clone(), whole_at);
        if self.whole_at.len() > self.forget_above {
            self.whole_at.retain(|_, whole_at| *whole_at > now);
            self.forget_above = FEW.max(self.whole_at.len().saturating_mul(2));
        }
    }

    /// How long it takes until the namespace has its whole rate again.
    fn used(&self, namespace: &str, now: Duration) -> Duration {
        self.whole_at
            .get(namespace)
            .map_or(Duration::ZERO, |whole_at| whole_at.saturating_sub(now))
    }

    /// The number of remembered namespaces.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.whole_at.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_namespace_has_its_minute_at_once_and_then_one_a_second() {
        let (mut limits, busy, other) = (RateLimits::per_minute(60), "busy".into(), "other".into());
        for _ in 0..60 {
            assert_eq!(limits.wait("busy", 0, S(1000)), S(0));
            limits.take(&busy, S(1000));
        }
        assert_eq!(limits.wait("busy", 0, S(1000)), S(1));
        assert_eq!(limits.wait("other", 0, S(1000)), S(0));
        limits.take(&other, S(1000));
        assert_eq!(limits.wait("busy", 0, S(1001)), S(0));
        // One that is left for something else has to be there first.
        assert_eq!(limits.wait("busy", 12, S(1001)), S(12));
        // What was taken in advance is waited for.
        for _ in 0..5 {
            limits.take(&busy, S(1001));
        }
        assert_eq!(limits.wait("busy", 0, S(1001)), S(5));
    }

    #[test]
    fn namespaces_with_their_whole_rate_are_forgotten() {
        let mut limits = RateLimits::per_minute(60);
        for n in 0..100_000_u32 {
            limits.take(&format!("n{n}").into(), S(u64::from(n)));
        }
        assert!(limits.remembered() <= FEW + 1, "{}", limits.remembered());
    }

    proptest! {
        /// However they come, a minute has at most two rates: one that was saved and one that is new.
        #[test]
        fn no_minute_has_more_than_two_rates(pauses in vec(0..3000u64, 1..400)) {
            let (mut limits, busy) = (RateLimits::per_minute(60), "busy".into());
            let (mut now, mut taken) = (Duration::ZERO, Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause / 10);
                if limits.wait("busy", 0, now).is_zero() {
                    limits.take(&busy, now);
                    taken.push(now);
                }
            }
            for (number, begin) in taken.iter().enumerate() {
                let within = taken[number..].iter().take_while(|at| **at < *begin + MINUTE).count();
                prop_assert!(within <= 120, "{within}");
            }
        }
    }
}
