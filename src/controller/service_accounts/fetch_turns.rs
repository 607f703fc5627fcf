//! Turns for requests about ServiceAccounts: at most some at a time, and fewer for one namespace, so that a namespace with many
//! ServiceAccounts delays no other.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum number of turns at a time.
const ALL: usize = 32;

/// Maximum number of turns of one namespace at a time.
const OF_ONE: usize = 4;

/// The turns.
#[derive(Clone, Debug)]
pub struct FetchTurns {
    all: Arc<Semaphore>,
    namespaces: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// A turn; it ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    _of_all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
}

impl Default for FetchTurns {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL)),
            namespaces: Arc::default(),
        }
    }
}

impl FetchTurns {
    /// Waits for a turn; `None` if the process is ending.
    pub async fn take(&self, namespace: &str) -> Option<Turn> {
        let of_one = self.of_namespace(namespace).acquire_owned().await.ok()?;
        // Second, so that a namespace that waits for itself takes no turn from others.
        let of_all = self.all.clone().acquire_owned().await.ok()?;
        Some(Turn {
            _of_all: of_all,
            _of_one: of_one,
        })
    }

    fn of_namespace(&self, namespace: &str) -> Arc<Semaphore> {
        let mut namespaces = self
            .namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A namespace without a turn and without a waiting caller is forgotten.
        namespaces.retain(|_, turns| Arc::strong_count(turns) > 1);
        namespaces
            .entry(namespace.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(OF_ONE)))
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_namespace_leaves_turns_for_others_and_none_is_lost() {
        let turns = FetchTurns::default();
        let mut busy = Vec::new();
        for _ in 0..OF_ONE {
            busy.push(turns.take("busy").now_or_never().unwrap());
        }
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                tokio::spawn({
                    let turns = turns.clone();
                    async move { turns.take("busy").await.map(drop) }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(turns.take("busy").now_or_never().is_none());
        let others: Vec<_> = (0..ALL - OF_ONE)
            .map(|n| turns.take(&format!("other-{n}")).now_or_never().unwrap())
            .collect();
        assert!(turns.take("late").now_or_never().is_none(), "all are taken");
        drop(others);
        drop(busy);
        for waiting in waiting {
            waiting.await.unwrap().unwrap();
        }
        drop(turns.take("last").await);
        let left = turns.namespaces.lock().unwrap().len();
        assert!(left <= 1, "{left} namespaces are remembered");
    }
}
