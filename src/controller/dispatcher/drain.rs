//! The end of the process: what was begun is ended, and nothing else begins.
//!
//! A cancel request that was answered must not be forgotten, or the next process would send another one. So for an object whose
//! request was sent the visit goes on until its answer stands in the status; of all others only writes are waited for.

use std::time::Duration;

use tokio::time::Instant;

use super::Dispatcher;
use crate::{
    controller::objects::Kept,
    lifecycle::{Effect, WriteKind},
};

/// How long requests that are under way may take to end after a signal to stop.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(15);

impl Dispatcher {
    /// From now on nothing begins, except what records the answer to a cancel request that was sent.
    pub(super) fn drain(&mut self) {
        tracing::info!("stopping: what is under way is ended first");
        self.drain_until = Some(Instant::now() + DRAIN_LIMIT);
    }

    pub(super) fn is_drained(&self) -> bool {
        let limit = self.drain_until.unwrap_or_else(Instant::now);
        let pending = |kept: &Kept| {
            let soon = kept
                .timer
                .as_ref()
                .is_some_and(|timer| self.calls.clock.instant(timer.time()) <= limit);
            kept.api_requests > 0 || (kept.unrecorded_cancel && (kept.unanswered > 0 || soon))
        };
        self.lanes.cancels_under_way() == 0 && !self.objects.all_kept().any(pending)
    }
}

/// Whether an effect begins something that the next process can do as well.
pub(super) fn can_wait(effect: &Effect, kept: &Kept) -> bool {
    match effect {
        Effect::Cancel { .. } => true,
        Effect::Write(write) => is_intent(write.kind) || !kept.unrecorded_cancel,
        Effect::QueueWrite(kind) => is_intent(*kind) || !kept.unrecorded_cancel,
        Effect::Get { .. } | Effect::Reread => !kept.unrecorded_cancel,
        Effect::DropToken | Effect::Publish(_) | Effect::Forget => false,
    }
}

const fn is_intent(kind: WriteKind) -> bool {
    matches!(kind, WriteKind::Intent)
}
