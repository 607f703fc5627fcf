//! Resource versions: numbers that grow with each write (KEP-5504), unless etcd is restored from an older snapshot.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A version as a number; none if it is not one.
pub fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

/// The newest version that the API server has told anybody in this process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Newest(Arc<AtomicU64>);

impl Newest {
    /// It; none before the first.
    pub fn get(&self) -> Option<u64> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            version => Some(version),
        }
    }

    /// The API server has told this one.
    pub fn note(&self, version: Option<u64>) {
        self.0
            .fetch_max(version.unwrap_or_default(), Ordering::Relaxed);
    }

    /// The API server is at this version now, which is older.
    pub fn went_back_to(&self, version: Option<u64>) {
        self.0.store(version.unwrap_or_default(), Ordering::Relaxed);
    }
}
