//! The state machine of operations, by table and by exhausting small schedules.

use std::time::Duration;

use super::*;
use crate::scenario::script::{CancelBehaviour, Ending, Response, Vanishing};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn completed() -> EndResult {
    EndResult::Completed(Response::default())
}

fn ends_after(seconds: u64) -> Script {
    Script {
        ends: Some(Ending {
            after: s(seconds),
            result: completed(),
        }),
        ..Script::default()
    }
}

fn cancel(effect: CancelEffect, after: u64) -> CancelBehaviour {
    CancelBehaviour {
        effect,
        after: s(after),
        ..CancelBehaviour::default()
    }
}

#[test]
fn runs_until_its_end_and_stays_ended() {
    let mut operation = Operation::new(ends_after(5));
    assert_eq!(operation.phase(s(4)), Phase::Running);
    assert_eq!(operation.phase(s(5)), Phase::Ended(completed()));
    assert_eq!(
        operation.phase(s(1)),
        Phase::Ended(completed()),
        "time does not go back"
    );
}

#[test]
fn a_cancel_takes_its_time_and_ends_cancelled() {
    let mut operation = Operation::new(Script {
        cancel: cancel(CancelEffect::Cancels, 3),
        ..Script::default()
    });
    assert_eq!(operation.cancel(s(1)), CancelVerdict::Ok);
    assert_eq!(operation.phase(s(3)), Phase::Cancelling);
    assert_eq!(operation.phase(s(4)), Phase::Cancelled);
}

#[test]
fn a_repeated_cancel_does_not_start_the_delay_anew() {
    let mut operation = Operation::new(Script {
        cancel: cancel(CancelEffect::Cancels, 3),
        ..Script::default()
    });
    assert_eq!(operation.cancel(s(0)), CancelVerdict::Ok);
    assert_eq!(operation.cancel(s(2)), CancelVerdict::Ok);
    assert_eq!(operation.phase(s(3)), Phase::Cancelled);
}

#[test]
fn what_a_useless_cancel_answers_is_scripted() {
    for (answer, repeated, done) in [
        (CancelAnswer::Ok, CancelVerdict::Ok, CancelVerdict::Ok),
        (
            CancelAnswer::FailedPrecondition,
            CancelVerdict::AlreadyRequested,
            CancelVerdict::AlreadyDone,
        ),
    ] {
        let behaviour = CancelBehaviour {
            repeated: answer,
            when_done: answer,
            ..cancel(CancelEffect::Ignored, 0)
        };
        let mut operation = Operation::new(Script {
            cancel: behaviour,
            ..ends_after(5)
        });
        assert_eq!(operation.cancel(s(1)), CancelVerdict::Ok);
        assert_eq!(operation.cancel(s(2)), repeated);
        assert_eq!(operation.cancel(s(5)), done);
    }
}

#[test]
fn an_ignored_cancel_changes_nothing() {
    let mut operation = Operation::new(Script {
        cancel: cancel(CancelEffect::Ignored, 0),
        ..ends_after(5)
    });
    assert_eq!(operation.cancel(s(1)), CancelVerdict::Ok);
    assert_eq!(operation.phase(s(4)), Phase::Running);
    assert_eq!(operation.phase(s(5)), Phase::Ended(completed()));
}

#[test]
fn the_earlier_end_wins() {
    let script = || Script {
        cancel: cancel(CancelEffect::Cancels, 3),
        ..ends_after(5)
    };
    let mut late = Operation::new(script());
    assert_eq!(late.cancel(s(4)), CancelVerdict::Ok);
    assert_eq!(late.phase(s(9)), Phase::Ended(completed()));
    let mut early = Operation::new(script());
    assert_eq!(early.cancel(s(1)), CancelVerdict::Ok);
    assert_eq!(early.phase(s(9)), Phase::Cancelled);
}

#[test]
fn absent_until_it_appears_and_again_once_it_vanished() {
    let vanishes = Some(Vanishing {
        after: Some(s(6)),
        ..Vanishing::default()
    });
    let mut operation = Operation::new(Script {
        appears_after: Some(s(2)),
        vanishes,
        ..Script::default()
    });
    assert_eq!(operation.cancel(s(1)), CancelVerdict::Absent);
    assert_eq!(
        operation.phase(s(2)),
        Phase::Running,
        "a cancel that met nothing has no effect"
    );
    assert_eq!(operation.phase(s(6)), Phase::Absent);
    assert!(!operation.finish(s(7), EndResult::NoResult));
}

#[test]
fn vanishes_after_the_cancel_or_the_end() {
    let after_cancel = Some(Vanishing {
        after_cancel: Some(s(1)),
        ..Vanishing::default()
    });
    let mut operation = Operation::new(Script {
        vanishes: after_cancel,
        ..Script::default()
    });
    assert_eq!(operation.phase(s(9)), Phase::Running);
    assert_eq!(operation.cancel(s(9)), CancelVerdict::Ok);
    assert_eq!(operation.phase(s(9)), Phase::Cancelled);
    assert_eq!(operation.phase(s(10)), Phase::Absent);
    let after_end = Some(Vanishing {
        after_end: Some(s(1)),
        ..Vanishing::default()
    });
    let mut operation = Operation::new(Script {
        vanishes: after_end,
        ..ends_after(5)
    });
    assert_eq!(operation.phase(s(5)), Phase::Ended(completed()));
    assert_eq!(operation.phase(s(6)), Phase::Absent);
}

#[test]
fn an_admin_ends_only_what_runs() {
    let mut operation = Operation::new(ends_after(5));
    assert!(operation.finish(s(1), EndResult::NoResult));
    assert!(!operation.finish(s(2), EndResult::EmptyError));
    assert_eq!(operation.phase(s(9)), Phase::Ended(EndResult::NoResult));
}

/// Every schedule of five steps over every kind of script: what is done never changes, and only a cancel cancels.
#[test]
fn no_schedule_breaks_what_is_always_true() {
    let effects = [
        CancelEffect::Cancels,
        CancelEffect::Ignored,
        CancelEffect::Ends(EndResult::NoResult),
    ];
    let mut ended = 0;
    for effect in effects {
        for delay in [0, 1, 3] {
            for end in [None, Some(0), Some(2), Some(4)] {
                for schedule in 0..3_u32.pow(5) {
                    let base = end.map_or_else(Script::default, ends_after);
                    let script = Script {
                        cancel: cancel(effect.clone(), delay),
                        ..base
                    };
                    ended += usize::from(play(script, schedule));
                }
            }
        }
    }
    assert!(
        ended > 1000,
        "the schedules must reach ends, or they prove nothing: {ended}"
    );
}

/// Plays one schedule, a number whose digits to base 3 are look, cancel, finish; returns whether the operation ended.
fn play(script: Script, mut schedule: u32) -> bool {
    let mut operation = Operation::new(script);
    let mut result = None;
    for second in 0..5 {
        match schedule % 3 {
            1 => {
                operation.cancel(s(second));
            }
            2 => {
                operation.finish(s(second), EndResult::EmptyError);
            }
            _ => {}
        }
        schedule /= 3;
        let phase = operation.phase(s(second));
        if let Some(result) = &result {
            assert_eq!(&phase, result, "a result changed: {operation:?}");
        }
        if phase == Phase::Cancelled {
            assert!(
                operation.cancelled_at().is_some(),
                "cancelled without a cancel: {operation:?}"
            );
        }
        if matches!(phase, Phase::Cancelled | Phase::Ended(_)) {
            result = Some(phase);
        }
    }
    result.is_some()
}
