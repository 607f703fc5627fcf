//! The end of the process: nothing new begins, and the results that only this process knows are stored.
//!
//! If the answer to a cancel request were lost, the next process would send another one. If an outcome were lost, Google may have
//! forgotten the operation by then. [`crate::lifecycle::Plan::unrecorded`] tells which objects have such a result; of the others
//! only requests to the API server that are in flight are waited for.

use std::time::Duration;

use tokio::time::Instant;

use super::Dispatcher;

/// How long requests in flight may take after a signal to stop.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(15);

impl Dispatcher {
    /// From now on nothing begins, except writes of results that only this process knows.
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
