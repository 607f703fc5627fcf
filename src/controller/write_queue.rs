//! Which request to the API server goes first, and how many are under way. Pure.

use std::time::Duration;

use super::{
    outage::{Outage, Trouble},
    turns::Turns,
};

/// The requests that wait for their turn at the API server: at most one of each object, which bounds it.
///
/// Beyond 16 in flight the API server writes no faster, and its watches fall behind by half a second.
#[derive(Debug)]
pub struct WriteQueue<T> {
    urgent: Turns<T>,
    others: Turns<T>,
    under_way: usize,
    /// Of these, how many are not urgent.
    others_under_way: usize,
    outage: Outage,
    /// Urgent ones that went ahead of others in a row.
    ahead: usize,
}

impl<T> Default for WriteQueue<T> {
    fn default() -> Self {
        Self {
            urgent: Turns::default(),
            others: Turns::default(),
            under_way: 0,
            others_under_way: 0,
            outage: Outage::default(),
            ahead: 0,
        }
    }
}

impl<T> WriteQueue<T> {
    /// How many requests may be under way at once.
    pub const AT_ONCE: usize = 16;

    /// How many of them may be writes that nobody waits for. A grant for thousands of objects means one for each of them, and while
    /// the API server is busy with 16 of those an intent takes it six times as long.
    const OTHERS_AT_ONCE: usize = 4;

    /// So many urgent ones may go ahead of the others: what waits among them may turn urgent, and must not wait for ever.
    const MOST_AHEAD: usize = 7;

    /// Intents, outcomes and the reads that they wait for are urgent: a cancel, or somebody's `kubectl wait`, waits for them.
    pub fn push(&mut self, urgent: bool, namespace: &str, request: T) {
        let queue = if urgent {
            &mut self.urgent
        } else {
            &mut self.others
        };
        queue.push(namespace, request);
    }

    /// Whether a request may be sent that did not wait for its turn.
    pub fn is_free(&self, now: Duration) -> bool {
        self.has_room(now)
            && self.others_have_room()
            && self.urgent.count() == 0
            && self.others.count() == 0
    }

    /// Whether one more request that is not urgent may be under way.
    const fn others_have_room(&self) -> bool {
        self.others_under_way < Self::OTHERS_AT_ONCE
    }

    const fn others_have_turn(&self) -> bool {
        self.others_have_room() && self.others.count() > 0
    }

    /// Whether one more request may be under way.
    fn has_room(&self, now: Duration) -> bool {
        self.under_way < self.outage.at_once(now, Self::AT_ONCE)
    }

    /// Whether no request waits or is under way.
    pub const fn is_idle(&self) -> bool {
        self.under_way == 0 && self.urgent.count() == 0 && self.others.count() == 0
    }

    /// Whose turn it is, if a request may be sent now. Only [`WriteQueue::begin`] makes one of it.
    pub fn take(&mut self, now: Duration) -> Option<T> {
        if !self.has_room(now) {
            return None;
        }
        let others_have_turn = self.others_have_turn();
        let others_first = others_have_turn && self.ahead >= Self::MOST_AHEAD;
        let urgent = if others_first {
            None
        } else {
            self.urgent.pop()
        };
        self.ahead = match urgent {
            Some(_) if self.others.count() > 0 => self.ahead + 1,
            _ => 0,
        };
        urgent
            .or_else(|| others_have_turn.then(|| self.others.pop()).flatten())
            .or_else(|| self.urgent.pop())
    }

    /// Whether it is somebody's turn now.
    pub fn has_turn(&self, now: Duration) -> bool {
        self.has_room(now) && (self.urgent.count() > 0 || self.others_have_turn())
    }

    /// When something that waits may be sent although nothing else happens: at the end of a pause.
    pub fn wakes_at(&self) -> Option<Duration> {
        let waits = self.urgent.count() > 0 || self.others.count() > 0;
        self.outage.pause_ends().filter(|_| waits)
    }

    /// A request is sent; [`WriteQueue::done`] has to be told when it was answered.
    pub const fn begin(&mut self, urgent: bool) {
        self.under_way += 1;
        if !urgent {
            self.others_under_way += 1;
        }
    }

    /// How many requests wait, by the queue's name in metrics.
    pub const fn waiting(&self) -> [(&'static str, usize); 2] {
        [
            ("urgent_write", self.urgent.count()),
            ("other_write", self.others.count()),
        ]
    }

    /// A request has ended, urgent or not as it began: answered, or with what the API server as a whole is in trouble.
    pub fn done(&mut self, urgent: bool, trouble: Option<Trouble>, now: Duration) {
        self.under_way = self.under_way.saturating_sub(1);
        if !urgent {
            self.others_under_way = self.others_under_way.saturating_sub(1);
        }
        match trouble {
            Some(trouble) => self.outage.failed(trouble, now),
            None => self.outage.is_over(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn the_others_have_every_eighth_turn() {
        let mut queue = WriteQueue::default();
        for request in 0..20 {
            queue.push(true, "team", request);
        }
        for request in 100..102 {
            queue.push(false, "team", request);
        }
        let taken: Vec<_> = std::iter::from_fn(|| queue.take(NOW)).collect();
        let others: Vec<_> = (0..taken.len()).filter(|at| taken[*at] >= 100).collect();
        assert_eq!((taken.len(), others), (22, vec![7, 15]), "{taken:?}");
        assert!(!queue.has_turn(NOW));
    }

    #[test]
    fn sixteen_at_once_and_the_urgent_ones_first() {
        let mut queue = WriteQueue::default();
        assert!(queue.is_free(NOW));
        for request in 0..20 {
            queue.push(request >= 2, "team", request);
        }
        assert!(!queue.is_free(NOW), "nobody goes ahead of those who wait");
        let first: Vec<_> =
            std::iter::from_fn(|| queue.take(NOW).inspect(|taken| queue.begin(*taken >= 2)))
                .collect();
        assert_eq!(first.len(), 16);
        assert_eq!(first[..9], [2, 3, 4, 5, 6, 7, 8, 0, 9]);
        queue.done(true, None, NOW);
        // Whoever has nothing to send any more costs nobody a place.
        assert_eq!((queue.take(NOW), queue.take(NOW)), (Some(16), Some(17)));
        queue.begin(true);
        assert_eq!(queue.take(NOW), None);
        assert_eq!(queue.waiting(), [("urgent_write", 2), ("other_write", 0)]);
    }

    #[test]
    fn what_nobody_waits_for_takes_few_places() {
        let mut queue = WriteQueue::default();
        for request in 0..100 {
            queue.push(false, "team", request);
        }
        let mut take = || queue.take(NOW).inspect(|_| queue.begin(false));
        let first: Vec<_> = std::iter::from_fn(&mut take).collect();
        assert_eq!(first, [0, 1, 2, 3]);
        assert!(!queue.has_turn(NOW) && !queue.is_free(NOW));
        queue.push(true, "another", 200);
        assert!(queue.has_turn(NOW));
        assert_eq!(queue.take(NOW), Some(200));
        queue.begin(true);
        assert_eq!(queue.take(NOW), None);
        queue.done(true, None, NOW);
        assert_eq!(queue.take(NOW), None);
        queue.done(false, None, NOW);
        assert_eq!(queue.take(NOW), Some(4));
    }
}
