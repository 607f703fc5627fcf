//! What the CancellationGrants allow.

pub mod book;
pub mod grant_key;
pub mod grant_reading;
pub mod label_selector;
pub mod namespace_labels;
