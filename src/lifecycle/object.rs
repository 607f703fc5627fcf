//! One OperationCancellation, as far as the life cycle needs it.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    api::{AcceptedOutcome, CancellationStatus, IdentityKind, Outcome, Reason},
    google::catalogue::Target,
};

/// An object as the API server showed it at one resource version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectView {
    /// `metadata.uid`: another uid is another object.
    pub uid: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// The spec, if it can be read at all.
    pub spec: Result<Spec, MalformedSpec>,
    /// The status as stored.
    pub status: CancellationStatus,
}

impl ObjectView {
    /// The resource version as a number, which grows with each write (KEP-5504); `None` if it is not a number.
    pub fn version_number(&self) -> Option<u64> {
        self.resource_version.parse().ok()
    }

    /// The operation; `None` if the spec, or what it names, is not known to this release.
    pub(super) fn target(&self) -> Option<&Target> {
        self.spec.as_ref().ok()?.target.as_ref().ok()
    }

    /// The stored `cancelAttempts`, never negative.
    pub(super) fn cancel_attempts(&self) -> i64 {
        self.status.cancel_attempts.unwrap_or(0).max(0)
    }
}

/// A spec from which no release can make a request. Only an older CRD accepts one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MalformedSpec {
    /// The field, what is wrong with it, and what is expected.
    pub message: String,
}

/// A spec that was read and checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The operation, or why this controller does not know it.
    pub target: Result<Target, UnknownTarget>,
    /// `spec.serviceAccountName`.
    pub service_account_name: Option<String>,
    /// `spec.acceptedOutcomes`.
    pub accepted_outcomes: BTreeSet<AcceptedOutcome>,
    /// `spec.deadlineSeconds`.
    pub deadline: Duration,
    /// `spec.suspend`.
    pub suspend: bool,
}

impl Spec {
    /// Which identity makes the calls.
    pub fn identity_kind(&self) -> IdentityKind {
        if self.service_account_name.is_some() {
            IdentityKind::ServiceAccount
        } else {
            IdentityKind::Operator
        }
    }

    /// Whether `spec.acceptedOutcomes` includes this outcome. `Ended` means `Cancelled` or `Completed`, so both have to be
    /// included.
    pub fn accepts(&self, outcome: Outcome) -> bool {
        let has = |outcome: Outcome| {
            let mut accepted = self.accepted_outcomes.iter();
            accepted.any(|accepted| accepted.outcome() == outcome)
        };
        match outcome {
            Outcome::Ended => has(Outcome::Cancelled) && has(Outcome::Completed),
            other => has(other),
        }
    }
}

/// A service, version or name that this controller does not know. It may be older than the CRD, so it waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownTarget {
    /// UnknownService, UnknownVersion or UnknownName.
    pub reason: Reason,
    /// What this controller knows instead.
    pub message: String,
}
