//! The end of the process: nothing new begins, and the results that only this process knows are stored.
//!
//! If the answer to a cancel request were lost, the next process would send another one. If an outcome were lost, Google may have
//! forgotten the operation by then. [`crate::lifecycle::Plan::unrecorded`] tells which objects have such a result; of the others
//! only requests to the API server that are in flight are waited for.
//!
//! If another process stands by, it must not wait for long: what is known already is stored, for a moment at most, and the Lease is
//! released when no write is in flight. From then on this process writes nothing. Its cancel requests in flight may end; their
//! intents are stored, so the next leader sends a GET first.

use std::time::Duration;

use tokio::time::Instant;

use super::Dispatcher;

/// How long requests in flight may take after a signal to stop.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(15);

/// How long a leader may store what it knows before it only waits for the writes in flight.
const HANDOVER_LIMIT: Duration = Duration::from_millis(100);

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Results that only this process knows are stored.
    Storing,
    /// No write begins. Those in flight are waited for.
    Writing,
    /// The Lease is released. Cancel requests in flight are waited for.
    HandedOver,
}

/// The end of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    begun: Instant,
    stage: Stage,
}

impl Dispatcher {
    /// From now on nothing begins, except writes of results that only this process knows.
    pub(super) fn drain(&mut self) {
        tracing::info!("stopping: waiting for requests in flight");
        for cancel in self.cancels.values() {
            cancel.cancel();
        }
        let stage = if self.is_leader {
            self.sweep_unrecorded();
            Stage::Storing
        } else {
            self.leadership.release.cancel();
            Stage::HandedOver
        };
        self.drain = Some(Drain {
            begun: Instant::now(),
            stage,
        });
    }

    /// Whether the end of the process is reached. Goes from one stage of the end to the next.
    pub(super) fn is_drained(&mut self) -> bool {
        let Some(Drain { begun, stage }) = self.drain else {
            return false;
        };
        let next = match stage {
            Stage::Storing if !self.leadership.is_elected => {
                return self.requests.is_idle() && self.objects.is_all_recorded();
            }
            Stage::Storing if self.has_stored_all() || begun.elapsed() >= HANDOVER_LIMIT => {
                Stage::Writing
            }
            stage => stage,
        };
        let next = match next {
            Stage::Writing if self.requests.in_flight() == 0 => {
                self.leadership.release.cancel();
                self.metrics.leads(false);
                Stage::HandedOver
            }
            next => next,
        };
        self.drain = Some(Drain { begun, stage: next });
        next == Stage::HandedOver && self.cancels.is_empty()
    }

    /// Whether nothing that is known waits to be stored. The answers to cancel requests in flight are not known yet.
    fn has_stored_all(&self) -> bool {
        let mut unrecorded = self.objects.all_unrecorded();
        self.requests.in_flight() == 0 && unrecorded.all(|id| self.cancels.contains_key(&id))
    }

    /// Whether objects may be stepped.
    pub(super) fn may_step(&self) -> bool {
        let is_over = self
            .drain
            .is_some_and(|drain| drain.stage != Stage::Storing);
        self.is_leader && !is_over && !self.leadership.term.is_over()
    }

    /// When [`Dispatcher::is_drained`] has to be asked again; `None` while the process is not ending.
    pub(super) fn drain_wakes_at(&self) -> Option<Instant> {
        let Drain { begun, stage } = self.drain?;
        let is_handover = stage == Stage::Storing && self.leadership.is_elected;
        let limit = if is_handover {
            HANDOVER_LIMIT
        } else {
            DRAIN_LIMIT
        };
        Some(begun + limit)
    }

    /// Whether requests in flight have taken too long.
    pub(super) fn has_drained_too_long(&self) -> bool {
        self.drain
            .is_some_and(|drain| drain.begun.elapsed() >= DRAIN_LIMIT)
    }
}
