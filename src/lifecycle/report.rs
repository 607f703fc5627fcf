//! The status that an unfinished object should have (docs/life-of-a-cancellation.md#what-waiting-tools-see).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    Cancellation, Context, Notice, Spec,
    cancellation::{CancelState, LastGet},
    message,
    rule::Rule,
    time::{self, Since},
};
use crate::{
    api::{CancellationStatus, Condition, ConditionStatus, ConditionType, Identity, Reason},
    google::catalogue::Target,
};

/// An object without a grant is `Stalled` only after this time: grant and object often come in one apply.
const GRANT_PATIENCE: Duration = Duration::from_secs(60);
/// A failing call makes the object `Stalled` only after this time: IAM bindings take minutes to arrive, and Helm gives up after
/// five.
const FAILURE_PATIENCE: Duration = Duration::from_secs(240);

/// The status as it should be now.
#[derive(Clone, Debug)]
pub struct Report {
    /// The whole of it.
    pub status: CancellationStatus,
    /// When the object becomes `Stalled` if nothing happens before (monotonic).
    pub stalled_at: Option<Duration>,
    /// The event to publish when the object becomes `Stalled` for the first time.
    pub stalled: Option<Notice>,
    /// The event to publish with the outcome.
    pub finished: Option<Notice>,
}

/// The message of `Finished` before the end.
const NOT_FINISHED: &str = "The operation has not ended yet";

/// What the condition `Authorized` says.
pub(super) const GRANTED: &str = "A CancellationGrant allows it";
pub(super) const NOT_GRANTED: &str = "No CancellationGrant allows it";

/// One condition without its times.
pub(super) struct Row {
    pub type_: ConditionType,
    pub status: ConditionStatus,
    pub reason: &'static str,
    pub message: String,
}

pub(super) fn row(
    type_: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: impl Into<String>,
) -> Row {
    Row {
        type_,
        status,
        reason: reason.name(),
        message: message.into(),
    }
}

/// The status of an unfinished object, given which rule applies and how far the cancel request got.
pub fn report(
    state: &Cancellation,
    rule: &Rule,
    cancel: CancelState,
    context: &Context<'_>,
) -> Report {
    let mut report = Report {
        status: facts(state, context),
        stalled_at: None,
        stalled: None,
        finished: None,
    };
    let rows = progress_conditions(state, rule, cancel, context, &mut report);
    let now = time::stored_now(&state.object, context.now);
    report.status.conditions = conditions(state, rows, report.status.observed_generation, now);
    report
}

/// Everything but the conditions.
pub(super) fn facts(state: &Cancellation, context: &Context<'_>) -> CancellationStatus {
    let object = &state.object;
    let stored = &object.status;
    let mut status = CancellationStatus {
        observed_generation: stored.observed_generation,
        outcome: stored.outcome.clone(),
        target: stored.target.clone(),
        identity: stored.identity.clone(),
        start_time: state.started.map(|started| Time(started.stored)),
        cancel_attempts: stored.cancel_attempts,
        cancel_attempted_by: stored.cancel_attempted_by.clone(),
        cancel_request_time: stored.cancel_request_time.clone(),
        completion_time: stored.completion_time.clone(),
        operation: state
            .get
            .observed
            .as_ref()
            .or(stored.operation.as_ref())
            .cloned(),
        last_error: state.failure().map(super::failure::Failure::stored),
        conditions: Vec::new(),
    };
    if let Ok(spec) = &object.spec {
        if let Ok(target) = &spec.target {
            status.target = Some(shown(target));
        }
        status.identity = Some(Identity {
            kind: spec.identity_kind().name().to_owned(),
            name: spec.service_account_name.clone(),
            principal: (context.principal.map(str::to_owned))
                .or_else(|| status.identity.and_then(|identity| identity.principal)),
        });
    }
    status.observed_generation = Some(
        object
            .generation
            .max(status.observed_generation.unwrap_or(i64::MIN)),
    );
    status
}

/// What is addressed, for `status.target`.
fn shown(target: &Target) -> crate::api::TargetStatus {
    crate::api::TargetStatus {
        parent: target.parent().map(str::to_owned),
        project: target.project().map(str::to_owned),
        location: target.location().map(str::to_owned),
        operation: target.operation().to_owned(),
        service: target.service.clone(),
        version: target.version.clone(),
        endpoint: target.endpoint.clone(),
    }
}

/// What the status of an unfinished object says: one reason and one message for all conditions.
struct Progress {
    reason: Reason,
    message: String,
    /// How long from now until people have to act: nothing if they have to now, `None` if they never have to.
    stalls_after: Option<Duration>,
}

impl Progress {
    fn new(
        state: &Cancellation,
        spec: &Spec,
        rule: &Rule,
        cancel: CancelState,
        context: &Context<'_>,
    ) -> Self {
        match rule {
            Rule::Stall(reason, message) => Self {
                reason: *reason,
                message: message.clone(),
                stalls_after: Some(Duration::ZERO),
            },
            Rule::NotGranted => Self {
                reason: Reason::NoGrant,
                message: message::no_grant(&state.object, spec),
                stalls_after: state
                    .not_granted_since
                    .map(|since| left(GRANT_PATIENCE, since, context)),
            },
            Rule::GrantUnknown => Self {
                reason: Reason::GrantsNotRead,
                message: message::GRANTS_NOT_READ.to_owned(),
                stalls_after: None,
            },
            Rule::End(_) | Rule::FinalGet | Rule::Suspended | Rule::Proceed => {
                match state.failure() {
                    Some(failure) if state.may_be_at_another_host() => Self {
                        reason: Reason::NotServed,
                        message: message::another_host(failure, spec.target.as_ref().ok()),
                        stalls_after: Some(Duration::ZERO),
                    },
                    Some(failure) => Self {
                        reason: failure.reason(spec.target.as_ref().ok()),
                        message: message::failure(failure, spec),
                        // Another failure does not begin it, but does not end it either.
                        stalls_after: state
                            .stalling_since()
                            .filter(|_| failure.stalls() || state.is_stalled_by_failure())
                            .map(|since| left(FAILURE_PATIENCE, since, context)),
                    },
                    None => {
                        let reason = phase(state, cancel);
                        Self {
                            reason,
                            message: message::phase(reason, spec.target.as_ref().ok()),
                            stalls_after: None,
                        }
                    }
                }
            }
        }
    }
}

/// The conditions of an unfinished object; none if its spec cannot be read. Sets in the report whether and when it stalls.
fn progress_conditions(
    state: &Cancellation,
    rule: &Rule,
    cancel: CancelState,
    context: &Context<'_>,
    report: &mut Report,
) -> Vec<Row> {
    use ConditionStatus::{False, True, Unknown};
    use ConditionType::{Finished, Ready, Reconciling, Stalled};
    let Ok(spec) = &state.object.spec else {
        return Vec::new();
    };
    if *rule == Rule::Suspended && is_running(state) {
        // The spec asks for no more: without Ready, Reconciling and Stalled kstatus calls it Current.
        let reason = Reason::Suspended;
        return vec![
            authorized(rule, reason),
            suspended(&message::suspended(spec.target.as_ref().ok())),
            row(Finished, False, reason, NOT_FINISHED),
        ];
    }
    let Progress {
        reason,
        message,
        stalls_after,
    } = Progress::new(state, spec, rule, cancel, context);
    let mut rows = vec![
        authorized(rule, reason),
        cancel_requested_under_way(rule, cancel, reason, spec.target.as_ref().ok()),
        row(Finished, False, reason, NOT_FINISHED),
    ];
    if stalls_after == Some(Duration::ZERO) {
        rows.push(row(Ready, False, reason, message.clone()));
        rows.push(row(Stalled, True, reason, message.clone()));
        report.stalled = Some(Notice::Stalled {
            reason: reason.name(),
            message,
        });
    } else {
        report.stalled_at = stalls_after.map(|after| context.now.mono.saturating_add(after));
        rows.push(row(Ready, Unknown, reason, message.clone()));
        rows.push(row(Reconciling, True, reason, message));
    }
    rows
}

/// Whether the last GET showed the operation running, and nothing failed since.
fn is_running(state: &Cancellation) -> bool {
    state.get.last == Some(LastGet::Running) && state.get.failures.last.is_none()
}

/// Whether a grant allows it. `reason` is that of the other conditions.
fn authorized(rule: &Rule, reason: Reason) -> Row {
    use ConditionStatus::{False, True, Unknown};
    use ConditionType::Authorized;
    match rule {
        Rule::NotGranted => row(Authorized, False, Reason::NoGrant, NOT_GRANTED),
        Rule::GrantUnknown => row(
            Authorized,
            Unknown,
            Reason::GrantsNotRead,
            "The CancellationGrants, or labels of namespaces, could not be read",
        ),
        Rule::Stall(Reason::UnknownService | Reason::UnknownVersion | Reason::UnknownName, _) => {
            row(
                Authorized,
                Unknown,
                reason,
                "Not checked: the operation is not known",
            )
        }
        _ => row(Authorized, True, Reason::Granted, GRANTED),
    }
}

fn cancel_requested_under_way(
    rule: &Rule,
    cancel: CancelState,
    reason: Reason,
    target: Option<&Target>,
) -> Row {
    match (rule, cancel) {
        (Rule::Suspended, _) => suspended("Suspended"),
        (_, CancelState::NotSent) => row(
            ConditionType::CancelRequested,
            ConditionStatus::Unknown,
            reason,
            "Not sent yet",
        ),
        (_, cancel) => cancel_requested(cancel, target),
    }
}

fn suspended(message: &str) -> Row {
    row(
        ConditionType::CancelRequested,
        ConditionStatus::False,
        Reason::Suspended,
        message,
    )
}

/// How much of `patience` is left since a moment.
fn left(patience: Duration, since: Since, context: &Context<'_>) -> Duration {
    patience.saturating_sub(since.passed(context.now))
}

/// The reason while nothing fails.
const fn phase(state: &Cancellation, cancel: CancelState) -> Reason {
    match cancel {
        CancelState::NotSent if state.is_rate_limited => Reason::NamespaceRateLimited,
        CancelState::NotSent if state.post.held => Reason::Throttled,
        CancelState::NotSent => Reason::Observing,
        CancelState::Intended | CancelState::Sending | CancelState::AwaitingGet => Reason::Sending,
        CancelState::Again { refused: true } => Reason::Refused,
        CancelState::Again { refused: false } => Reason::Sending,
        CancelState::Accepted { .. } => Reason::Polling,
        CancelState::Unsupported => Reason::Unsupported,
    }
}

/// The condition once an intent is recorded.
pub(super) fn cancel_requested(cancel: CancelState, target: Option<&Target>) -> Row {
    use ConditionStatus::{False, True, Unknown};
    let (status, reason) = match cancel {
        CancelState::Accepted { .. } => (True, Reason::Accepted),
        CancelState::Again { refused: true } => (False, Reason::Refused),
        CancelState::Unsupported => (False, Reason::Unsupported),
        CancelState::NotSent
        | CancelState::Intended
        | CancelState::Sending
        | CancelState::AwaitingGet
        | CancelState::Again { .. } => (Unknown, Reason::Sending),
    };
    let text = message::cancel_requested(reason, target);
    row(ConditionType::CancelRequested, status, reason, text)
}

/// Gives our conditions their times, and keeps those of other writers.
pub(super) fn conditions(
    state: &Cancellation,
    rows: Vec<Row>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let stored = &state.object.status.conditions;
    let foreign = stored.iter().filter(|condition| {
        !ConditionType::ALL
            .iter()
            .any(|ours| ours.name() == condition.type_)
    });
    let ours = rows.into_iter().map(|row| {
        let before = stored.iter().find(|condition| {
            condition.type_ == row.type_.name() && condition.status == row.status.name()
        });
        Condition {
            type_: row.type_.name().to_owned(),
            status: row.status.name().to_owned(),
            reason: row.reason.to_owned(),
            message: row.message,
            last_transition_time: before
                .map_or(Time(now), |before| before.last_transition_time.clone()),
            observed_generation: generation,
        }
    });
    ours.chain(foreign.cloned().map(|mut condition| {
        if generation.is_none() {
            condition.observed_generation = None;
        }
        condition
    }))
    .collect()
}
