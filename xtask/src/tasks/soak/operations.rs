//! The operations of a soak, by how they behave. Plain data.

use serde_json::{Value, json};

/// How an operation behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    CancelledAtOnce,
    CancelledLater,
    CompletesAnyway,
    FailsOnCancel,
    NotCancellable,
    EndsByItself,
    DoneBefore,
    NoResult,
    Endless,
    /// The same with a short deadline.
    EndlessWithDeadline,
    AppearsLate,
    Vanishes,
    AnswerToCancelIsLost,
    CancelIsUnavailable,
    CancelIsNotOffered,
    IsInvalid,
    IsSlow,
}

impl Behaviour {
    const ALL: [Self; 17] = [
        Self::CancelledAtOnce,
        Self::CancelledLater,
        Self::CompletesAnyway,
        Self::FailsOnCancel,
        Self::NotCancellable,
        Self::EndsByItself,
        Self::DoneBefore,
        Self::NoResult,
        Self::Endless,
        Self::EndlessWithDeadline,
        Self::AppearsLate,
        Self::Vanishes,
        Self::AnswerToCancelIsLost,
        Self::CancelIsUnavailable,
        Self::CancelIsNotOffered,
        Self::IsInvalid,
        Self::IsSlow,
    ];

    /// One of them.
    pub(super) fn pick(pick: u64) -> Self {
        let index = usize::try_from(pick % Self::ALL.len() as u64).unwrap_or(0);
        Self::ALL
            .get(index)
            .copied()
            .unwrap_or(Self::CancelledAtOnce)
    }

    /// The emulator's script; `pick` decides on times.
    pub(super) fn script(self, pick: u64) -> Value {
        let later = format!("{}ms", pick % 4000);
        let completed = json!({"completed": {}});
        let ends = |result: &Value| json!({"after": later, "result": result});
        let refuse = |code: &str| json!({"refuse": {"code": code}});
        let ignored = json!({"effect": "ignored"});
        match self {
            Self::CancelledAtOnce => json!({}),
            Self::CancelledLater => json!({"cancel": {"after": later}}),
            Self::CompletesAnyway => {
                json!({"cancel": {"after": later, "effect": {"ends": completed}}})
            }
            Self::FailsOnCancel => {
                json!({"cancel": {"after": later, "effect": {"ends": {"failed": {"code": "ABORTED"}}}}})
            }
            Self::NotCancellable => {
                json!({"cancel": {"effect": "notCancellable"}, "ends": ends(&completed)})
            }
            Self::EndsByItself => json!({"cancel": ignored, "ends": ends(&completed)}),
            Self::DoneBefore => json!({"ends": {"result": {"failed": {"code": "INTERNAL"}}}}),
            Self::NoResult => json!({"cancel": ignored, "ends": ends(&json!("noResult"))}),
            Self::Endless | Self::EndlessWithDeadline => json!({"cancel": ignored}),
            Self::AppearsLate => json!({"appearsAfter": "1s"}),
            Self::Vanishes => {
                json!({"cancel": {"after": "1h"}, "vanishes": {"afterCancel": "500ms"}})
            }
            Self::AnswerToCancelIsLost => {
                json!({"faults": [{"on": "cancel", "times": 1, "applied": true, "answer": "close"}]})
            }
            Self::CancelIsUnavailable => {
                json!({"faults": [{"on": "cancel", "times": 2, "answer": refuse("UNAVAILABLE")}]})
            }
            Self::CancelIsNotOffered => {
                json!({"faults": [{"on": "cancel", "answer": refuse("UNIMPLEMENTED")}]})
            }
            Self::IsInvalid => json!({"faults": [{"answer": refuse("INVALID_ARGUMENT")}]}),
            Self::IsSlow => json!({"latency": "600ms"}),
        }
    }

    /// `spec.deadlineSeconds`: a day, unless the deadline is to pass.
    pub(super) const fn deadline(self) -> u64 {
        match self {
            Self::EndlessWithDeadline => 10,
            _ => 86_400,
        }
    }
}
