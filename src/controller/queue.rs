//! The queues in which calls to Google and requests to the API server wait for their turn.

pub mod call_limits;
pub mod fair_queue;
pub mod lanes;
pub mod outage;
mod round_robin;
pub mod write_queue;
