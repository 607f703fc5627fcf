//! The watches of cancellations and grants. They continue after every failure.

pub mod cancellation_watch;
pub mod grant_watch;
mod listing;
pub mod resilient_watch;
mod retry_pace;
#[cfg(test)]
mod scripted_api_server;
pub mod watch_stream;
