//! The values that labels may have, and the buckets of histograms: what bounds the number of series.

use prometheus_client::metrics::histogram::Histogram;

use crate::{
    api::Reason,
    google::{answer::ErrorKind, token::FetchResult},
};

/// The calls to a Google API.
pub const METHODS: [&str; 2] = ["Get", "Cancel"];

/// What is watched.
pub const RESOURCES: [&str; 2] = ["operationcancellations", "cancellationgrants"];

/// Where calls to Google wait (cancel, start, poll), and requests to the API server (urgent, other).
pub const LANES: [&str; 5] = ["cancel", "start", "poll", "urgent_write", "other_write"];

/// What may come of asking for a token.
pub fn token_results() -> impl Iterator<Item = &'static str> {
    FetchResult::ALL.into_iter().map(FetchResult::name)
}

/// What a status write records.
pub const WRITE_KINDS: [&str; 3] = ["intent", "outcome", "progress"];

/// What may come of a status write.
pub const WRITE_RESULTS: [&str; 5] = ["written", "conflict", "unconfirmed", "failed", "gone"];

/// Nothing was written to its status yet.
pub const NEW: &str = "New";

/// Its status shows a reason that this release does not know.
pub const OTHER: &str = "Other";

/// The states of an unfinished object: the reason on `Ready`, `Suspended`, or one of ours.
pub const STATES: [&str; 21] = [
    NEW,
    Reason::NoGrant.name(),
    Reason::GrantsNotRead.name(),
    Reason::Observing.name(),
    Reason::Sending.name(),
    Reason::Polling.name(),
    Reason::Suspended.name(),
    Reason::Refused.name(),
    Reason::Unsupported.name(),
    Reason::OperationNotFound.name(),
    Reason::PermissionDenied.name(),
    Reason::Unauthenticated.name(),
    Reason::Throttled.name(),
    Reason::Unavailable.name(),
    Reason::NotServed.name(),
    Reason::Unrecognised.name(),
    Reason::UnknownService.name(),
    Reason::UnknownVersion.name(),
    Reason::UnknownName.name(),
    Reason::IdentityNotSupported.name(),
    OTHER,
];

/// What this release makes of a CancellationGrant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantState {
    /// All of it.
    Valid,
    /// All but an identity that it does not know.
    UnknownIdentity,
    /// Nothing: it has a field that this release does not know.
    UnknownField,
    /// Nothing: it has no spec, or one of wrong types.
    Invalid,
}

impl GrantState {
    /// Each of them.
    pub const ALL: [Self; 4] = [
        Self::Valid,
        Self::UnknownIdentity,
        Self::UnknownField,
        Self::Invalid,
    ];

    /// As the label has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "Valid",
            Self::UnknownIdentity => "UnknownIdentity",
            Self::UnknownField => "UnknownField",
            Self::Invalid => "Invalid",
        }
    }
}

/// What an unfinished object waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// That the API takes its cancel request. Ends as `Completion`.
    Request,
    /// That the operation ends: the API has taken the request, or refused it.
    Completion,
    /// That somebody applies a grant, ends a suspension, or upgrades the controller.
    OnHold,
}

impl Phase {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Request, Self::Completion, Self::OnHold];

    /// As the label has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Completion => "completion",
            Self::OnHold => "on_hold",
        }
    }
}

/// What an answer to a call may be counted as. A call without a token is not made.
pub fn statuses() -> impl Iterator<Item = &'static str> {
    let errors = ErrorKind::ALL
        .into_iter()
        .filter(|kind| *kind != ErrorKind::Token);
    std::iter::once("OK").chain(errors.map(ErrorKind::name))
}

/// Creation times are whole seconds, so nothing finer than a second can be told.
pub(super) fn to_accepted() -> Histogram {
    Histogram::new([
        1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0,
    ])
}

/// Up to a day, which is the default deadline.
pub(super) fn to_end() -> Histogram {
    Histogram::new([
        1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0,
    ])
}

/// Up to the limit for one call.
pub(super) fn request_duration() -> Histogram {
    Histogram::new([0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

/// Most take microseconds; one of a tenth of a second holds up everybody.
pub(super) fn turn_duration() -> Histogram {
    Histogram::new([0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_state_or_never_stands_on_ready_of_what_is_unfinished() {
        let elsewhere = [
            Reason::Granted,
            Reason::Accepted,
            Reason::AlreadyDone,
            Reason::NotSent,
            Reason::OutcomeAccepted,
            Reason::OutcomeNotAccepted,
            Reason::NoResult,
            Reason::DeadlineExceeded,
        ];
        for reason in Reason::ALL {
            assert_ne!(
                STATES.contains(&reason.name()),
                elsewhere.contains(&reason),
                "{reason:?}"
            );
        }
        assert_eq!(STATES.len(), Reason::ALL.len() - elsewhere.len() + 2);
    }
}
