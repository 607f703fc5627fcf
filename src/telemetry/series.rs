//! The possible label values and the histogram buckets. They bound the number of series.

use prometheus_client::metrics::histogram::Histogram;
use strum::{IntoStaticStr, VariantArray};

use crate::{
    api::Reason,
    google::{answer::ErrorKind, token::FetchResult},
};

/// The methods of a Google API.
pub const METHODS: [&str; 2] = ["Get", "Cancel"];

/// The resource that is watched only if a grant selects namespaces by labels.
pub const NAMESPACES: &str = "namespaces";

/// The watched resources.
pub const RESOURCES: [&str; 3] = ["operationcancellations", "cancellationgrants", NAMESPACES];

/// The queues: calls to Google (cancel, start, poll), writes to the API server (urgent_write, other_write), and objects whose namespace has
/// used its calls (namespace_limit).
pub const LANES: [&str; 6] = [
    "cancel",
    "start",
    "poll",
    "urgent_write",
    "other_write",
    "namespace_limit",
];

/// The results of a token fetch.
pub fn token_results() -> impl Iterator<Item = &'static str> {
    FetchResult::ALL.iter().map(|result| result.name())
}

/// The results of a fetch of a token for a ServiceAccount: the step that failed, if any.
pub const SERVICE_ACCOUNT_TOKEN_RESULTS: [&str; 4] = [
    "fetched",
    "token_request",
    "token_exchange",
    "impersonation",
];

/// The result of such a fetch, by the step that failed.
pub fn service_account_token_result(failed: Option<Reason>) -> &'static str {
    let [fetched, token_request, token_exchange, impersonation] = SERVICE_ACCOUNT_TOKEN_RESULTS;
    match failed {
        None => fetched,
        Some(Reason::TokenExchangeFailed) => token_exchange,
        Some(Reason::ImpersonationFailed) => impersonation,
        Some(_) => token_request,
    }
}

/// The kinds of status writes.
pub const WRITE_KINDS: [&str; 3] = ["intent", "outcome", "progress"];

/// The results of a status write.
pub const WRITE_RESULTS: [&str; 5] = ["written", "conflict", "unconfirmed", "failed", "gone"];

/// The status is still empty.
pub const NEW: &str = "New";

/// The status has a reason that this release does not know.
pub const OTHER: &str = "Other";

/// Google does not accept the token of a tenant's own identity. The reason is `Unauthenticated` too, but the operator's identity works.
pub const TENANT_UNAUTHENTICATED: &str = "TenantUnauthenticated";

/// The reasons of an unfinished object's `Ready` condition, and `Suspended`.
const UNFINISHED: [Reason; 24] = [
    Reason::NoGrant,
    Reason::GrantsNotRead,
    Reason::Observing,
    Reason::Sending,
    Reason::Polling,
    Reason::Suspended,
    Reason::Refused,
    Reason::Unsupported,
    Reason::OperationNotFound,
    Reason::PermissionDenied,
    Reason::Unauthenticated,
    Reason::Throttled,
    Reason::NamespaceRateLimited,
    Reason::Unavailable,
    Reason::NotServed,
    Reason::Unrecognised,
    Reason::UnknownService,
    Reason::UnknownVersion,
    Reason::UnknownName,
    Reason::IdentityNotSupported,
    Reason::ServiceAccountNotReady,
    Reason::TokenRequestFailed,
    Reason::TokenExchangeFailed,
    Reason::ImpersonationFailed,
];

/// The states of an unfinished object: a reason that this release knows, or one of the others above.
pub fn states() -> impl Iterator<Item = &'static str> {
    let reasons = UNFINISHED.into_iter().map(Reason::name);
    [NEW, OTHER, TENANT_UNAUTHENTICATED]
        .into_iter()
        .chain(reasons)
}

/// Whether this release understands a CancellationGrant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
pub enum GrantState {
    /// It understands all of it.
    Valid,
    /// It does not know one of the identities; the grant is valid for the others.
    UnknownIdentity,
    /// It does not know a field, which may be a restriction. The grant grants nothing.
    UnknownField,
    /// There is no spec, or its types are wrong. The grant grants nothing.
    Invalid,
}

impl GrantState {
    /// All of them.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The label value.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What an unfinished object waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    /// The API must accept its cancel request. [`Phase::Completion`] follows.
    Request,
    /// The operation must end: the API accepted or refused the request.
    Completion,
    /// A person must apply a grant, end a suspension, upgrade the controller, or set up the identity of a tenant.
    OnHold,
}

impl Phase {
    /// All of them.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The label value.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The statuses of a call. There is no `TOKEN`: without a token no call is made.
pub fn statuses() -> impl Iterator<Item = &'static str> {
    let errors = ErrorKind::ALL
        .iter()
        .copied()
        .filter(|kind| *kind != ErrorKind::Token);
    std::iter::once("OK").chain(errors.map(ErrorKind::name))
}

/// From a second, because creation times are whole seconds.
pub(super) fn to_accepted() -> Histogram {
    Histogram::new([
        1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0,
    ])
}

/// Up to a day, the default deadline.
pub(super) fn to_end() -> Histogram {
    Histogram::new([
        1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0,
    ])
}

/// Up to 10 s, the time limit of a call.
pub(super) fn request_duration() -> Histogram {
    Histogram::new([0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

/// Most turns take microseconds. A turn of a tenth of a second delays all objects.
pub(super) fn turn_duration() -> Histogram {
    Histogram::new([0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_state_unless_unfinished_objects_never_have_it() {
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
        for &reason in Reason::ALL {
            assert_ne!(
                UNFINISHED.contains(&reason),
                elsewhere.contains(&reason),
                "{reason:?}"
            );
        }
        assert_eq!(states().count(), Reason::ALL.len() - elsewhere.len() + 3);
    }
}
