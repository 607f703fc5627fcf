//! Decides which call begins next when more calls wait than there are workers. Pure.
//!
//! Namespaces take turns, and within a namespace its endpoints. A namespace or an endpoint never gets more than half of the workers
//! that the others leave, and a namespace never more than half of an endpoint's workers that the other namespaces leave. So the
//! next one always finds a free worker (I12), even at an endpoint that does not answer the calls of another namespace.
//!
//! A namespace without a call that may begin is put aside until a worker becomes free for it. So a turn costs the same, however many
//! namespaces wait for an endpoint that does not answer.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::Arc,
};

use super::round_robin::fair_share;

/// The namespace and endpoint for which a call counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The object's namespace.
    pub namespace: Arc<str>,
    /// The endpoint that is called.
    pub endpoint: Arc<str>,
}

/// The waiting calls of one lane: at most one for each object.
#[derive(Debug)]
pub struct FairQueue<T> {
    workers: usize,
    /// The namespaces with waiting calls, each once unless it is aside; the next in turn comes first.
    turns: VecDeque<Arc<str>>,
    aside: Aside,
    waiting: HashMap<Arc<str>, Endpoints<T>>,
    waiting_count: usize,
    busy: Shares,
    /// How many turns were examined.
    #[cfg(test)]
    visits: usize,
}

/// The waiting calls of a namespace by endpoint, in the order of their turns.
type Endpoints<T> = VecDeque<(Arc<str>, VecDeque<T>)>;

/// The namespaces without a call that may begin until a worker becomes free.
#[derive(Debug, Default)]
struct Aside {
    all: HashSet<Arc<str>>,
    /// Namespaces that use their share of workers. Each has a call in flight, so there are at most as many as workers.
    by_namespace: HashSet<Arc<str>>,
    /// Namespaces that only wait for endpoints whose share is used. Each of these endpoints has a call in flight. A namespace may
    /// still be here when it is no longer aside.
    by_endpoint: HashMap<Arc<str>, VecDeque<Arc<str>>>,
    /// Namespaces that use their share of an endpoint's workers while others are free. Each had a call in flight when it was added.
    by_share: HashSet<Owner>,
    /// A worker became free since the last search.
    freed: bool,
}

/// The workers in use.
#[derive(Debug, Default)]
struct Shares {
    total: usize,
    by_namespace: HashMap<Arc<str>, usize>,
    by_endpoint: HashMap<Arc<str>, usize>,
    by_owner: HashMap<Owner, usize>,
}

impl<T> FairQueue<T> {
    /// A queue for so many workers, at least one.
    pub fn new(workers: usize) -> Self {
        Self {
            workers: workers.max(1),
            turns: VecDeque::new(),
            aside: Aside::default(),
            waiting: HashMap::new(),
            waiting_count: 0,
            busy: Shares::default(),
            #[cfg(test)]
            visits: 0,
        }
    }

    /// Adds a call.
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
                // The new endpoint may have a free worker.
                if let Some(namespace) = self.aside.take_back(namespace) {
                    self.turns.push_back(namespace);
                }
            }
        }
    }

    /// Takes the next call that may begin. [`FairQueue::done`] has to follow when it has ended.
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
        if self.busy.has_room_for_namespace(self.workers, &namespace) {
            let endpoints = self.waiting.get(&namespace).into_iter().flatten();
            for (endpoint, _) in endpoints {
                self.aside
                    .put(&self.busy, self.workers, &namespace, endpoint);
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
            self.visits += 1;
        }
        if !self.busy.has_room_for_namespace(self.workers, namespace) {
            return None;
        }
        let endpoints = self.waiting.get_mut(namespace)?;
        for _ in 0..endpoints.len() {
            let (endpoint, mut calls) = endpoints.pop_front()?;
            let has_room = self.busy.has_room_for_endpoint(self.workers, &endpoint)
                && self
                    .busy
                    .has_room_for_share(self.workers, namespace, &endpoint);
            let taken = if has_room { calls.pop_front() } else { None };
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

    /// The number of waiting calls.
    pub const fn waiting(&self) -> usize {
        self.waiting_count
    }

    /// Whether as many calls of a namespace wait for an endpoint as there are workers.
    pub fn is_crowded(&self, namespace: &str, endpoint: &str) -> bool {
        let mut endpoints = self.waiting.get(namespace).into_iter().flatten();
        let calls = endpoints.find(|(of, _)| **of == *endpoint);
        calls.is_some_and(|(_, calls)| calls.len() >= self.workers)
    }

    /// The number of calls in flight.
    #[cfg(test)]
    const fn in_flight(&self) -> usize {
        self.busy.total
    }
}

impl Aside {
    /// Notes what a namespace waits for at an endpoint.
    fn put(&mut self, busy: &Shares, workers: usize, namespace: &Arc<str>, endpoint: &Arc<str>) {
        if busy.has_room_for_endpoint(workers, endpoint) {
            self.by_share.insert(Owner {
                namespace: namespace.clone(),
                endpoint: endpoint.clone(),
            });
        } else {
            let waiting = self.by_endpoint.entry(endpoint.clone()).or_default();
            waiting.push_back(namespace.clone());
        }
    }

    /// Takes a namespace out, if it is aside.
    fn take_back(&mut self, namespace: &str) -> Option<Arc<str>> {
        let namespace = self.all.take(namespace)?;
        self.by_namespace.remove(&namespace);
        Some(namespace)
    }

    /// Takes out a namespace for which a worker is free. Workers only become free when a call ends, so before that there is no search.
    fn next_with_room(&mut self, busy: &Shares, workers: usize) -> Option<Arc<str>> {
        if !self.freed {
            return None;
        }
        let mut of_namespace = self.by_namespace.iter();
        let namespace = of_namespace
            .find(|namespace| busy.has_room_for_namespace(workers, namespace))
            .cloned();
        if let Some(namespace) = namespace {
            return self.take_back(&namespace);
        }
        if let Some(namespace) = self.next_with_share(busy, workers) {
            return Some(namespace);
        }
        loop {
            let mut endpoints = self.by_endpoint.iter_mut();
            let Some((endpoint, waiting)) =
                endpoints.find(|(endpoint, _)| busy.has_room_for_endpoint(workers, endpoint))
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

impl Aside {
    /// The same for namespaces that used their share of an endpoint's workers. If all workers of the endpoint are in use by now, they
    /// wait for the endpoint.
    fn next_with_share(&mut self, busy: &Shares, workers: usize) -> Option<Arc<str>> {
        loop {
            let mut shares = self.by_share.iter();
            let owner = shares
                .find(|owner| busy.has_room_for_share(workers, &owner.namespace, &owner.endpoint))?
                .clone();
            self.by_share.remove(&owner);
            if !self.all.contains(&owner.namespace) {
                continue;
            }
            if busy.has_room_for_endpoint(workers, &owner.endpoint) {
                return self.take_back(&owner.namespace);
            }
            let waiting = self.by_endpoint.entry(owner.endpoint).or_default();
            waiting.push_back(owner.namespace);
        }
    }
}

impl Shares {
    fn has_room_for_namespace(&self, workers: usize, namespace: &str) -> bool {
        let mine = self.by_namespace.get(namespace).copied().unwrap_or(0);
        mine < fair_share(workers, self.total.saturating_sub(mine))
    }

    fn has_room_for_endpoint(&self, workers: usize, endpoint: &str) -> bool {
        let all = self.by_endpoint.get(endpoint).copied().unwrap_or(0);
        all < fair_share(workers, self.total.saturating_sub(all))
    }

    fn has_room_for_share(
        &self,
        workers: usize,
        namespace: &Arc<str>,
        endpoint: &Arc<str>,
    ) -> bool {
        let owner = Owner {
            namespace: namespace.clone(),
            endpoint: endpoint.clone(),
        };
        let mine = self.by_owner.get(&owner).copied().unwrap_or(0);
        let all = self.by_endpoint.get(endpoint).copied().unwrap_or(0);
        let endpoints = fair_share(workers, self.total.saturating_sub(all));
        mine < fair_share(endpoints, all.saturating_sub(mine))
    }

    fn begin(&mut self, owner: &Owner) {
        self.total += 1;
        *self
            .by_namespace
            .entry(owner.namespace.clone())
            .or_default() += 1;
        *self.by_endpoint.entry(owner.endpoint.clone()).or_default() += 1;
        *self.by_owner.entry(owner.clone()).or_default() += 1;
    }

    fn end(&mut self, owner: &Owner) {
        self.total = self.total.saturating_sub(1);
        less(&mut self.by_namespace, &owner.namespace);
        less(&mut self.by_endpoint, &owner.endpoint);
        less(&mut self.by_owner, owner);
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
        let mut queue = FairQueue::new(16);
        for call in 0..100 {
            queue.push("a", "dead", call);
        }
        // Half of the half that the endpoint may have.
        assert_eq!(take_all(&mut queue), [0, 1, 2, 3]);
        queue.push("a", "alive", 1000);
        queue.push("b", "alive", 2000);
        assert_eq!(take_all(&mut queue), [1000, 2000]);
        queue.push("a", "alive", 1001);
        assert_eq!(take_all(&mut queue), [1001]);
        queue.push("a", "alive", 1002);
        for _ in 0..2 {
            queue.done(&owner("a", "dead"));
        }
        queue.done(&owner("a", "alive"));
        // Within `a` the endpoints take turns.
        assert_eq!(take_all(&mut queue), [4, 1002]);
    }

    /// Calls of one namespace that hang do not hold up those of another at the same endpoint.
    #[test]
    fn an_endpoint_that_does_not_answer_one_namespace_has_workers_for_another() {
        let mut queue = FairQueue::new(64);
        for call in 0..1000 {
            queue.push("greedy", "e", call);
        }
        assert_eq!(take_all(&mut queue).len(), 16);
        for call in 2000..2100 {
            queue.push("quiet", "e", call);
            assert_eq!(take_all(&mut queue), [call]);
            queue.done(&owner("quiet", "e"));
        }
        // What ends lets the next one begin.
        queue.done(&owner("greedy", "e"));
        assert_eq!(take_all(&mut queue), [16]);
    }

    #[test]
    fn a_single_worker_serves_all() {
        let mut queue = FairQueue::new(0);
        queue.push("a", "e", 1);
        queue.push("b", "f", 2);
        assert_eq!(take_all(&mut queue), [1]);
        queue.done(&owner("a", "e"));
        assert_eq!(take_all(&mut queue), [2]);
        queue.done(&owner("b", "f"));
        assert_eq!(queue.in_flight(), 0);
        assert!(
            queue.aside.all.is_empty()
                && queue.busy.by_namespace.is_empty()
                && queue.busy.by_endpoint.is_empty()
                && queue.busy.by_owner.is_empty()
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
        let before = queue.visits;
        for call in 10_000..11_000 {
            queue.push("quiet", "alive", call);
            assert_eq!(take_all(&mut queue), [call]);
            queue.done(&owner("quiet", "alive"));
            assert!(queue.take().is_none());
        }
        assert!(queue.visits - before <= 2000, "{}", queue.visits - before);
        // One of the dead calls gives up: the next in turn begins.
        queue.done(&owner("n0", "dead"));
        assert_eq!(take_all(&mut queue), [4]);
    }

    proptest! {
        /// In any order of calls and ends: never more calls than workers, and no call is lost or served twice.
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
                prop_assert_eq!(queue.in_flight(), under_way.len());
                // No namespace is aside for which a worker is free.
                for (namespace, endpoints) in &queue.waiting {
                    for (endpoint, _) in endpoints {
                        let busy = &queue.busy;
                        let room = busy.total < workers
                            && busy.has_room_for_namespace(workers, namespace)
                            && busy.has_room_for_endpoint(workers, endpoint)
                            && busy.has_room_for_share(workers, namespace, endpoint);
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
