//! What is explored: who takes part, and how often which fault may happen.

use std::time::Duration;

use crate::google::answer::ErrorKind;

/// How many times each kind of trouble may still happen.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
pub struct Budget {
    /// Errors of calls to Google.
    pub answers: u8,
    /// Status writes and reads of the object whose answer is lost or that fail.
    pub writes: u8,
    /// Processes that die. They start again.
    pub crashes: u8,
    /// Processes that end in good order.
    pub stops: u8,
    /// Changes of the spec by a user.
    pub edits: u8,
    /// Changes of `cancelAttempts` by an administrator.
    pub hand_edits: u8,
    /// Deletions. The name is used again for another operation.
    pub deletions: u8,
    /// Changes of the grants.
    pub grants: u8,
    /// Times that time passes while requests or answers are under way.
    pub slow: u8,
    /// Times that time passes while a watch has not shown everything.
    pub stale: u8,
    /// Processes that are stopped for a while and go on (SIGSTOP).
    pub pauses: u8,
    /// Ends of the operation that no cancel request caused.
    pub ends: u8,
}

/// The specs that objects have at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    Good,
    Suspended,
    Malformed,
    UnknownService,
    UnknownVersion,
    UnknownName,
    ServiceAccount,
}

/// One exploration.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// The specs of the objects that exist from the start: one or two.
    pub objects: &'static [First],
    /// The number of processes, one or two.
    pub processes: usize,
    /// The second process is a newer release: it writes a condition that the first does not know.
    pub newer: bool,
    /// Each process believes that it was elected and that the one before has stopped. With two of them one is wrong.
    pub elected: bool,
    /// Whether grants allow the objects at first.
    pub granted: bool,
    /// Writes wait for their turn.
    pub queued: bool,
    /// The answers to GET and to cancel that may come instead of the true one.
    pub get_errors: &'static [ErrorKind],
    pub cancel_errors: &'static [ErrorKind],
    /// A cancel request may also arrive without an answer, or not leave.
    pub loses_cancels: bool,
    pub deadline: Duration,
    pub budget: Budget,
    /// About how many transitions are explored at most.
    pub most: usize,
}

/// One of each class of the table of errors.
const CLASSES: &[ErrorKind] = &[
    ErrorKind::Unavailable,
    ErrorKind::FailedPrecondition,
    ErrorKind::NotFound,
    ErrorKind::PermissionDenied,
    ErrorKind::Unimplemented,
    ErrorKind::InvalidArgument,
    ErrorKind::NotServed,
    ErrorKind::Unrecognised,
];

const FEW: &[ErrorKind] = &[ErrorKind::Unavailable, ErrorKind::FailedPrecondition];

/// The most transitions in a quick run, and in a long one.
const QUICK: usize = 120_000;
const DEEP: usize = 1_000_000;

impl Scenario {
    /// One process, one object, and no trouble.
    pub fn base() -> Self {
        Self {
            name: "",
            objects: &[First::Good],
            processes: 1,
            newer: false,
            elected: false,
            granted: true,
            queued: false,
            get_errors: FEW,
            cancel_errors: FEW,
            loses_cancels: true,
            deadline: Duration::from_secs(100),
            budget: Budget::default(),
            most: QUICK,
        }
    }
}

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let base = Scenario::base();
    let all = |name, first| Scenario {
        name,
        objects: first,
        get_errors: ErrorKind::ALL,
        cancel_errors: ErrorKind::ALL,
        budget: Budget {
            answers: 2,
            ends: 1,
            ..Budget::default()
        },
        ..base.clone()
    };
    let two = Scenario {
        processes: 2,
        ..base.clone()
    };
    vec![
        Scenario {
            most: 450_000,
            ..all("one process, every answer", &[First::Good])
        },
        Scenario {
            deadline: Duration::from_secs(1000),
            budget: Budget {
                answers: 7,
                ..Budget::default()
            },
            get_errors: &[],
            cancel_errors: &[ErrorKind::NotServed, ErrorKind::Unrecognised],
            loses_cancels: false,
            ..all("one process, rows of errors to cancel", &[First::Good])
        },
        Scenario {
            budget: Budget {
                answers: 5,
                ends: 1,
                ..Budget::default()
            },
            get_errors: &[ErrorKind::NotFound, ErrorKind::PermissionDenied],
            cancel_errors: &[],
            loses_cancels: false,
            ..all("one process, rows of errors to GET", &[First::Good])
        },
        Scenario {
            name: "one process, crashes and lost writes",
            elected: true,
            get_errors: CLASSES,
            cancel_errors: CLASSES,
            budget: Budget {
                answers: 1,
                writes: 1,
                crashes: 1,
                slow: 1,
                ends: 1,
                ..Budget::default()
            },
            most: 150_000,
            ..base.clone()
        },
        Scenario {
            name: "one process, users",
            budget: Budget {
                edits: 3,
                deletions: 1,
                stale: 1,
                ..Budget::default()
            },
            ..base.clone()
        },
        Scenario {
            name: "one process, a grant that goes",
            deadline: Duration::from_secs(20),
            budget: Budget {
                grants: 1,
                ..Budget::default()
            },
            ..base.clone()
        },
        Scenario {
            name: "one process, lost writes and a deletion",
            deadline: Duration::from_secs(20),
            budget: Budget {
                writes: 2,
                deletions: 1,
                ..Budget::default()
            },
            ..base.clone()
        },
        Scenario {
            name: "one process, grants that come and go",
            deadline: Duration::from_secs(40),
            budget: Budget {
                grants: 2,
                slow: 2,
                ends: 1,
                ..Budget::default()
            },
            ..base.clone()
        },
        Scenario {
            name: "one process, queued writes, ends in good order",
            elected: true,
            queued: true,
            deadline: Duration::from_secs(40),
            budget: Budget {
                answers: 1,
                writes: 1,
                stops: 1,
                grants: 1,
                slow: 1,
                ends: 1,
                ..Budget::default()
            },
            most: 120_000,
            ..base.clone()
        },
        Scenario {
            name: "two processes, errors and an operation that ends",
            budget: Budget {
                answers: 1,
                ends: 1,
                ..Budget::default()
            },
            most: 150_000,
            ..two.clone()
        },
        Scenario {
            name: "two processes, lost writes and stale watches",
            deadline: Duration::from_secs(40),
            budget: Budget {
                writes: 1,
                slow: 1,
                stale: 1,
                ..Budget::default()
            },
            ..two.clone()
        },
        Scenario {
            name: "two leaders, a crash and a pause",
            elected: true,
            deadline: Duration::from_secs(40),
            budget: Budget {
                crashes: 1,
                pauses: 1,
                slow: 1,
                ..Budget::default()
            },
            ..two.clone()
        },
        Scenario {
            name: "two processes, users and grants",
            deadline: Duration::from_secs(40),
            budget: Budget {
                edits: 1,
                hand_edits: 1,
                grants: 1,
                deletions: 1,
                ..Budget::default()
            },
            ..two.clone()
        },
        Scenario {
            name: "two releases",
            newer: true,
            deadline: Duration::from_secs(40),
            budget: Budget {
                answers: 1,
                crashes: 1,
                edits: 1,
                ..Budget::default()
            },
            ..two.clone()
        },
        Scenario {
            name: "two objects, two processes",
            objects: &[First::Good, First::Suspended],
            deadline: Duration::from_secs(40),
            budget: Budget {
                edits: 1,
                crashes: 1,
                ..Budget::default()
            },
            most: 400_000,
            ..two.clone()
        },
        special("a malformed spec", &[First::Malformed], &two),
        special("an unknown service", &[First::UnknownService], &two),
        special("an unknown version", &[First::UnknownVersion], &two),
        special("an unknown name", &[First::UnknownName], &two),
        special(
            "an identity that is not supported",
            &[First::ServiceAccount],
            &two,
        ),
        Scenario {
            granted: false,
            ..special("not granted at first", &[First::Good], &two)
        },
        special("suspended at first", &[First::Suspended], &two),
    ]
}

/// The same with more of everything, for a long run.
pub fn deeper() -> Vec<Scenario> {
    let more = |scenario: Scenario| {
        let left = scenario.budget;
        let one_more = |times: u8| if times == 0 { 0 } else { times + 1 };
        Scenario {
            budget: Budget {
                answers: one_more(left.answers),
                writes: one_more(left.writes),
                crashes: one_more(left.crashes),
                edits: one_more(left.edits),
                grants: one_more(left.grants),
                ..left
            },
            most: DEEP,
            ..scenario
        }
    };
    scenarios().into_iter().map(more).collect()
}

fn special(name: &'static str, objects: &'static [First], two: &Scenario) -> Scenario {
    Scenario {
        name,
        objects,
        deadline: Duration::from_secs(40),
        budget: Budget {
            edits: 1,
            grants: 1,
            ..Budget::default()
        },
        most: 60_000,
        ..two.clone()
    }
}
