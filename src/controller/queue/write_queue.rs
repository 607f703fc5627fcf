//! Decides which request to the API server goes first, and how many are in flight. Pure.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    outage::{Outage, Unavailable},
    round_robin::{RoundRobin, fair_share},
};

/// The requests that wait for their turn at the API server: at most one for each object.
///
/// With more than 16 in flight the API server writes no faster, and its watches fall behind by half a second. One namespace can use
/// at most half of the places that the others leave, so the next namespace always finds a place (I12), even beside objects for which
/// the API server needs a tenth of a second each. Within a namespace the endpoints take turns: thousands of objects at an endpoint that
/// does not answer all need an intent at once.
///
/// After a progress write its namespace pauses for three times as long as the write took. So a grant that comes and goes for thousands
/// of objects leaves the API server most of its time, however fast the server is.
#[derive(Debug)]
pub struct WriteQueue<T> {
    urgent: RoundRobin<T>,
    others: RoundRobin<T>,
    room: Room,
    outage: Outage,
    /// How many urgent requests in a row went ahead of others.
    ahead: usize,
}

/// A request in flight.
#[derive(Debug)]
pub struct InFlight {
    urgent: bool,
    namespace: Arc<str>,
    begun: Duration,
}

/// The places in use, and by which namespaces.
#[derive(Debug, Default)]
struct Places {
    used: usize,
    by_namespace: HashMap<Arc<str>, usize>,
}

impl Places {
    /// Whether a namespace may use one more of `all` places.
    fn has_room(&self, all: usize, namespace: &str) -> bool {
        let own = self.by_namespace.get(namespace).copied().unwrap_or(0);
        let others = self.used.saturating_sub(own);
        self.used < all && own < fair_share(all, others)
    }

    fn take(&mut self, namespace: &Arc<str>) {
        self.used += 1;
        *self.by_namespace.entry(namespace.clone()).or_default() += 1;
    }

    fn give_back(&mut self, namespace: &str) {
        self.used = self.used.saturating_sub(1);
        if let Some(own) = self.by_namespace.get_mut(namespace) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.by_namespace.remove(namespace);
            }
        }
    }
}

/// Which namespaces may send a request now.
#[derive(Debug, Default)]
struct Room {
    all_places: Places,
    /// The places in use by requests that are not urgent.
    other_places: Places,
    /// Until when a namespace sends no progress write.
    pauses: HashMap<Arc<str>, Duration>,
}

impl Room {
    /// How many requests may be in flight.
    const MOST_IN_FLIGHT: usize = 16;

    /// How many of them may be progress writes. A grant for thousands of objects causes one for each of them, and with 16 of those in
    /// flight an intent would take six times as long.
    const MOST_OTHERS_IN_FLIGHT: usize = 4;

    /// The pause after a progress write, as a multiple of what the write took.
    const PAUSE_FACTOR: u32 = 3;

    /// The longest pause: a slow write says little about the next one.
    const LONGEST_PAUSE: Duration = Duration::from_secs(1);

    fn has_urgent(&self, namespace: &str) -> bool {
        self.all_places.has_room(Self::MOST_IN_FLIGHT, namespace)
    }

    fn has_other(&self, namespace: &str, now: Duration) -> bool {
        self.has_urgent(namespace)
            && self.pauses.get(namespace).is_none_or(|until| *until <= now)
            && self
                .other_places
                .has_room(Self::MOST_OTHERS_IN_FLIGHT, namespace)
    }

    fn begin(&mut self, request: &InFlight) {
        self.all_places.take(&request.namespace);
        if !request.urgent {
            self.other_places.take(&request.namespace);
        }
    }

    fn done(&mut self, request: &InFlight, now: Duration) {
        self.all_places.give_back(&request.namespace);
        if !request.urgent {
            self.other_places.give_back(&request.namespace);
            let took = now.saturating_sub(request.begun);
            let pause = took.saturating_mul(Self::PAUSE_FACTOR);
            let until = now.saturating_add(pause.min(Self::LONGEST_PAUSE));
            self.pauses.insert(request.namespace.clone(), until);
        }
    }
}

impl<T> Default for WriteQueue<T> {
    fn default() -> Self {
        Self {
            urgent: RoundRobin::default(),
            others: RoundRobin::default(),
            room: Room::default(),
            outage: Outage::default(),
            ahead: 0,
        }
    }
}

impl<T> WriteQueue<T> {
    /// So many urgent requests in a row may go ahead of others: a waiting write may become urgent, so it must not wait for ever.
    const MOST_AHEAD: usize = 7;

    /// Adds a request. Outcomes and reads are urgent, and intents unless their cancel request would wait long: a cancel request or a
    /// `kubectl wait` waits for them.
    pub fn push(&mut self, urgent: bool, namespace: &str, endpoint: &str, request: T) {
        let queue = if urgent {
            &mut self.urgent
        } else {
            &mut self.others
        };
        queue.push(namespace, endpoint, request);
    }

    /// Whether a namespace may send a request at once, without waiting for its turn.
    pub fn is_free(&self, namespace: &str, now: Duration) -> bool {
        let nothing_waits = self.urgent.count() == 0 && self.others.count() == 0;
        nothing_waits && self.has_room(now) && self.room.has_other(namespace, now)
    }

    /// Whether one more request may be in flight.
    fn has_room(&self, now: Duration) -> bool {
        self.room.all_places.used < self.outage.most_in_flight(now, Room::MOST_IN_FLIGHT)
    }

    /// Whether no request waits or is in flight.
    pub const fn is_idle(&self) -> bool {
        self.room.all_places.used == 0 && self.urgent.count() == 0 && self.others.count() == 0
    }

    /// The number of requests in flight.
    pub const fn in_flight(&self) -> usize {
        self.room.all_places.used
    }

    /// Takes the next turn, if a request may be sent now. It takes a place only with [`WriteQueue::begin`].
    pub fn take(&mut self, now: Duration) -> Option<T> {
        self.room.pauses.retain(|_, until| *until > now);
        if !self.has_room(now) {
            return None;
        }
        let taken = if self.ahead >= Self::MOST_AHEAD {
            self.take_other(now).or_else(|| self.take_urgent())
        } else {
            self.take_urgent().or_else(|| self.take_other(now))
        };
        taken.map(|(urgent, request)| {
            let ahead = urgent && self.others.count() > 0;
            self.ahead = if ahead { self.ahead + 1 } else { 0 };
            request
        })
    }

    fn take_urgent(&mut self) -> Option<(bool, T)> {
        let taken = self.urgent.pop(|of| self.room.has_urgent(of));
        taken.map(|request| (true, request))
    }

    fn take_other(&mut self, now: Duration) -> Option<(bool, T)> {
        let taken = self.others.pop(|of| self.room.has_other(of, now));
        taken.map(|request| (false, request))
    }

    /// Whether [`WriteQueue::take`] would return a turn.
    pub fn has_turn(&self, now: Duration) -> bool {
        self.has_room(now)
            && (self.urgent.has_item(|of| self.room.has_urgent(of))
                || self.others.has_item(|of| self.room.has_other(of, now)))
    }

    /// When a waiting request may be sent without any other event: at the end of a pause.
    pub fn wakes_at(&self) -> Option<Duration> {
        let waits = self.urgent.count() > 0 || self.others.count() > 0;
        let outage = self.outage.pause_ends().filter(|_| waits);
        let pauses = self.room.pauses.values().min().copied();
        let pause = pauses.filter(|_| self.others.count() > 0);
        outage.into_iter().chain(pause).min()
    }

    /// A request of a namespace is sent. [`WriteQueue::done`] has to follow when it has ended.
    pub fn begin(&mut self, urgent: bool, namespace: &str, now: Duration) -> InFlight {
        let request = InFlight {
            urgent,
            namespace: namespace.into(),
            begun: now,
        };
        self.room.begin(&request);
        request
    }

    /// The number of waiting requests, by the queue's name in metrics.
    pub const fn waiting(&self) -> [(&'static str, usize); 2] {
        [
            ("urgent_write", self.urgent.count()),
            ("other_write", self.others.count()),
        ]
    }

    /// A request has ended. `unavailable` is set if the API server could not be reached or is overloaded.
    pub fn done(&mut self, request: &InFlight, unavailable: Option<Unavailable>, now: Duration) {
        self.room.done(request, now);
        match unavailable {
            Some(unavailable) => self.outage.failed(unavailable, now),
            None => self.outage.answered(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    /// Sends every request that may be sent; requests from 100 on are not urgent.
    fn send_all(queue: &mut WriteQueue<u32>, namespace: &str) -> (Vec<u32>, Vec<InFlight>) {
        let send = || {
            let request = queue.take(NOW)?;
            Some((request, queue.begin(request < 100, namespace, NOW)))
        };
        std::iter::from_fn(send).unzip()
    }

    #[test]
    fn the_others_have_every_eighth_turn() {
        let mut queue = WriteQueue::default();
        for request in 0..20 {
            queue.push(true, "team", "e", request);
        }
        for request in 100..102 {
            queue.push(false, "team", "e", request);
        }
        let taken: Vec<_> = std::iter::from_fn(|| queue.take(NOW)).collect();
        let others: Vec<_> = (0..taken.len()).filter(|at| taken[*at] >= 100).collect();
        assert_eq!((taken.len(), others), (22, vec![7, 15]), "{taken:?}");
        assert!(!queue.has_turn(NOW));
    }

    #[test]
    fn sixteen_at_once_and_the_urgent_ones_first() {
        let mut queue = WriteQueue::default();
        assert!(queue.is_free("team", NOW));
        let mut in_flight = Vec::new();
        for namespace in 0..20 {
            queue.push(true, &format!("team-{namespace}"), "e", namespace);
        }
        queue.push(false, "late", "e", 100);
        assert!(
            !queue.is_free("new", NOW),
            "a new one does not go ahead of those that wait"
        );
        let mut taken = Vec::new();
        while let Some(request) = queue.take(NOW) {
            in_flight.push(queue.begin(request < 100, &format!("team-{request}"), NOW));
            taken.push(request);
        }
        assert_eq!(taken.len(), 16);
        assert_eq!(taken[..9], [0, 1, 2, 3, 4, 5, 6, 100, 7]);
        queue.done(&in_flight[0], None, NOW);
        // A turn without a request takes no place.
        assert_eq!((queue.take(NOW), queue.take(NOW)), (Some(15), Some(16)));
        in_flight.push(queue.begin(true, "team-16", NOW));
        assert_eq!(queue.take(NOW), None);
        assert_eq!(queue.waiting(), [("urgent_write", 3), ("other_write", 0)]);
    }

    #[test]
    fn progress_writes_take_few_places() {
        let mut queue = WriteQueue::default();
        let mut others = Vec::new();
        for namespace in ["a", "b", "c", "d", "e"] {
            queue.push(false, namespace, "e", 100);
            others.extend(send_all(&mut queue, namespace).1);
        }
        assert_eq!(others.len(), 4);
        assert!(!queue.has_turn(NOW) && !queue.is_free("f", NOW));
        queue.push(true, "f", "e", 1);
        assert!(queue.has_turn(NOW));
        let (sent, urgent) = send_all(&mut queue, "f");
        assert_eq!(sent, [1]);
        queue.done(&urgent[0], None, NOW);
        assert_eq!(queue.take(NOW), None);
        queue.done(&others[0], None, NOW);
        assert_eq!(queue.take(NOW), Some(100));
    }

    /// Before, one namespace's writes could use all places, and each of them can keep the API server busy for a tenth of a second.
    #[test]
    fn one_namespace_leaves_places_for_the_next() {
        let mut queue = WriteQueue::default();
        for request in 0..40 {
            queue.push(true, "loud", "e", request);
            queue.push(false, "loud", "e", 100 + request);
        }
        let (sent, _loud) = send_all(&mut queue, "loud");
        let others = sent.iter().filter(|request| **request >= 100).count();
        assert_eq!((sent.len(), others), (8, 1), "{sent:?}");
        assert!(!queue.has_turn(NOW) && queue.take(NOW).is_none());
        for request in 50..70 {
            queue.push(true, "quiet", "e", request);
            let (sent, quiet) = send_all(&mut queue, "quiet");
            assert_eq!(sent, [request]);
            queue.done(&quiet[0], None, NOW);
        }
        queue.push(false, "quiet", "e", 170);
        assert_eq!(send_all(&mut queue, "quiet").0, [170]);
    }

    /// Before, the writes for a grant that came and went for 2,000 objects kept the API server busy all the time.
    #[test]
    fn progress_writes_leave_the_api_server_most_of_its_time() {
        let ms = Duration::from_millis;
        let mut queue = WriteQueue::default();
        for request in 100..200 {
            queue.push(false, "loud", "e", request);
        }
        let (mut now, mut sent) = (Duration::ZERO, 0);
        while now < ms(1000) {
            let Some(request) = queue.take(now) else {
                let next = queue.wakes_at().expect("the next write has a time");
                assert!(next > now);
                now = next;
                continue;
            };
            // What is urgent does not pause, also in this namespace.
            queue.push(true, "loud", "e", 1);
            let progress = queue.begin(false, "loud", now);
            assert_eq!((request >= 100, queue.take(now)), (true, Some(1)));
            let urgent = queue.begin(true, "loud", now);
            now += ms(5);
            queue.done(&urgent, None, now);
            queue.done(&progress, None, now);
            sent += 1;
        }
        // Each takes 5 ms, and is followed by a pause of 15.
        assert_eq!(sent, 50);
        // Another namespace does not wait for this one.
        queue.push(false, "quiet", "e", 1000);
        let (taken, quiet) = send_all(&mut queue, "quiet");
        assert!(taken.contains(&1000), "{taken:?}");
        // A slow write is followed by a second at most.
        let late = now + ms(10_000);
        queue.done(&quiet[0], None, late);
        assert_eq!(queue.room.pauses["quiet"], late + ms(1000));
    }

    /// Before, the intent of a new object waited for the intents of all objects at the endpoint that does not answer.
    #[test]
    fn intents_for_one_endpoint_do_not_hold_up_those_for_another() {
        let mut queue = WriteQueue::default();
        for request in 0..90 {
            queue.push(true, "team", "dead", request);
        }
        let (sent, mut dead) = send_all(&mut queue, "team");
        assert_eq!(sent, [0, 1, 2, 3, 4, 5, 6, 7]);
        queue.push(true, "team", "alive", 95);
        for place in dead.drain(..2) {
            queue.done(&place, None, NOW);
        }
        assert_eq!(send_all(&mut queue, "team").0, [8, 95]);
    }

    #[test]
    fn all_places_come_back() {
        let mut queue = WriteQueue::default();
        for request in [1, 2, 100, 101, 102] {
            queue.push(request < 100, "team", "e", request);
        }
        let (sent, in_flight) = send_all(&mut queue, "team");
        assert_eq!(sent, [1, 2, 100, 101]);
        assert!(!queue.is_idle());
        for request in &in_flight {
            queue.done(request, None, NOW);
        }
        let (sent, in_flight) = send_all(&mut queue, "team");
        assert_eq!(sent, [102]);
        queue.done(&in_flight[0], None, NOW);
        assert!(queue.is_idle() && queue.is_free("team", NOW));
        assert!(queue.room.all_places.by_namespace.is_empty());
        assert!(queue.room.other_places.by_namespace.is_empty());
    }
}
