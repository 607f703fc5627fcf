//! A round robin over namespaces: one with many items does not hold up the others (I12). Pure.

use std::collections::{HashMap, VecDeque};

/// One item of each namespace in turn; first come, first served within a namespace.
#[derive(Debug)]
pub struct RoundRobin<T> {
    /// The namespaces with waiting items, each once; the next in turn comes first.
    order: VecDeque<String>,
    waiting: HashMap<String, VecDeque<T>>,
    count: usize,
}

impl<T> Default for RoundRobin<T> {
    fn default() -> Self {
        Self {
            order: VecDeque::new(),
            waiting: HashMap::new(),
            count: 0,
        }
    }
}

impl<T> RoundRobin<T> {
    /// Adds an item.
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

    /// Takes the next item in turn of a namespace for which `may` is true.
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

    /// Whether an item of a namespace for which `may` is true waits.
    pub fn has_item(&self, may: impl Fn(&str) -> bool) -> bool {
        self.order.iter().any(|namespace| may(namespace))
    }

    /// The number of waiting items.
    pub const fn count(&self) -> usize {
        self.count
    }
}

/// How many of `all` places one user may have when others use `others` of them: half of the rest, and at least one.
pub fn fair_share(all: usize, others: usize) -> usize {
    (all.saturating_sub(others) / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_may_not_is_passed_over_and_keeps_its_turn() {
        let mut queue = RoundRobin::default();
        for (namespace, item) in [("a", 1), ("b", 2), ("a", 3), ("b", 4)] {
            queue.push(namespace, item);
        }
        let not_a = |namespace: &str| namespace != "a";
        assert!(queue.has_item(not_a));
        assert_eq!((queue.pop(not_a), queue.pop(not_a)), (Some(2), Some(4)));
        assert!(!queue.has_item(not_a));
        assert_eq!((queue.pop(not_a), queue.count()), (None, 2));
        let next: Vec<i32> = std::iter::from_fn(|| queue.pop(|_| true)).collect();
        assert_eq!(next, [1, 3]);
    }

    #[test]
    fn a_namespace_with_many_items_does_not_hold_up_another() {
        let mut queue = RoundRobin::default();
        for n in 0..1000 {
            queue.push("loud", n);
        }
        queue.push("quiet", -1);
        queue.push("quiet", -2);
        assert_eq!(queue.count(), 1002);
        let next: Vec<i32> = std::iter::from_fn(|| queue.pop(|_| true)).collect();
        assert_eq!(next[..5], [0, -1, 1, -2, 2]);
        assert_eq!(next.len(), 1002);
        assert_eq!(queue.count(), 0);
        assert!(queue.waiting.is_empty() && queue.order.is_empty());
    }
}
