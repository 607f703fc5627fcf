//! Who is next, among more calls than may be under way. Pure.
//!
//! Namespaces take turns, and within one its endpoints. However many calls one of them has waiting, it never gets more than
//! half of the workers that the others leave: whoever comes next finds one free (I12).
//!
//! A namespace that has no call that may begin is put aside until a worker becomes free for it. So each turn costs the same,
//! however many namespaces wait for an endpoint that does not answer.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::Arc,
};

/// Who a call is counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The object's namespace.
    pub namespace: Arc<str>,
    /// The endpoint that is called.
    pub endpoint: Arc<str>,
}

/// The waiting calls of one lane. It holds at most one entry for each object that the process knows, which bounds it.
#[derive(Debug)]
pub struct FairQueue<T> {
    workers: usize,
    /// Whose turn is next comes first; each namespace with something waiting stands here once, or was put aside.
    turns: VecDeque<Arc<str>>,
    aside: Aside,
    waiting: HashMap<Arc<str>, Endpoints<T>>,
    waiting_count: usize,
    busy: Shares,
    /// How often a namespace was looked at.
    #[cfg(test)]
    looks: usize,
}

/// The waiting calls of one namespace by endpoint, in the order of their turns.
type Endpoints<T> = VecDeque<(Arc<str>, VecDeque<T>)>;

/// The namespaces of which no call may begin until a worker becomes free.
#[derive(Debug, Default)]
struct Aside {
    all: HashSet<Arc<str>>,
    /// Those that have their share of workers. Each has a call under way, so there are no more than workers.
    by_namespace: HashSet<Arc<str>>,
    /// Those that wait only for endpoints which have their share. Each of these has a call under way too. A namespace may stand
    /// here although it is not aside any more.
    by_endpoint: HashMap<Arc<str>, VecDeque<Arc<str>>>,
    /// A worker became free since it was last looked for one of them.
    freed: bool,
}

/// The workers in use.
#[derive(Debug, Default)]
struct Shares {
    total: usize,
    by_namespace: HashMap<Arc<str>, usize>,
    by_endpoint: HashMap<Arc<str>, usize>,
}

impl<T> FairQueue<T> {
    /// With room for so many calls at once, at least one.
    pub fn new(workers: usize) -> Self {
        Self {
            workers: workers.max(1),
            turns: VecDeque::new(),
            aside: Aside::default(),
            waiting: HashMap::new(),
            waiting_count: 0,
            busy: Shares::default(),
            #[cfg(test)]
            looks: 0,
        }
    }

    /// One more call waits.
    pub fn push(&mut self, namespace: &str, endpoint: &str, call: T) {
        self.waiting_count += 1;
        let Some(endpoints) = self.waiting.get_mut(namespace) else {
            let namespace: Arc<str> = namespace.into();
            self.turns.push_back(namespace.clone());
            let first = (endpoint.into(), VecDeque::from([call]));
            self.waiting.insert(namespace, VecDeque::from([first]));
            return;
        };
        match endpoints.iter_mut().find(|(of, _)| **of == *endpoint) {
            Some((_, calls)) => calls.push_back(call),
            None => {
                endpoints.push_back((endpoint.into(), VecDeque::from([call])));
                // This one may have a worker free.
                if let Some(namespace) = self.aside.take_back(namespace) {
                    self.turns.push_back(namespace);
                }
            }
        }
    }

    /// The next call that may begin, and for whom; [`FairQueue::done`] has to be told when it ended.
    pub fn take(&mut self) -> Option<(Owner, T)> {
        if self.busy.total >= self.workers {
            return None;
        }
        loop {
            while let Some(namespace) = self.turns.pop_front() {
                let Some((endpoint, call)) = self.take_of(&namespace) else {
                    self.put_aside(namespace);
                    continue;
                };
                if self.waiting.get(&namespace).is_some_and(VecDeque::is_empty) {
                    self.waiting.remove(&namespace);
                } else {
                    self.turns.push_back(namespace.clone());
                }
                let owner = Owner {
                    namespace,
                    endpoint,
                };
                self.busy.begin(&owner);
                self.waiting_count = self.waiting_count.saturating_sub(1);
                return Some((owner, call));
            }
            let next = self.aside.next_with_room(&self.busy, self.workers)?;
            self.turns.push_back(next);
        }
    }

    fn put_aside(&mut self, namespace: Arc<str>) {
        let mine = self.busy.by_namespace.get(&namespace);
        if self.busy.has_room(self.workers, mine) {
            let endpoints = self.waiting.get(&namespace).into_iter().flatten();
            for (endpoint, _) in endpoints {
                let waiting = self.aside.by_endpoint.entry(endpoint.clone());
                waiting.or_default().push_back(namespace.clone());
            }
        } else {
            self.aside.by_namespace.insert(namespace.clone());
        }
        self.aside.all.insert(namespace);
    }

    /// The next call of one namespace, in turn by endpoint.
    fn take_of(&mut self, namespace: &Arc<str>) -> Option<(Arc<str>, T)> {
        #[cfg(test)]
        {
            self.looks += 1;
        }
        if !self
            .busy
            .has_room(self.workers, self.busy.by_namespace.get(namespace))
        {
            return None;
        }
        let endpoints = self.waiting.get_mut(namespace)?;
        for _ in 0..endpoints.len() {
            let (endpoint, mut calls) = endpoints.pop_front()?;
            let taken = if self
                .busy
                .has_room(self.workers, self.busy.by_endpoint.get(&endpoint))
            {
                calls.pop_front()
            } else {
                None
            };
            if !calls.is_empty() {
                endpoints.push_back((endpoint.clone(), calls));
            }
            if let Some(call) = taken {
                return Some((endpoint, call));
            }
        }
        None
    }

    /// A call that was taken has ended.
    pub fn done(&mut self, owner: &Owner) {
        self.busy.end(owner);
        self.aside.freed = true;
    }

    /// How many calls wait.
    pub const fn waiting(&self) -> usize {
        self.waiting_count
    }

    /// How many calls are under way.
    pub const fn under_way(&self) -> usize {
        self.busy.total
    }
}

impl Aside {
    /// Takes a namespace back, if it is aside.
    fn take_back(&mut self, namespace: &str) -> Option<Arc<str>> {
        let namespace = self.all.take(namespace)?;
        self.by_namespace.remove(&namespace);
        Some(namespace)
    }

    /// Takes back one for which there is room now. Room only comes when a call ends, so there is nothing to look for before.
    fn next_with_room(&mut self, busy: &Shares, workers: usize) -> Option<Arc<str>> {
        if !self.freed {
            return None;
        }
        let mut of_namespace = self.by_namespace.iter();
        let namespace = of_namespace
            .find(|namespace| busy.has_room(workers, busy.by_namespace.get(*namespace)))
            .cloned();
        if let Some(namespace) = namespace {
            return self.take_back(&namespace);
        }
        loop {
            let mut endpoints = self.by_endpoint.iter_mut();
            let Some((endpoint, waiting)) = endpoints
                .find(|(endpoint, _)| busy.has_room(workers, busy.by_endpoint.get(*endpoint)))
            else {
                self.freed = false;
                return None;
            };
            match waiting.pop_front() {
                Some(namespace) => {
                    if let Some(namespace) = self.take_back(&namespace) {
                        return Some(namespace);
                    }
                }
                None => {
                    let endpoint = endpoint.clone();
                    self.by_endpoint.remove(&endpoint);
                }
            }
        }
    }
}

impl Shares {
    /// Whether one that has `mine` workers may have another: fewer than half of what the others leave, but one at least.
    fn has_room(&self, workers: usize, mine: Option<&usize>) -> bool {
        let mine = mine.copied().unwrap_or(0);
        let left_by_others = workers.saturating_sub(self.total.saturating_sub(mine));
        mine < (left_by_others / 2).max(1)
    }

    fn begin(&mut self, owner: &Owner) {
        self.total += 1;
        *self
            .by_namespace
            .entry(owner.namespace.clone())
            .or_default() += 1;
        *self.by_endpoint.entry(owner.endpoint.clone()).or_default() += 1;
    }

    fn end(&mut self, owner: &Owner) {
        self.total = self.total.saturating_sub(1);
        less(&mut self.by_namespace, &owner.namespace);
        less(&mut self.by_endpoint, &owner.endpoint);
    }
}

fn less<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owner(namespace: &str, endpoint: &str) -> Owner {
        Owner {
            namespace: namespace.into(),
            endpoint: endpoint.into(),
        }
    }

    fn take_all(queue: &mut FairQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.take().map(|(_, call)| call)).collect()
    }

    #[test]
    fn namespaces_take_turns() {
        let mut queue = FairQueue::new(100);
        for call in 0..10 {
            queue.push("a", "e", call);
        }
        queue.push("b", "e", 100);
        queue.push("c", "e", 200);
        assert_eq!(queue.waiting(), 12);
        assert_eq!(take_all(&mut queue)[..4], [0, 100, 200, 1]);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn a_dead_endpoint_leaves_workers_for_others() {
        let mut queue = FairQueue::new(8);
        for call in 0..100 {
            queue.push("a", "dead", call);
        }
        assert_eq!(take_all(&mut queue).len(), 4);
        queue.push("a", "alive", 1000);
        queue.push("b", "alive", 2000);
        // The namespace `a` has its half already; `b` does not wait for it.
        assert_eq!(take_all(&mut queue), [2000]);
        for _ in 0..2 {
            queue.done(&owner("a", "dead"));
        }
        // Within `a` the endpoints take turns.
        assert_eq!(take_all(&mut queue), [4]);
        queue.done(&owner("a", "dead"));
        assert_eq!(take_all(&mut queue), [1000]);
    }

    #[test]
    fn a_single_worker_serves_everybody() {
        let mut queue = FairQueue::new(0);
        queue.push("a", "e", 1);
        queue.push("b", "f", 2);
        assert_eq!(take_all(&mut queue), [1]);
        queue.done(&owner("a", "e"));
        assert_eq!(take_all(&mut queue), [2]);
        queue.done(&owner("b", "f"));
        assert_eq!(queue.under_way(), 0);
        assert!(
            queue.aside.all.is_empty()
                && queue.busy.by_namespace.is_empty()
                && queue.busy.by_endpoint.is_empty()
                && queue.waiting.is_empty()
        );
    }

    /// Thousands of namespaces wait for an endpoint that does not answer; others go on.
    #[test]
    fn a_turn_costs_the_same_however_many_wait() {
        let mut queue = FairQueue::new(8);
        for n in 0..5000 {
            queue.push(&format!("n{n}"), "dead", n);
        }
        assert_eq!(take_all(&mut queue).len(), 4);
        let before = queue.looks;
        for call in 10_000..11_000 {
            queue.push("quiet", "alive", call);
            assert_eq!(take_all(&mut queue), [call]);
            queue.done(&owner("quiet", "alive"));
            assert!(queue.take().is_none());
        }
        assert!(queue.looks - before <= 2000, "{}", queue.looks - before);
        // One of the dead calls gives up: the next in turn begins.
        queue.done(&owner("n0", "dead"));
        assert_eq!(take_all(&mut queue), [4]);
    }

    proptest! {
        /// Whatever comes and ends: never more than the workers, and nothing is lost or served twice.
        #[test]
        fn every_call_is_served_once(calls in proptest::collection::vec((0u8..4, 0u8..3), 0..200), workers in 1usize..9) {
            let mut queue = FairQueue::new(workers);
            for (call, (namespace, endpoint)) in calls.iter().enumerate() {
                queue.push(&format!("n{namespace}"), &format!("e{endpoint}"), call);
            }
            prop_assert_eq!(queue.waiting(), calls.len());
            let mut under_way: VecDeque<Owner> = VecDeque::new();
            let mut served = Vec::new();
            loop {
                while let Some((owner, call)) = queue.take() {
                    under_way.push_back(owner);
                    served.push(call);
                    prop_assert!(under_way.len() <= workers);
                }
                prop_assert_eq!(queue.under_way(), under_way.len());
                // Nobody is put aside for whom a worker is free.
                for (namespace, endpoints) in &queue.waiting {
                    for (endpoint, _) in endpoints {
                        let busy = &queue.busy;
                        let room = busy.total < workers
                            && busy.has_room(workers, busy.by_namespace.get(namespace))
                            && busy.has_room(workers, busy.by_endpoint.get(endpoint));
                        prop_assert!(!room, "{} {}", namespace, endpoint);
                    }
                }
                let Some(ended) = under_way.pop_front() else { break };
                queue.done(&ended);
            }
            prop_assert_eq!(queue.waiting(), 0);
            served.sort_unstable();
            prop_assert_eq!(served, (0..calls.len()).collect::<Vec<_>>());
        }
    }
}
