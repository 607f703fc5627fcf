//! The status as it should be, from what is known. Conditions: design section 2, "What waiting tools see".

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    Cancellation, Context, Notice,
    cancellation::{CancelState, LastGet},
    message,
    rule::Gate,
    time::{self, Since},
};
use crate::{
    api::{CancellationStatus, Condition, ConditionStatus, ConditionType, Identity, Reason},
    google::catalogue::Target,
};

/// How long no grant is not yet a reason to call for help: grant and object often come in one apply.
const GRANT_PATIENCE: Duration = Duration::from_secs(60);
/// How long a failing call is not yet one: IAM bindings take minutes to arrive, and Helm gives up after 5.
const FAILURE_PATIENCE: Duration = Duration::from_secs(240);

/// The status as it should be now.
#[derive(Clone, Debug)]
pub struct Report {
    /// The whole of it.
    pub status: CancellationStatus,
    /// When it turns into `Stalled` if nothing happens before (monotonic).
    pub stalled_at: Option<Duration>,
    /// What to tell people if this is the first time that it says `Stalled`.
    pub stalled: Option<Notice>,
    /// What to tell people if it says how it ended.
    pub finished: Option<Notice>,
}

/// What `Finished` says until then.
const NOT_FINISHED: &str = "It has not ended yet";

/// One condition, before it is given its times.
pub(super) type Row = (ConditionType, ConditionStatus, &'static str, String);

/// The status as it should be while it is under way, given which rule applies and how far the cancel request got.
pub fn report(
    known: &Cancellation,
    gate: &Gate,
    cancel: CancelState,
    context: &Context<'_>,
) -> Report {
    let mut report = Report {
        status: facts(known, context),
        stalled_at: None,
        stalled: None,
        finished: None,
    };
    let rows = under_way(known, gate, cancel, context, &mut report);
    let now = time::stored_now(&known.object, context.now);
    report.status.conditions = conditions(known, rows, report.status.observed_generation, now);
    report
}

/// Everything but the conditions.
pub(super) fn facts(known: &Cancellation, context: &Context<'_>) -> CancellationStatus {
    let object = &known.object;
    let stored = &object.status;
    let mut status = CancellationStatus {
        observed_generation: stored.observed_generation,
        outcome: stored.outcome.clone(),
        target: stored.target.clone(),
        identity: stored.identity.clone(),
        start_time: known.started.map(|started| Time(started.stored)),
        cancel_attempts: stored.cancel_attempts,
        cancel_request_time: stored.cancel_request_time.clone(),
        completion_time: stored.completion_time.clone(),
        operation: known
            .get
            .observed
            .as_ref()
            .or(stored.operation.as_ref())
            .cloned(),
        last_error: known.failure().map(super::failure::Failure::stored),
        conditions: Vec::new(),
    };
    if let Ok(spec) = &object.spec {
        if let Ok(target) = &spec.target {
            status.target = Some(shown(target));
        }
        let principal = match &spec.service_account_name {
            None => context.principal.map(str::to_owned),
            Some(_) => None,
        };
        status.identity = Some(Identity {
            kind: spec.identity_kind().name().to_owned(),
            name: spec.service_account_name.clone(),
            principal: principal
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

fn under_way(
    known: &Cancellation,
    gate: &Gate,
    cancel: CancelState,
    context: &Context<'_>,
    report: &mut Report,
) -> Vec<Row> {
    use ConditionStatus::{False, True, Unknown};
    use ConditionType::{Authorized, CancelRequested, Finished, Ready, Reconciling, Stalled};
    let Ok(spec) = &known.object.spec else {
        return Vec::new();
    };

    let (reason, text, stalls_after) = match gate {
        Gate::Stall(reason, text) => (*reason, text.clone(), Some(Duration::ZERO)),
        Gate::NotGranted => {
            let left = known
                .not_granted_since
                .map(|since| left(GRANT_PATIENCE, since, context));
            (
                Reason::NoGrant,
                message::no_grant(&known.object, spec),
                left,
            )
        }
        Gate::GrantUnknown => (
            Reason::GrantsNotRead,
            message::GRANTS_NOT_READ.to_owned(),
            None,
        ),
        _ => match known.failure() {
            Some(failure) => {
                // Another failure does not begin it, but does not end it either.
                let left = known
                    .stalling_since()
                    .filter(|_| failure.stalls() || known.is_stalled_by_failure())
                    .map(|since| left(FAILURE_PATIENCE, since, context));
                (failure.reason(), message::failure(failure, spec), left)
            }
            None => {
                let reason = phase(known, cancel);
                (reason, message::phase(reason).to_owned(), None)
            }
        },
    };

    let mut rows: Vec<Row> = vec![match gate {
        Gate::NotGranted => (
            Authorized,
            False,
            Reason::NoGrant.name(),
            "No CancellationGrant allows it".to_owned(),
        ),
        Gate::GrantUnknown => (
            Authorized,
            Unknown,
            Reason::GrantsNotRead.name(),
            "Not known".to_owned(),
        ),
        Gate::Stall(Reason::UnknownService | Reason::UnknownVersion | Reason::UnknownName, _) => {
            (Authorized, Unknown, reason.name(), "Not checked".to_owned())
        }
        _ => (
            Authorized,
            True,
            Reason::Granted.name(),
            "A CancellationGrant allows it".to_owned(),
        ),
    }];

    let looked = known.get.last == Some(LastGet::Running) && known.get.failures.last.is_none();
    if *gate == Gate::Suspended && looked {
        // What is desired is done: neither Ready nor Reconciling nor Stalled, which kstatus calls Current.
        rows.push((
            CancelRequested,
            False,
            Reason::Suspended.name(),
            message::SUSPENDED.to_owned(),
        ));
        rows.push((
            Finished,
            False,
            Reason::Suspended.name(),
            NOT_FINISHED.to_owned(),
        ));
        return rows;
    }
    rows.push(match (gate, cancel) {
        (Gate::Suspended, _) => (
            CancelRequested,
            False,
            Reason::Suspended.name(),
            "Suspended".to_owned(),
        ),
        (_, CancelState::NotSent) => (
            CancelRequested,
            Unknown,
            reason.name(),
            "Not sent yet".to_owned(),
        ),
        (_, cancel) => cancel_requested(cancel),
    });
    rows.push((Finished, False, reason.name(), NOT_FINISHED.to_owned()));
    if stalls_after == Some(Duration::ZERO) {
        rows.push((Ready, False, reason.name(), text.clone()));
        rows.push((Stalled, True, reason.name(), text.clone()));
        report.stalled = Some(Notice::Stalled {
            reason: reason.name(),
            message: text,
        });
    } else {
        report.stalled_at = stalls_after.map(|after| context.now.mono.saturating_add(after));
        rows.push((Ready, Unknown, reason.name(), text.clone()));
        rows.push((Reconciling, True, reason.name(), text));
    }
    rows
}

/// What is left of the patience since a moment.
fn left(patience: Duration, since: Since, context: &Context<'_>) -> Duration {
    patience.saturating_sub(since.passed(context.now))
}

/// What goes on, while nothing fails.
const fn phase(known: &Cancellation, cancel: CancelState) -> Reason {
    match cancel {
        CancelState::NotSent if known.post.held => Reason::Throttled,
        CancelState::NotSent => Reason::Observing,
        CancelState::Intended | CancelState::Sending | CancelState::AwaitingGet => Reason::Sending,
        CancelState::Again { refused: true } => Reason::Refused,
        CancelState::Again { refused: false } => Reason::Sending,
        CancelState::Accepted { .. } => Reason::Polling,
        CancelState::Unsupported => Reason::Unsupported,
    }
}

/// The condition once an intent is recorded.
pub(super) fn cancel_requested(cancel: CancelState) -> Row {
    use ConditionStatus::{False, True, Unknown};
    let (status, reason, text) = match cancel {
        CancelState::Accepted { .. } => (True, Reason::Accepted, "The API took the cancel request"),
        CancelState::Again { refused: true } => {
            (False, Reason::Refused, "The API refused to cancel it")
        }
        CancelState::Unsupported => (
            False,
            Reason::Unsupported,
            "The API cannot cancel this operation",
        ),
        CancelState::NotSent
        | CancelState::Intended
        | CancelState::Sending
        | CancelState::AwaitingGet
        | CancelState::Again { .. } => (
            Unknown,
            Reason::Sending,
            "Whether the API took the cancel request is not known",
        ),
    };
    (
        ConditionType::CancelRequested,
        status,
        reason.name(),
        text.to_owned(),
    )
}

/// Gives the rows their times, and keeps the conditions of others.
pub(super) fn conditions(
    known: &Cancellation,
    rows: Vec<Row>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let stored = &known.object.status.conditions;
    let foreign = stored.iter().filter(|condition| {
        !ConditionType::ALL
            .iter()
            .any(|ours| ours.name() == condition.type_)
    });
    let ours = rows.into_iter().map(|(type_, status, reason, message)| {
        let before = stored
            .iter()
            .find(|condition| condition.type_ == type_.name() && condition.status == status.name());
        Condition {
            type_: type_.name().to_owned(),
            status: status.name().to_owned(),
            reason: reason.to_owned(),
            message,
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
