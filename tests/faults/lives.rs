//! The lives of an object that the matrix goes through.

use operations_emulator::{EndResult, Fault, FaultAnswer, FaultCall, Refusal, RpcCode, Script};
use serde_json::{Value, json};

use super::{
    points::Kind::{ObjectList, StatusWrite},
    record::Facts,
};

/// One life.
#[derive(Clone, Copy)]
pub struct Life {
    /// Its name on the command line.
    pub name: &'static str,
    /// The operation.
    pub script: fn() -> Script,
    /// More fields of the object's spec.
    pub spec: fn() -> Value,
    /// More flags of the controller.
    pub flags: &'static [&'static str],
    /// Whether the grant is there before the controller.
    pub is_granted: bool,
    /// Whether a second process stands by, and takes over when the first one is killed. Only crashes are tried in such a life.
    pub has_standby: bool,
    /// What happens from outside, in this order, each as soon as its moment has come.
    pub steps: &'static [Step],
    /// The points beside those of [`START`], if nothing goes wrong.
    pub points: &'static [&'static str],
    /// Points of which there may be more, with higher numbers: how many polls there are depends on the time.
    pub more: &'static [&'static str],
    /// Points that do not come if the machine is so busy that their time is over before.
    pub may_miss: &'static [&'static str],
}

/// Something that happens from outside.
#[derive(Clone, Copy)]
pub struct Step {
    /// Whether its moment has come.
    pub when: fn(&Facts) -> bool,
    /// What happens.
    pub what: Happening,
}

/// What happens from outside.
#[derive(Clone, Copy, Debug)]
pub enum Happening {
    /// The object is declared.
    Declared,
    /// The namespace gets its grant.
    Granted,
    /// The suspension ends.
    Resumed,
    /// The operation ends as cancelled.
    OperationCancelled,
}

/// The points of every life until the controller is ready.
pub const START: [&str; 18] = [
    "email#1",
    "token#1",
    "email#2",
    "warm-up#1",
    "warm-up#2",
    "schema#1",
    "review#1",
    "review#2",
    "review#3",
    "review#4",
    "review#5",
    "review#6",
    "review#7",
    "review#8",
    "grant-list#1",
    "grant-watch#1",
    "object-list#1",
    "object-watch#1",
];

/// The further points of a process that takes part in leader election: it reviews its permissions for the Lease.
pub const ELECTION: [&str; 4] = ["review#9", "review#10", "review#11", "review#12"];

const DECLARED: Step = Step {
    when: |facts| facts.answers.contains_key(&ObjectList),
    what: Happening::Declared,
};

const LIFE: Life = Life {
    name: "",
    script: Script::default,
    spec: || json!({}),
    flags: &["--max-poll=2s"],
    is_granted: true,
    has_standby: false,
    steps: &[DECLARED],
    points: &[],
    more: &[],
    may_miss: &[],
};

fn refused_once(code: RpcCode) -> Script {
    Script::default().with_fault(Fault::refuse(FaultCall::Cancel, code).times(1))
}

const CANCELLED_AT_ONCE: Life = Life {
    name: "cancelled-at-once",
    points: &[
        "object-event#1",
        "get#1",
        "status-write#1",
        "object-event#2",
        "cancel#1",
        "get-after-cancel-1#1",
        "status-write#2",
        "object-event#3",
        "event-create#1",
    ],
    ..LIFE
};

const UNAVAILABLE_TO_CANCEL: Life = Life {
    name: "503-to-cancel",
    script: || refused_once(RpcCode::Unavailable),
    points: &[
        "object-event#1",
        "get#1",
        "status-write#1",
        "object-event#2",
        "cancel#1",
        "status-write#2",
        "object-event#3",
        "get-after-cancel-1#1",
        "status-write#3",
        "object-event#4",
        "cancel#2",
        "get-after-cancel-2#1",
        "status-write#4",
        "object-event#5",
        "event-create#1",
    ],
    more: &["get-after-cancel-1"],
    ..LIFE
};

/// The lives.
pub const LIVES: [Life; 11] = [
    CANCELLED_AT_ONCE,
    Life {
        name: "cancelled-at-the-second-poll",
        script: Script::ignores_cancel,
        steps: &[
            DECLARED,
            Step {
                when: |facts| facts.polls_after_acceptance > 0,
                what: Happening::OperationCancelled,
            },
        ],
        points: &[
            "object-event#1",
            "get#1",
            "status-write#1",
            "object-event#2",
            "cancel#1",
            "get-after-cancel-1#1",
            "status-write#2",
            "object-event#3",
            "get-after-cancel-1#2",
            "status-write#3",
            "object-event#4",
            "event-create#1",
        ],
        more: &["get-after-cancel-1"],
        ..LIFE
    },
    Life {
        name: "refused-then-accepted",
        script: || refused_once(RpcCode::FailedPrecondition),
        points: &[
            "object-event#1",
            "get#1",
            "status-write#1",
            "object-event#2",
            "cancel#1",
            "status-write#2",
            "object-event#3",
            "get-after-cancel-1#1",
            "get-after-cancel-1#2",
            "status-write#3",
            "object-event#4",
            "cancel#2",
            "status-write#4",
            "object-event#5",
            "get-after-cancel-2#1",
            "status-write#5",
            "object-event#6",
            "event-create#1",
        ],
        more: &["get-after-cancel-1"],
        ..LIFE
    },
    UNAVAILABLE_TO_CANCEL,
    Life {
        name: "429-to-cancel",
        script: || {
            let mut refusal = Refusal::new(RpcCode::ResourceExhausted);
            // Later than the next poll.
            refusal.retry_after = Some("2".to_owned());
            let answer = FaultAnswer::Refuse(refusal);
            Script::default().with_fault(Fault::new(FaultCall::Cancel, answer).times(1))
        },
        // No GET has to come between a request that was refused and the next one.
        may_miss: &["get-after-cancel-1#1"],
        ..UNAVAILABLE_TO_CANCEL
    },
    Life {
        name: "not-found-then-found",
        script: || {
            let fault = Fault::refuse(FaultCall::Get, RpcCode::NotFound).times(2);
            Script::default().with_fault(fault)
        },
        points: &[
            "object-event#1",
            "get#1",
            "status-write#1",
            "object-event#2",
            "get#2",
            "get#3",
            "status-write#2",
            "object-event#3",
            "cancel#1",
            "get-after-cancel-1#1",
            "status-write#3",
            "object-event#4",
            "event-create#1",
        ],
        ..LIFE
    },
    Life {
        name: "not-granted-then-granted",
        is_granted: false,
        steps: &[
            DECLARED,
            Step {
                when: |facts| facts.answers.contains_key(&StatusWrite),
                what: Happening::Granted,
            },
        ],
        points: &[
            "object-event#1",
            "status-write#1",
            "object-event#2",
            "grant-event#1",
            "get#1",
            "status-write#2",
            "object-event#3",
            "cancel#1",
            "get-after-cancel-1#1",
            "status-write#3",
            "object-event#4",
            "event-create#1",
        ],
        ..LIFE
    },
    Life {
        name: "suspended-then-resumed",
        spec: || json!({"suspend": true}),
        steps: &[
            DECLARED,
            Step {
                when: |facts| facts.answers.contains_key(&StatusWrite),
                what: Happening::Resumed,
            },
        ],
        points: &[
            "object-event#1",
            "get#1",
            "status-write#1",
            "object-event#2",
            "object-event#3",
            "get#2",
            "status-write#2",
            "object-event#4",
            "cancel#1",
            "get-after-cancel-1#1",
            "status-write#3",
            "object-event#5",
            "event-create#1",
        ],
        ..LIFE
    },
    Life {
        name: "deadline",
        script: Script::ignores_cancel,
        // Later than any answer that is waited for, but that of a token server; one poll comes before.
        spec: || json!({"deadlineSeconds": 25}),
        flags: &["--min-poll=15s", "--max-poll=15s"],
        points: &[
            "object-event#1",
            "get#1",
            "status-write#1",
            "object-event#2",
            "cancel#1",
            "status-write#2",
            "object-event#3",
            "get-after-cancel-1#1",
            "get-after-cancel-1#2",
            "status-write#3",
            "object-event#4",
            "event-create#1",
        ],
        ..LIFE
    },
    Life {
        name: "done-before",
        script: || Script::already_done(EndResult::completed()),
        points: &[
            "object-event#1",
            "get#1",
            "status-write#1",
            "object-event#2",
            "event-create#1",
        ],
        ..LIFE
    },
    Life {
        name: "503-to-cancel-with-standby",
        has_standby: true,
        ..UNAVAILABLE_TO_CANCEL
    },
];
