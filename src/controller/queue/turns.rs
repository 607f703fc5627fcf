//! A queue in which namespaces take turns: whoever has much waiting does not hold up who has little (I12). Pure.

use std::collections::{HashMap, VecDeque};

/// First come, first served within a namespace; one of each namespace in turn.
#[derive(Debug)]
pub struct Turns<T> {
    /// Whose turn is next comes first; each namespace with something waiting stands here once.
    order: VecDeque<String>,
    waiting: HashMap<String, VecDeque<T>>,
    count: usize,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            order: VecDeque::new(),
            waiting: HashMap::new(),
            count: 0,
        }
    }
}

impl<T> Turns<T> {
    /// One more waits.
    pub fn push(&mut self, namespace: &str, item: T) {
        self.count += 1;
        if let Some(waiting) = self.waiting.get_mut(namespace) {
            waiting.push_back(item);
            return;
        }
        self.order.push_back(namespace.to_owned());
        self.waiting
            .insert(namespace.to_owned(), VecDeque::from([item]));
    }

    /// The next item in turn, of the first namespace that `may` have one.
    pub fn pop(&mut self, may: impl Fn(&str) -> bool) -> Option<T> {
        let next = self.order.iter().position(|namespace| may(namespace))?;
        let namespace = self.order.remove(next)?;
        let waiting = self.waiting.get_mut(&namespace)?;
        let item = waiting.pop_front();
        self.count = self.count.saturating_sub(usize::from(item.is_some()));
        if waiting.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.order.push_back(namespace);
        }
        item
    }

    /// Whether an item waits of a namespace that `may` have one.
    pub fn has_item(&self, may: impl Fn(&str) -> bool) -> bool {
        self.order.iter().any(|namespace| may(namespace))
    }

    /// How many wait.
    pub const fn count(&self) -> usize {
        self.count
    }
}

/// The most that one may use of `all`, of which others use some: half of what they leave, and at least one.
pub fn fair_share(all: usize, others: usize) -> usize {
    (all.saturating_sub(others) / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_may_not_is_passed_over_and_keeps_its_turn() {
        let mut turns = Turns::default();
        for (namespace, item) in [("a", 1), ("b", 2), ("a", 3), ("b", 4)] {
            turns.push(namespace, item);
        }
        let not_a = |namespace: &str| namespace != "a";
        assert!(turns.has_item(not_a));
        assert_eq!((turns.pop(not_a), turns.pop(not_a)), (Some(2), Some(4)));
        assert!(!turns.has_item(not_a));
        assert_eq!((turns.pop(not_a), turns.count()), (None, 2));
        let next: Vec<i32> = std::iter::from_fn(|| turns.pop(|_| true)).collect();
        assert_eq!(next, [1, 3]);
    }

    #[test]
    fn a_namespace_with_much_waiting_does_not_hold_up_another() {
        let mut turns = Turns::default();
        for n in 0..1000 {
            turns.push("loud", n);
        }
        turns.push("quiet", -1);
        turns.push("quiet", -2);
        assert_eq!(turns.count(), 1002);
        let next: Vec<i32> = std::iter::from_fn(|| turns.pop(|_| true)).collect();
        assert_eq!(next[..5], [0, -1, 1, -2, 2]);
        assert_eq!(next.len(), 1002);
        assert_eq!(turns.count(), 0);
        assert!(turns.waiting.is_empty() && turns.order.is_empty());
    }
}
