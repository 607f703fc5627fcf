//! How many tokens the ServiceAccounts of one namespace may cost: a rate, so that a namespace that creates ServiceAccounts or changes
//! annotations in a loop does not use up Google's quotas for all others. Pure: the time is an argument.

use std::{collections::HashMap, time::Duration};

/// How many tokens a namespace may request at once; as many more follow in each minute.
pub const PER_MINUTE: u32 = 60;

const MINUTE: Duration = Duration::from_secs(60);

/// The budgets of all namespaces.
#[derive(Debug, Default)]
pub struct FetchBudget {
    /// When each namespace has its whole budget again; those that have it are not in here.
    whole_at: HashMap<String, Duration>,
}

impl FetchBudget {
    /// Takes one token of a namespace's budget. All times are counted from the same moment.
    ///
    /// # Errors
    /// If the budget is used up: how long it takes until there is another one.
    pub fn take(&mut self, namespace: &str, now: Duration) -> Result<(), Duration> {
        self.whole_at.retain(|_, whole_at| *whole_at > now);
        let before = self.whole_at.get(namespace).copied().unwrap_or(now);
        let after = before.saturating_add(MINUTE / PER_MINUTE);
        let missing = after.saturating_sub(now).saturating_sub(MINUTE);
        if !missing.is_zero() {
            return Err(missing);
        }
        self.whole_at.insert(namespace.to_owned(), after);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn a_namespace_has_its_minute_at_once_and_then_one_a_second() {
        let mut budget = FetchBudget::default();
        let s = Duration::from_secs;
        for _ in 0..PER_MINUTE {
            assert_eq!(budget.take("busy", s(1000)), Ok(()));
        }
        assert_eq!(budget.take("busy", s(1000)), Err(s(1)));
        assert_eq!(budget.take("other", s(1000)), Ok(()));
        assert_eq!(budget.take("busy", s(1001)), Ok(()));
        assert_eq!(budget.take("busy", s(1001)), Err(s(1)));
        // Nothing is remembered of namespaces that have their whole budget.
        assert_eq!(budget.take("last", s(2000)), Ok(()));
        assert_eq!(budget.whole_at.len(), 1);
    }

    proptest! {
        /// However the requests come, a minute has at most two budgets: one that was saved and one that is new.
        #[test]
        fn no_minute_has_more_than_two_budgets(pauses in vec(0..3000u64, 1..400)) {
            let mut budget = FetchBudget::default();
            let (mut now, mut taken) = (Duration::ZERO, Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause / 10);
                if budget.take("busy", now).is_ok() {
                    taken.push(now);
                }
            }
            for (number, begin) in taken.iter().enumerate() {
                let within = taken[number..].iter().take_while(|at| **at < *begin + MINUTE).count();
                prop_assert!(within <= 2 * PER_MINUTE as usize, "{within}");
            }
        }
    }
}
