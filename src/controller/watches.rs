//! The watches of cancellations, grants and namespaces. They continue after every failure.

pub mod cancellation_watch;
pub mod grant_watch;
pub mod label_target;
mod listing;
mod namespace_reads;
pub mod namespace_watch;
pub mod resilient_watch;
mod retry_pace;
#[cfg(test)]
mod scripted_api_server;
pub mod watch_stream;
