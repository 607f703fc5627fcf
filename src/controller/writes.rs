//! What is written to the API server: status writes and Kubernetes events.

pub mod events;
pub mod status_writer;
pub mod write_warnings;
