//! The status that records how it ended: written once, never changed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    Cancellation, Context, Notice,
    cancellation::CancelState,
    ending::Ending,
    message::{self, Sent},
    report::{Report, Row, cancel_requested, conditions, facts},
    time,
};
use crate::api::{ConditionStatus, ConditionType, ObservedOperation, Outcome, Reason};

/// The status that records how it ended.
pub fn final_report(known: &Cancellation, ending: Ending, context: &Context<'_>) -> Report {
    let now = time::stored_now(&known.object, context.now);
    let mut status = facts(known, context);
    status.outcome = Some(ending.outcome.name().to_owned());
    status.completion_time = Some(Time(now));
    // An outcome belongs to no generation: a later edit must keep nobody waiting.
    status.observed_generation = None;
    let (rows, notice) = finished(known, ending, status.operation.as_ref());
    status.conditions = conditions(known, rows, None, now);
    Report {
        status,
        stalled_at: None,
        stalled: None,
        finished: Some(notice),
    }
}

fn finished(
    known: &Cancellation,
    ending: Ending,
    operation: Option<&ObservedOperation>,
) -> (Vec<Row>, Notice) {
    use ConditionStatus::{False, True};
    use ConditionType::{Authorized, CancelRequested, Finished, Ready, Stalled};
    let spec = known.object.spec.as_ref().ok();
    let outcome = ending.outcome;
    let (sent, cancel) = cancel_requested_at_the_end(known, outcome);
    let text = match &known.object.spec {
        Err(malformed) => message::cut(malformed.message.clone()),
        Ok(spec) => message::ending(ending, operation, sent, known.failure(), Some(spec)),
    };
    let accepted = spec.is_some_and(|spec| spec.accepts(outcome));

    let mut rows: Vec<Row> = Vec::new();
    if spec.is_some() {
        rows.push(if known.was_granted() {
            (
                Authorized,
                True,
                Reason::Granted.name(),
                "A CancellationGrant allows it".to_owned(),
            )
        } else {
            (
                Authorized,
                False,
                Reason::NoGrant.name(),
                "No CancellationGrant allows it".to_owned(),
            )
        });
    }
    rows.push((CancelRequested, cancel.1, cancel.2, cancel.3));
    let reason = if ending.no_result {
        Reason::NoResult.name()
    } else {
        outcome.name()
    };
    rows.push((Finished, True, reason, format!("It ended: {outcome}")));
    if accepted {
        rows.push((Ready, True, Reason::OutcomeAccepted.name(), text.clone()));
    } else {
        let stalled = if outcome == Outcome::Unknown {
            Reason::DeadlineExceeded
        } else {
            Reason::OutcomeNotAccepted
        };
        rows.push((
            Ready,
            False,
            Reason::OutcomeNotAccepted.name(),
            text.clone(),
        ));
        rows.push((Stalled, True, stalled.name(), text.clone()));
    }
    let notice = Notice::Finished {
        outcome,
        reason,
        accepted,
        message: text,
    };
    (rows, notice)
}

/// What became of the cancel request by the time it ended.
fn cancel_requested_at_the_end(known: &Cancellation, outcome: Outcome) -> (Sent, Row) {
    use CancelState::{Accepted, Again, Sending, Unsupported};
    let seen_done = matches!(
        outcome,
        Outcome::Cancelled | Outcome::Completed | Outcome::Failed | Outcome::Ended
    );
    match known.cancel {
        Accepted { .. } => (Sent::Yes, cancel_requested(known.cancel)),
        Unsupported => (Sent::NotTaken, cancel_requested(known.cancel)),
        _ if known.post.maybe_arrived => (Sent::Perhaps, cancel_requested(Sending)),
        _ if known.post.sent => (Sent::NotTaken, cancel_requested(Again { refused: true })),
        Again { refused: true } => (Sent::NotTaken, cancel_requested(known.cancel)),
        _ => {
            let (reason, text) = if seen_done {
                (Reason::AlreadyDone, "The operation was done before")
            } else {
                (Reason::NotSent, "It ended before")
            };
            let row = (
                ConditionType::CancelRequested,
                ConditionStatus::False,
                reason.name(),
                text.to_owned(),
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
        let known = Cancellation::new(object(), now);
        let endings = Outcome::ALL
            .into_iter()
            .flat_map(|outcome| [false, true].map(|no_result| Ending { outcome, no_result }));
        for ending in endings {
            let (rows, notice) = finished(&known, ending, None);
            let Notice::Finished {
                outcome, reason, ..
            } = notice
            else {
                panic!("{ending:?}: {notice:?}");
            };
            assert_eq!(outcome, ending.outcome);
            let of_condition = rows
                .iter()
                .find(|(type_, ..)| *type_ == ConditionType::Finished)
                .map(|(_, _, reason, _)| *reason);
            assert_eq!(of_condition, Some(reason), "{ending:?}");
        }
    }
}
