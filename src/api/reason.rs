//! The reasons of conditions: stable names that tools and runbooks can rely on.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// Why a condition has its status. On `Finished`, the names of outcomes are reasons, too.
///
/// `docs/reasons.md` lists the same names with what to do about each; a test compares the two.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    IntoStaticStr,
    VariantArray,
)]
pub enum Reason {
    /// No CancellationGrant allows the object's namespace, operation, service and identity. Ends when a grant allows it.
    NoGrant,
    /// The CancellationGrants, or the labels that they select namespaces by, could not be read for 20 minutes. Ends when they can be read again; no call is made until then.
    GrantsNotRead,
    /// A CancellationGrant allows it.
    Granted,
    /// The controller reads the operation before the first cancel request. Ends with an answer or after the observe budget.
    Observing,
    /// The intent to cancel is recorded and the request is being sent, or it is not known yet whether the request arrived.
    Sending,
    /// The API accepted the cancel request. The controller polls the operation until it is done.
    Polling,
    /// The API accepted the cancel request.
    Accepted,
    /// The operation was done before a cancel request was sent.
    AlreadyDone,
    /// `spec.suspend` holds the cancel request back.
    Suspended,
    /// The API refuses to cancel the operation for now. The controller keeps polling and asks again later.
    Refused,
    /// The API cannot cancel this operation at all.
    Unsupported,
    /// The object finished before a cancel request was sent.
    NotSent,
    /// The API does not know the operation. The controller asks again until `--not-found-after` has passed.
    OperationNotFound,
    /// The identity lacks a permission in Google's IAM, or the API is not enabled. Retried: bindings take minutes to take effect.
    PermissionDenied,
    /// Google does not accept the token, or the controller cannot get one. Retried with a new token.
    Unauthenticated,
    /// A quota is exhausted. Retried when Google says, otherwise in the next minute.
    Throttled,
    /// The namespace has used its calls to Google for now (`--namespace-calls-per-minute`). The call is made when its turn comes.
    NamespaceRateLimited,
    /// The endpoint cannot be reached, answers too late, or answers with a temporary error. Retried.
    Unavailable,
    /// The endpoint does not serve this path: a wrong location, version or host. Retried; a first cancel waits for it.
    NotServed,
    /// The answer of the endpoint is not Google's JSON. Retried.
    Unrecognised,
    /// `spec.service` is not in this controller's catalogue, which may be older than the CRD.
    UnknownService,
    /// `spec.version` is not in this controller's catalogue, which may be older than the CRD.
    UnknownVersion,
    /// `spec.operationName` has a form that this controller's catalogue does not have, which may be older than the CRD.
    UnknownName,
    /// An administrator has not allowed this controller to act as `spec.serviceAccountName`.
    IdentityNotSupported,
    /// The ServiceAccount of `spec.serviceAccountName` does not exist, cannot be read, or has an invalid annotation. Retried.
    ServiceAccountNotReady,
    /// The API server does not issue a token of the ServiceAccount to the controller. Retried.
    TokenRequestFailed,
    /// Google's Security Token Service does not accept the ServiceAccount's token. Retried.
    TokenExchangeFailed,
    /// The ServiceAccount may not act as the Google service account of its annotation. Retried.
    ImpersonationFailed,
    /// Finished, and `spec.acceptedOutcomes` has the outcome.
    OutcomeAccepted,
    /// Finished, and `spec.acceptedOutcomes` does not have the outcome.
    OutcomeNotAccepted,
    /// The operation is done with neither response nor error. It counts as `Completed`.
    NoResult,
    /// The deadline passed before the operation ended: outcome `Unknown`.
    DeadlineExceeded,
}

/// The steps of a ServiceAccount's identity that can fail.
const TOKEN_STEPS: [Reason; 4] = [
    Reason::ServiceAccountNotReady,
    Reason::TokenRequestFailed,
    Reason::TokenExchangeFailed,
    Reason::ImpersonationFailed,
];

impl Reason {
    /// Every reason, in the order of the reference.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The step of a ServiceAccount's identity with this name.
    pub fn of_token_step(name: &str) -> Option<Self> {
        TOKEN_STEPS.into_iter().find(|step| step.name() == name)
    }

    /// The CamelCase name as it stands in conditions.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Outcome;

    #[test]
    fn the_page_of_reasons_has_every_reason_and_outcome() {
        let page = include_str!("../../docs/reasons.md");
        for name in Reason::ALL
            .iter()
            .map(|reason| reason.name())
            .chain(Outcome::ALL.iter().map(|outcome| outcome.name()))
        {
            let row = page
                .lines()
                .find(|line| line.starts_with(&format!("| `{name}` |")));
            assert!(row.is_some(), "docs/reasons.md has no row for {name}");
        }
    }
}
