//! How many calls to Google each namespace may make in a minute (`--namespace-calls-per-minute`), and which of its objects goes first
//! when it has made them. Pure: the time is an argument.
//!
//! The operator's quotas at Google are shared by all namespaces. Without a limit, a namespace that creates and deletes a hundred objects
//! a second would use twelve thousand calls of them a minute.
//!
//! Cancel requests go first, then GETs on which they depend, then polls. A fifth of the rate is kept from polls, so a namespace with
//! thousands of operations that never end can cancel another one at once. Within a priority, objects take turns.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::{
    controller::{objects::id::Id, rate_limits::RateLimits},
    lifecycle::{CallPriority, MayCall},
};

/// The share of the rate that polls leave.
const LEFT_BY_POLLS: u32 = 5;

/// How many namespaces the log names.
const MOST_NAMED: usize = 10;

/// How often the log names them.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The limits of all namespaces, and the objects that wait. They are kept in memory only: a new process begins with whole rates.
#[derive(Debug)]
pub struct CallLimits {
    /// `None` if there is no limit.
    limits: Option<Limits>,
    places: HashMap<Id, Place>,
    namespaces: HashMap<Arc<str>, Namespace>,
    /// When the next object of each namespace with waiting objects may have its turn.
    turns: BTreeSet<(Duration, Arc<str>)>,
    last_number: u64,
    /// The object whose turn it is.
    turn: Option<Id>,
    logged: Option<Duration>,
}

#[derive(Debug)]
struct Limits {
    rates: RateLimits,
    left_by_polls: u32,
}

/// Where an object waits.
#[derive(Clone, Debug)]
struct Place {
    namespace: Arc<str>,
    priority: CallPriority,
    number: u64,
}

/// The waiting objects of a namespace: the next one comes first.
#[derive(Debug, Default)]
struct Namespace {
    waiting: BTreeMap<(CallPriority, u64), Id>,
    turn_at: Duration,
}

impl Limits {
    /// How long the namespace has to wait for a call of this priority.
    fn wait(&self, namespace: &str, priority: CallPriority, now: Duration) -> Duration {
        let rest = match priority {
            CallPriority::Cancel | CallPriority::Get => 0,
            CallPriority::Poll => self.left_by_polls,
        };
        self.rates.wait(namespace, rest, now)
    }
}

impl CallLimits {
    /// So many calls a minute for each namespace; `None` is no limit.
    pub fn new(per_minute: Option<u32>) -> Self {
        Self {
            limits: per_minute.map(|per_minute| Limits {
                rates: RateLimits::per_minute(per_minute),
                left_by_polls: per_minute / LEFT_BY_POLLS,
            }),
            places: HashMap::new(),
            namespaces: HashMap::new(),
            turns: BTreeSet::new(),
            last_number: 0,
            turn: None,
            logged: None,
        }
    }

    /// Which calls an object may begin now. An object may not go ahead of those that wait.
    pub fn allowed(&self, id: Id, namespace: &str, now: Duration) -> MayCall {
        let Some(limits) = &self.limits else {
            return MayCall::ALL;
        };
        let next = self
            .namespaces
            .get(namespace)
            .and_then(Namespace::next)
            .filter(|_| self.turn != Some(id));
        let may = |priority| {
            next.is_none_or(|next| priority < next)
                && limits.wait(namespace, priority, now).is_zero()
        };
        MayCall {
            cancel: may(CallPriority::Cancel),
            get: may(CallPriority::Get),
            poll: may(CallPriority::Poll),
        }
    }

    /// Counts a call of a namespace, which may be one more than the limit allows.
    pub fn count(&mut self, namespace: &str, now: Duration) {
        let Some(limits) = &mut self.limits else {
            return;
        };
        let namespace = match self.namespaces.get_key_value(namespace) {
            Some((namespace, _)) => namespace.clone(),
            None => namespace.into(),
        };
        limits.rates.take(&namespace, now);
        self.set_turn(&namespace, now);
    }

    /// An object waits for its turn, unless it waits already.
    pub fn wait(&mut self, id: Id, namespace: &str, priority: CallPriority, now: Duration) {
        if let Some(place) = self.places.get(&id) {
            if place.priority == priority {
                return;
            }
            self.forget(id, now);
        }
        let namespace: Arc<str> = match self.namespaces.get_key_value(namespace) {
            Some((namespace, _)) => namespace.clone(),
            None => namespace.into(),
        };
        self.last_number += 1;
        let number = self.last_number;
        let of_namespace = self.namespaces.entry(namespace.clone()).or_default();
        of_namespace.waiting.insert((priority, number), id);
        self.set_turn(&namespace, now);
        let place = Place {
            namespace,
            priority,
            number,
        };
        self.places.insert(id, place);
    }

    /// The object waits no longer.
    pub fn forget(&mut self, id: Id, now: Duration) {
        let Some(place) = self.places.remove(&id) else {
            return;
        };
        if let Some(of_namespace) = self.namespaces.get_mut(&place.namespace) {
            of_namespace.waiting.remove(&(place.priority, place.number));
        }
        self.set_turn(&place.namespace, now);
    }

    /// Takes the next object whose turn has come. It may go ahead of the others until [`CallLimits::end_turn`].
    pub fn take_turn(&mut self, now: Duration) -> Option<Id> {
        let (at, namespace) = self.turns.first()?;
        if *at > now {
            return None;
        }
        let id = *self.namespaces.get(namespace)?.waiting.values().next()?;
        self.forget(id, now);
        self.turn = Some(id);
        Some(id)
    }

    /// The object has had its turn, whether it made a call or not.
    pub const fn end_turn(&mut self) {
        self.turn = None;
    }

    /// When the next turn comes.
    pub fn wakes_at(&self) -> Option<Duration> {
        self.turns.first().map(|(at, _)| *at)
    }

    /// The number of objects that wait.
    pub fn waiting(&self) -> usize {
        self.places.len()
    }

    /// The number of namespaces that they belong to.
    pub fn namespaces(&self) -> usize {
        self.namespaces.len()
    }

    /// What the log says about the namespaces that wait, at most once a minute: those with the most waiting objects.
    pub fn warning(&mut self, now: Duration) -> Option<String> {
        let is_due = |logged| now >= logged + LOG_EVERY;
        if self.namespaces.is_empty() || !self.logged.is_none_or(is_due) {
            return None;
        }
        self.logged = Some(now);
        let mut waiting: Vec<_> = self.namespaces.iter().collect();
        waiting.sort_by_key(|(name, of)| (std::cmp::Reverse(of.waiting.len()), *name));
        let named = waiting.iter().take(MOST_NAMED);
        let named: Vec<_> = named
            .map(|(name, of)| format!("{name}: {}", of.waiting.len()))
            .collect();
        let more = match waiting.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(", and {more} more namespaces"),
        };
        Some(format!(
            "--namespace-calls-per-minute is reached; objects that wait for a call, by namespace: {}{more}",
            named.join(", ")
        ))
    }

    /// Sets when the next object of a namespace has its turn.
    fn set_turn(&mut self, namespace: &Arc<str>, now: Duration) {
        let Some(of_namespace) = self.namespaces.get_mut(namespace) else {
            return;
        };
        self.turns
            .remove(&(of_namespace.turn_at, namespace.clone()));
        let next = of_namespace.next().zip(self.limits.as_ref());
        let Some((priority, limits)) = next else {
            self.namespaces.remove(namespace);
            return;
        };
        of_namespace.turn_at = now.saturating_add(limits.wait(namespace, priority, now));
        self.turns.insert((of_namespace.turn_at, namespace.clone()));
    }
}

impl Namespace {
    /// The priority of the next object.
    fn next(&self) -> Option<CallPriority> {
        self.waiting.keys().next().map(|(priority, _)| *priority)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use CallPriority::{Cancel, Get, Poll};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// The objects that have their turn by then, each with one call.
    fn turns(limits: &mut CallLimits, namespace: &str, until: Duration) -> Vec<Id> {
        let mut turns = Vec::new();
        while let Some(at) = limits.wakes_at().filter(|at| *at <= until) {
            let id = limits.take_turn(at).unwrap();
            assert!(limits.allowed(id, namespace, at).get);
            limits.count(namespace, at);
            limits.end_turn();
            turns.push(id);
        }
        turns
    }

    fn used_up(namespace: &str) -> CallLimits {
        let mut limits = CallLimits::new(Some(60));
        for _ in 0..60 {
            assert!(limits.allowed(0, namespace, MS(0)).get);
            limits.count(namespace, MS(0));
        }
        assert!(!limits.allowed(0, namespace, MS(0)).cancel);
        limits
    }

    #[test]
    fn cancel_requests_go_first_and_polls_last() {
        let mut limits = used_up("a");
        for (id, priority) in [(1, Poll), (2, Get), (3, Cancel), (4, Get), (5, Cancel)] {
            limits.wait(id, "a", priority, MS(0));
        }
        assert_eq!(turns(&mut limits, "a", MS(999)), [0; 0]);
        assert_eq!(turns(&mut limits, "a", MS(4000)), [3, 5, 2, 4]);
        // A fifth of the rate is saved before the first poll.
        assert_eq!(turns(&mut limits, "a", MS(4000 + 12_999)), [0; 0]);
        assert_eq!(turns(&mut limits, "a", MS(4000 + 13_000)), [1]);
        assert_eq!(
            (limits.wakes_at(), limits.waiting(), limits.namespaces()),
            (None, 0, 0)
        );
    }

    #[test]
    fn polls_leave_calls_for_cancel_requests() {
        let mut limits = CallLimits::new(Some(60));
        let mut polls = 0;
        while limits.allowed(0, "a", MS(0)).poll {
            limits.count("a", MS(0));
            polls += 1;
        }
        assert_eq!(polls, 48);
        limits.wait(1, "a", Poll, MS(0));
        for _ in 0..12 {
            assert!(limits.allowed(2, "a", MS(0)).cancel);
            limits.count("a", MS(0));
        }
        assert!(!limits.allowed(2, "a", MS(0)).cancel);
    }

    #[test]
    fn no_object_goes_ahead_of_those_that_wait() {
        let mut limits = used_up("a");
        limits.wait(1, "a", Get, MS(0));
        let at = MS(1000);
        let may = limits.allowed(2, "a", at);
        assert_eq!((may.cancel, may.get, may.poll), (true, false, false));
        assert_eq!(limits.take_turn(at), Some(1));
        assert!(limits.allowed(1, "a", at).get);
        limits.end_turn();
        // It made no call, so the next one may.
        assert!(limits.allowed(2, "a", at).get);
    }

    #[test]
    fn an_object_waits_once_and_keeps_its_place() {
        let mut limits = used_up("a");
        limits.wait(1, "a", Get, MS(0));
        limits.wait(2, "a", Get, MS(0));
        limits.wait(1, "a", Get, MS(500));
        assert_eq!(limits.waiting(), 2);
        limits.wait(2, "a", Cancel, MS(500));
        limits.wait(3, "a", Get, MS(500));
        limits.forget(3, MS(500));
        assert_eq!(turns(&mut limits, "a", MS(60_000)), [2, 1]);
    }

    #[test]
    fn another_namespace_is_not_limited() {
        let mut limits = used_up("a");
        limits.wait(1, "a", Get, MS(0));
        assert_eq!(limits.allowed(2, "b", MS(0)), MayCall::ALL);
        limits.count("b", MS(0));
        assert_eq!(limits.allowed(2, "b", MS(0)), MayCall::ALL);
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let mut limits = CallLimits::new(None);
        for _ in 0..100_000 {
            limits.count("a", MS(0));
        }
        assert_eq!(limits.allowed(1, "a", MS(0)), MayCall::ALL);
        assert_eq!(limits.wakes_at(), None);
    }

    #[test]
    fn the_log_names_those_that_wait_once_a_minute() {
        let mut limits = used_up("a");
        assert_eq!(limits.warning(MS(0)), None);
        for id in 1..=12 {
            limits.wait(id, &format!("n{id:02}"), Poll, MS(0));
        }
        limits.wait(20, "n12", Poll, MS(0));
        let warning = limits.warning(MS(0)).unwrap();
        assert!(warning.contains("n12: 2, n01: 1"), "{warning}");
        assert!(warning.ends_with("and 2 more namespaces"), "{warning}");
        assert_eq!(limits.warning(MS(59_999)), None);
        assert!(limits.warning(MS(60_000)).is_some());
    }

    proptest! {
        /// In any order of arrivals and ends: each that waits has its turn once, higher priorities first, and never more calls than
        /// two rates in a minute.
        #[test]
        fn each_has_its_turn(steps in vec((0u8..4, 0u8..3, 0u64..400), 1..300)) {
            let mut limits = CallLimits::new(Some(60));
            let (mut now, mut expected, mut had, mut calls) = (MS(0), BTreeSet::new(), BTreeSet::new(), Vec::new());
            for (id, (kind, priority, pause)) in steps.iter().enumerate() {
                let (id, priority) = (id as Id, [Cancel, Get, Poll][usize::from(*priority)]);
                now += MS(*pause);
                if *kind == 0 {
                    limits.forget(id / 2, now);
                    expected.remove(&(id / 2));
                }
                if limits.allowed(id, "a", now).allows(priority) {
                    limits.count("a", now);
                    calls.push(now);
                } else {
                    limits.wait(id, "a", priority, now);
                    expected.insert(id);
                }
                while let Some(id) = limits.take_turn(now) {
                    prop_assert!(expected.remove(&id) && had.insert(id));
                    limits.count("a", now);
                    limits.end_turn();
                    calls.push(now);
                }
            }
            while let Some(at) = limits.wakes_at() {
                now = now.max(at);
                let id = limits.take_turn(now);
                prop_assert!(id.is_some_and(|id| expected.remove(&id) && had.insert(id)));
                limits.count("a", now);
                limits.end_turn();
                calls.push(now);
            }
            prop_assert!(expected.is_empty(), "{expected:?}");
            prop_assert!(limits.places.is_empty() && limits.namespaces.is_empty());
            for (number, begin) in calls.iter().enumerate() {
                let within = calls[number..].iter().take_while(|at| **at < *begin + LOG_EVERY).count();
                prop_assert!(within <= 120, "{within}");
            }
        }
    }
}
