//! opcancel: cancels Google long-running operations that you declare in Kubernetes, and records what actually happened.

pub mod api;
pub mod arguments;
mod backoff;
pub mod connection_arguments;
pub mod controller;
pub mod duration_text;
pub mod google;
pub mod leader_election_arguments;
pub mod lifecycle;
pub mod one_thread;
pub mod stop_signals;
pub mod telemetry;
pub mod workload_identity_arguments;
