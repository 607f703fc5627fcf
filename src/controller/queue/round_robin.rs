//! Turns by namespace, and within a namespace by endpoint: one with many items does not hold up the others (I12). Pure.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// One item of each namespace in turn, and within a namespace one of each endpoint in turn. First come, first served at an endpoint.
#[derive(Debug)]
pub struct RoundRobin<T> {
    namespaces: Turns<Turns<VecDeque<T>>>,
    count: usize,
}

/// What waits, by its owner. No owner is there without an item.
#[derive(Debug)]
struct Turns<Q> {
    /// The owners, each once; the next in turn comes first.
    order: VecDeque<Arc<str>>,
    waiting: HashMap<Arc<str>, Q>,
}

impl<Q> Default for Turns<Q> {
    fn default() -> Self {
        Self {
            order: VecDeque::new(),
            waiting: HashMap::new(),
        }
    }
}

impl<Q: Default> Turns<Q> {
    /// What waits of an owner, to which the caller adds an item.
    fn of(&mut self, owner: &str) -> &mut Q {
        let owner = match self.waiting.get_key_value(owner) {
            Some((owner, _)) => owner.clone(),
            None => {
                let owner: Arc<str> = owner.into();
                self.order.push_back(owner.clone());
                owner
            }
        };
        self.waiting.entry(owner).or_default()
    }

    /// Takes an item of the next owner in turn for which `may` is true. `take` also returns whether more is left.
    fn pop<T>(
        &mut self,
        may: impl Fn(&str) -> bool,
        take: impl FnOnce(&mut Q) -> (Option<T>, bool),
    ) -> Option<T> {
        let next = self.order.iter().position(|owner| may(owner))?;
        let owner = self.order.remove(next)?;
        let (item, more) = take(self.waiting.get_mut(&owner)?);
        if more {
            self.order.push_back(owner);
        } else {
            self.waiting.remove(&owner);
        }
        item
    }
}

impl<T> Default for RoundRobin<T> {
    fn default() -> Self {
        Self {
            namespaces: Turns::default(),
            count: 0,
        }
    }
}

impl<T> RoundRobin<T> {
    /// Adds an item.
    pub fn push(&mut self, namespace: &str, endpoint: &str, item: T) {
        self.count += 1;
        let endpoints = self.namespaces.of(namespace);
        endpoints.of(endpoint).push_back(item);
    }

    /// Takes the next item in turn of a namespace for which `may` is true.
    pub fn pop(&mut self, may: impl Fn(&str) -> bool) -> Option<T> {
        let item = self.namespaces.pop(may, |endpoints| {
            let of_endpoint = |items: &mut VecDeque<T>| (items.pop_front(), !items.is_empty());
            let item = endpoints.pop(|_| true, of_endpoint);
            (item, !endpoints.order.is_empty())
        })?;
        self.count = self.count.saturating_sub(1);
        Some(item)
    }

    /// Whether an item of a namespace for which `may` is true waits.
    pub fn has_item(&self, may: impl Fn(&str) -> bool) -> bool {
        self.namespaces.order.iter().any(|namespace| may(namespace))
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
            queue.push(namespace, "e", item);
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
            queue.push("loud", "e", n);
        }
        queue.push("quiet", "e", -1);
        queue.push("quiet", "e", -2);
        assert_eq!(queue.count(), 1002);
        let next: Vec<i32> = std::iter::from_fn(|| queue.pop(|_| true)).collect();
        assert_eq!(next[..5], [0, -1, 1, -2, 2]);
        assert_eq!(next.len(), 1002);
        assert_eq!(queue.count(), 0);
        let namespaces = &queue.namespaces;
        assert!(namespaces.waiting.is_empty() && namespaces.order.is_empty());
    }

    /// Before, a request waited for all earlier ones of its namespace, whatever endpoint these were for.
    #[test]
    fn an_endpoint_with_many_items_does_not_hold_up_another_of_its_namespace() {
        let mut queue = RoundRobin::default();
        for n in 0..1000 {
            queue.push("team", "dead", n);
        }
        queue.push("team", "alive", -1);
        queue.push("team", "alive", -2);
        queue.push("other", "dead", -3);
        let next: Vec<i32> = std::iter::from_fn(|| queue.pop(|_| true)).collect();
        assert_eq!(next[..6], [0, -3, -1, 1, -2, 2]);
        assert_eq!((next.len(), queue.count()), (1003, 0));
    }
}
