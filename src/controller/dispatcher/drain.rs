//! The end of the process: what was begun is ended, and nothing else begins.
//!
//! A cancel request that was answered must not be forgotten, or the next process would send another one. So for an object whose
//! request was sent the visit goes on until its answer stands in the status. Nor must an outcome that was seen: Google may have
//! forgotten the operation by then. Of all others only writes that are under way are waited for.

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
            kept.api_requests > 0
                || kept.unrecorded_outcome
                || (kept.unrecorded_cancel && (kept.unanswered > 0 || soon))
        };
        self.lanes.cancels_under_way() == 0 && !self.objects.all_kept().any(pending)
    }
}

/// Whether an effect begins something that the next process can do as well.
pub(super) fn can_wait(effect: &Effect, kept: &Kept) -> bool {
    match effect {
        Effect::Cancel { .. } => true,
        Effect::Write(write) => is_for_the_next_process(write.kind, kept.unrecorded_cancel),
        Effect::QueueWrite(kind) => is_for_the_next_process(*kind, kept.unrecorded_cancel),
        Effect::Get { .. } | Effect::Reread => !kept.unrecorded_cancel,
        Effect::DropToken | Effect::Publish(_) | Effect::Forget => false,
    }
}

const fn is_for_the_next_process(kind: WriteKind, unrecorded_cancel: bool) -> bool {
    match kind {
        WriteKind::Intent => true,
        WriteKind::Outcome => false,
        WriteKind::Progress => !unrecorded_cancel,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_this_process_knows_is_written_before_the_end() {
        for (kind, unrecorded_cancel, waits) in [
            (WriteKind::Intent, false, true),
            (WriteKind::Intent, true, true),
            (WriteKind::Progress, false, true),
            (WriteKind::Progress, true, false),
            (WriteKind::Outcome, false, false),
            (WriteKind::Outcome, true, false),
        ] {
            let found = is_for_the_next_process(kind, unrecorded_cancel);
            assert_eq!(found, waits, "{kind:?} {unrecorded_cancel}");
        }
    }
}
