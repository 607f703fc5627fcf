//! The watches of cancellations and grants, which continue whatever happens.

mod listing;
mod retry_pace;
#[cfg(test)]
mod scripted_api_server;
pub mod watch_pace;
pub mod watch_stream;
pub mod watches;
mod watching;
