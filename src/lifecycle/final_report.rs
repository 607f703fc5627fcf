//! The status that records the outcome: written once, never changed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    Cancellation, Context, Notice,
    cancellation::CancelState,
    ending::Ending,
    message::{self, Sent},
    report::{GRANTED, NOT_GRANTED, Report, Row, cancel_requested, conditions, facts, row},
    time,
};
use crate::api::{ConditionStatus, ConditionType, ObservedOperation, Outcome, Reason};

/// The status that records the outcome.
pub fn final_report(state: &Cancellation, ending: Ending, context: &Context<'_>) -> Report {
    let now = time::stored_now(&state.object, context.now);
    let mut status = facts(state, context);
    status.outcome = Some(ending.outcome.name().to_owned());
    status.completion_time = Some(Time(now));
    // An outcome belongs to no generation: after a later edit tools must not wait for it again.
    status.observed_generation = None;
    let (rows, notice) = finished(state, ending, status.operation.as_ref());
    status.conditions = conditions(state, rows, None, now);
    Report {
        status,
        stalled_at: None,
        stalled: None,
        finished: Some(notice),
    }
}

fn finished(
    state: &Cancellation,
    ending: Ending,
    operation: Option<&ObservedOperation>,
) -> (Vec<Row>, Notice) {
    use ConditionStatus::{False, True};
    use ConditionType::{Authorized, Finished, Ready, Stalled};
    let spec = state.object.spec.as_ref().ok();
    let outcome = ending.outcome;
    let (sent, cancel) = cancel_requested_at_the_end(state, outcome);
    let text = match &state.object.spec {
        Err(malformed) => message::cut(malformed.message.clone()),
        Ok(spec) => message::ending(ending, operation, sent, state.failure(), Some(spec)),
    };
    let accepted = spec.is_some_and(|spec| spec.accepts(outcome));

    let mut rows = Vec::new();
    if spec.is_some() {
        rows.push(if state.was_granted() {
            row(Authorized, True, Reason::Granted, GRANTED)
        } else {
            row(Authorized, False, Reason::NoGrant, NOT_GRANTED)
        });
    }
    rows.push(cancel);
    let reason = if ending.no_result {
        Reason::NoResult.name()
    } else {
        outcome.name()
    };
    rows.push(Row {
        type_: Finished,
        status: True,
        reason,
        message: format!("It ended: {outcome}"),
    });
    if accepted {
        rows.push(row(Ready, True, Reason::OutcomeAccepted, text.as_str()));
    } else {
        let stalled = if outcome == Outcome::Unknown {
            Reason::DeadlineExceeded
        } else {
            Reason::OutcomeNotAccepted
        };
        let not_ready = Reason::OutcomeNotAccepted;
        rows.push(row(Ready, False, not_ready, text.as_str()));
        rows.push(row(Stalled, True, stalled, text.as_str()));
    }
    let notice = Notice::Finished {
        outcome,
        reason,
        accepted,
        message: text,
    };
    (rows, notice)
}

/// The state of the cancel request at the end.
fn cancel_requested_at_the_end(state: &Cancellation, outcome: Outcome) -> (Sent, Row) {
    use CancelState::{Accepted, Again, Sending, Unsupported};
    let target = state.object.target();
    let seen_done = matches!(
        outcome,
        Outcome::Cancelled | Outcome::Completed | Outcome::Failed | Outcome::Ended
    );
    match state.cancel {
        Accepted { .. } => (Sent::Yes, cancel_requested(state.cancel, target)),
        Unsupported => (Sent::NotAccepted, cancel_requested(state.cancel, target)),
        _ if state.post.maybe_arrived => (Sent::Perhaps, cancel_requested(Sending, target)),
        _ if state.post.sent => (
            Sent::NotAccepted,
            cancel_requested(Again { refused: true }, target),
        ),
        Again { refused: true } => (Sent::NotAccepted, cancel_requested(state.cancel, target)),
        _ => {
            let (reason, text) = if seen_done {
                (
                    Reason::AlreadyDone,
                    "The operation was done before a cancel request was sent",
                )
            } else {
                (Reason::NotSent, "No cancel request was sent")
            };
            let row = row(
                ConditionType::CancelRequested,
                ConditionStatus::False,
                reason,
                text,
            );
            (Sent::No, row)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{
        Now,
        tests::simulation::{START, object},
    };

    #[test]
    fn the_event_has_the_reason_of_a_condition_whatever_the_outcome() {
        let now = Now {
            wall: jiff::Timestamp::new(START, 0).unwrap(),
            mono: std::time::Duration::ZERO,
        };
        let state = Cancellation::new(object(), now);
        let endings = Outcome::ALL
            .iter()
            .copied()
            .flat_map(|outcome| [false, true].map(|no_result| Ending { outcome, no_result }));
        for ending in endings {
            let (rows, notice) = finished(&state, ending, None);
            let Notice::Finished {
                outcome, reason, ..
            } = notice
            else {
                panic!("{ending:?}: {notice:?}");
            };
            assert_eq!(outcome, ending.outcome);
            let of_condition = rows
                .iter()
                .find(|row| row.type_ == ConditionType::Finished)
                .map(|row| row.reason);
            assert_eq!(of_condition, Some(reason), "{ending:?}");
        }
    }
}
