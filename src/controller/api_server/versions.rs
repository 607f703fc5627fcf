//! Resource versions: numbers that grow with each write (KEP-5504), unless etcd is restored from an older snapshot.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A version as a number; `None` if it is not a number.
pub fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

/// The newest version that anything in this process has received from the API server. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Newest(Arc<AtomicU64>);

impl Newest {
    /// The version; `None` before the first.
    pub fn get(&self) -> Option<u64> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            version => Some(version),
        }
    }

    /// Notes a version that was received.
    pub fn note(&self, version: Option<u64>) {
        self.0
            .fetch_max(version.unwrap_or_default(), Ordering::Relaxed);
    }

    /// Replaces it by an older version, which is what the API server has now.
    pub fn roll_back_to(&self, version: Option<u64>) {
        self.0.store(version.unwrap_or_default(), Ordering::Relaxed);
    }
}
