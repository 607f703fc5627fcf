//! The end of the process: what was begun is ended, and nothing else begins.
//!
//! An answer to a cancel request must not be forgotten, or the next process would send another one. Nor must an end that was
//! seen: Google may have forgotten the operation by then. The life cycle says which objects have such a thing
//! ([`crate::lifecycle::Plan::unrecorded`]); of all others only requests to the API server that are under way are waited for.

use std::time::Duration;

use tokio::time::Instant;

use super::Dispatcher;

/// How long requests that are under way may take to end after a signal to stop.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(15);

impl Dispatcher {
    /// From now on nothing begins, except what records what only this process knows.
    pub(super) fn drain(&mut self) {
        tracing::info!("stopping: waiting for requests in flight");
        self.drain_until = Some(Instant::now() + DRAIN_LIMIT);
        for cancel in self.cancels.values() {
            cancel.cancel();
        }
        self.sweep_unrecorded();
    }

    pub(super) fn is_drained(&self) -> bool {
        self.requests.is_idle() && self.objects.is_all_recorded()
    }
}
