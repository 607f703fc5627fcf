//! What the CancellationGrants allow.

pub mod book;
pub mod grant_reading;
