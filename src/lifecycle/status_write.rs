//! What is written to `/status`, and when a write is worth making.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    Cancellation, Context, Notice,
    cancellation::{CancelState, WriteInFlight},
    ending::Ending,
    final_report::final_report,
    merge_patch::MergePatch,
    report::{Report, report},
    rule::Rule,
    time,
};
use crate::api::{CancellationStatus, Condition, Identity, LastError};

/// Why a write is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteKind {
    /// Records that a cancel request follows. It counts only if the answer has the raised `cancelAttempts`, this process as its
    /// author and a new version.
    Intent,
    /// Records the outcome.
    Outcome,
    /// Everything in between.
    Progress,
}

impl WriteKind {
    /// The name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::Progress => "progress",
        }
    }
}

/// A write to `/status`: a JSON merge patch that names uid and resource version, so that it is a compare-and-set.
///
/// A patch, not the whole status: it keeps the fields of a newer release that this one does not know.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusWrite {
    /// Why it is made.
    pub kind: WriteKind,
    /// The resource version that it changes.
    pub base: String,
    /// `cancelAttempts` afterwards.
    pub attempts: i64,
    /// The body.
    pub patch: MergePatch,
    /// The status afterwards, as far as this release knows it.
    pub status: Box<CancellationStatus>,
    notice: Option<Notice>,
}

impl StatusWrite {
    pub(super) fn in_flight(&self) -> WriteInFlight {
        WriteInFlight {
            kind: self.kind,
            base: self.base.clone(),
            attempts: self.attempts,
            notice: self.notice.clone(),
        }
    }
}

/// The write that records the next intent.
pub fn intent(state: &Cancellation, context: &Context<'_>) -> StatusWrite {
    // The request is about to be sent: after a crash from here on its result is not known, whatever the last one was.
    let mut report = report(state, &Rule::Proceed, CancelState::Sending, context);
    let status = &mut report.status;
    // The store may have been rolled back, but a sent request stays sent.
    let announced = state.object.cancel_attempts().max(state.post.last_sent);
    status.cancel_attempts = Some(announced.saturating_add(1));
    status.cancel_attempted_by = Some(context.holder.to_owned());
    let now = Time(time::stored_now(&state.object, context.now));
    let first = time::credible(
        status.cancel_request_time.as_ref(),
        &state.object,
        context.now,
    );
    status.cancel_request_time = Some(first.map_or(now, Time));
    make(state, WriteKind::Intent, report)
}

/// The write that records the outcome.
pub fn outcome(state: &Cancellation, ending: Ending, context: &Context<'_>) -> StatusWrite {
    make(
        state,
        WriteKind::Outcome,
        final_report(state, ending, context),
    )
}

/// Any other write.
pub fn progress(state: &Cancellation, report: Report) -> StatusWrite {
    make(state, WriteKind::Progress, report)
}

/// Whether the stored status has to be changed. Messages, the last observation and the principal alone are not worth a write.
pub fn is_due(state: &Cancellation, report: &Report) -> bool {
    let stored = &state.object.status;
    // Every field is named, so that a new one cannot be forgotten.
    let CancellationStatus {
        observed_generation,
        outcome,
        target,
        identity,
        start_time,
        cancel_attempts,
        cancel_attempted_by,
        cancel_request_time,
        completion_time,
        operation: _,
        last_error,
        conditions,
    } = &report.status;
    let same = *observed_generation == stored.observed_generation
        && *outcome == stored.outcome
        && *target == stored.target
        && both(identity, &stored.identity, is_same_identity)
        && *start_time == stored.start_time
        && *cancel_attempts == stored.cancel_attempts
        && *cancel_attempted_by == stored.cancel_attempted_by
        && *cancel_request_time == stored.cancel_request_time
        && *completion_time == stored.completion_time
        && both(last_error, &stored.last_error, is_same_error)
        && are_same_conditions(conditions, &stored.conditions);
    !same
}

/// Whether both are absent, or both are present and the same.
fn both<T>(one: &Option<T>, other: &Option<T>, same: impl FnOnce(&T, &T) -> bool) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

fn is_same_identity(one: &Identity, other: &Identity) -> bool {
    one.kind == other.kind && one.name == other.name
}

fn is_same_error(one: &LastError, other: &LastError) -> bool {
    one.call == other.call
        && one.status == other.status
        && one.reason == other.reason
        && one.since == other.since
}

/// In any order; each type occurs once (the list is a map).
fn are_same_conditions(some: &[Condition], others: &[Condition]) -> bool {
    let is_there = |one: &Condition| {
        others.iter().any(|other| {
            one.type_ == other.type_
                && one.status == other.status
                && one.reason == other.reason
                && one.observed_generation == other.observed_generation
        })
    };
    some.len() == others.len() && some.iter().all(is_there)
}

fn make(state: &Cancellation, kind: WriteKind, report: Report) -> StatusWrite {
    let object = &state.object;
    let notice = match kind {
        WriteKind::Outcome => report.finished,
        _ if state.write.stalled_published => None,
        _ => report.stalled,
    };
    StatusWrite {
        kind,
        base: object.resource_version.clone(),
        attempts: report.status.cancel_attempts.unwrap_or(0),
        patch: MergePatch::new(object, &report.status),
        status: Box::new(report.status),
        notice,
    }
}
