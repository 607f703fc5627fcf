//! The number of an object in this process.

/// Stands for one object, and never for another: a late answer to a removed object reaches no other.
pub type Id = u64;
