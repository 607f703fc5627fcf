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

    /// Whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let namespace = self.order.pop_front()?;
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

    /// How many wait.
    pub const fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_with_much_waiting_does_not_hold_up_another() {
        let mut turns = Turns::default();
        for n in 0..1000 {
            turns.push("loud", n);
        }
        turns.push("quiet", -1);
        turns.push("quiet", -2);
        assert_eq!(turns.count(), 1002);
        let next: Vec<i32> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(next[..5], [0, -1, 1, -2, 2]);
        assert_eq!(next.len(), 1002);
        assert_eq!(turns.count(), 0);
        assert!(turns.waiting.is_empty() && turns.order.is_empty());
    }
}
