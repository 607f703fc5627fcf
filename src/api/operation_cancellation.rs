//! `OperationCancellation`: one object is one cancellation.

use std::collections::BTreeSet;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{AcceptedOutcome, CancellationStatus, name_rules};

/// One day in seconds.
pub const DEFAULT_DEADLINE_SECONDS: i64 = 86_400;

fn default_accepted_outcomes() -> BTreeSet<AcceptedOutcome> {
    AcceptedOutcome::DEFAULT.into_iter().collect()
}

const fn default_deadline_seconds() -> i64 {
    DEFAULT_DEADLINE_SECONDS
}

/// The operation to stop, and the outcomes that count as success.
///
/// The operation, the API and the identity cannot be changed: create another object for another cancellation.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "opcancel.github.io",
    version = "v1alpha1",
    kind = "OperationCancellation",
    namespaced,
    shortname = "opcancel",
    status = "CancellationStatus",
    derive = "PartialEq",
    doc = "Stops one Google long-running operation and records how it ended. Cancelling is best effort on Google's side: \
           status.outcome records what actually happened. Deleting this object stops the polling and undoes nothing.",
    printcolumn(name = "Operation", type_ = "string", json_path = ".status.target.operation", description = "What follows operations/ in the operation's name"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".status.outcome", description = "How it ended; empty until finished"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it ended with an accepted outcome"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Project", type_ = "string", json_path = ".status.target.project", priority = 1, description = "The operation's project"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service", priority = 1, description = "The Google API that runs the operation"),
    printcolumn(name = "Parent", type_ = "string", json_path = ".status.target.parent", priority = 1, description = "The parent in the operation's name"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", priority = 1, description = "The reason of the Ready condition"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1, description = "The message of the Ready condition"),
    selectable = ".spec.operationName",
    selectable = ".status.outcome",
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.outcome) || self.spec.acceptedOutcomes == oldSelf.spec.acceptedOutcomes").message("spec.acceptedOutcomes is immutable once status.outcome is recorded; to judge by other outcomes, create another OperationCancellation with another name").field_path(".spec.acceptedOutcomes"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.outcome) || (has(self.status) && has(self.status.outcome) && self.status.outcome == oldSelf.status.outcome)").message("status.outcome is immutable once recorded; to cancel again, create another OperationCancellation with another name"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.completionTime) || (has(self.status) && has(self.status.completionTime) && self.status.completionTime == oldSelf.status.completionTime)").message("status.completionTime is immutable once recorded; to cancel again, create another OperationCancellation with another name"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.cancelAttempts) || (has(self.status) && has(self.status.cancelAttempts) && self.status.cancelAttempts >= oldSelf.status.cancelAttempts)").message("status.cancelAttempts never goes back; to cancel again, create another OperationCancellation with another name")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.operationName == oldSelf.operationName").message("spec.operationName is immutable; to stop another operation, create another OperationCancellation with another name").field_path(".operationName"),
    validation = Rule::new("self.service == oldSelf.service").message("spec.service is immutable; to ask another service, create another OperationCancellation with another name").field_path(".service"),
    validation = Rule::new("has(self.version) == has(oldSelf.version) && (!has(self.version) || self.version == oldSelf.version)").message("spec.version is immutable; to use another version, create another OperationCancellation with another name").field_path(".version"),
    validation = Rule::new("has(self.serviceAccountName) == has(oldSelf.serviceAccountName) && (!has(self.serviceAccountName) || self.serviceAccountName == oldSelf.serviceAccountName)").message("spec.serviceAccountName is immutable; to act as another identity, create another OperationCancellation with another name").field_path(".serviceAccountName")
)]
pub struct OperationCancellationSpec {
    /// The operation to stop, as the API that started it named it: projects/PROJECT/operations/OPERATION,
    /// projects/PROJECT/locations/LOCATION/operations/OPERATION, or another form that the service has. Immutable.
    #[schemars(length(min = 1, max = name_rules::MAX_NAME))]
    #[x_kube(validation = name_rules::operation_name())]
    pub operation_name: String,

    /// The Google API that runs the operation. Required, because the name does not contain it. Immutable.
    #[schemars(length(max = 63))]
    pub service: String,

    /// The API version in the path. Default: the service's default (dialogflow: v2). Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^v[0-9][a-z0-9]*$')").message("expected an API version as it stands in the path, such as v2 or v2beta1; leave the field out for the default of the service"))]
    pub version: Option<String>,

    /// Act as this ServiceAccount of the object's own namespace instead of the operator's identity. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')").message("expected the name of a Kubernetes ServiceAccount of the object's namespace; not the email of a Google service account, and no namespace before it"))]
    pub service_account_name: Option<String>,

    /// The outcomes that count as success. The default means that the operation no longer runs. If the API says only that the
    /// operation is over (outcome Ended), this counts as success if both Cancelled and Completed are in the list. Immutable once an
    /// outcome is recorded.
    #[serde(default = "default_accepted_outcomes")]
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = Rule::new("self.all(one, self.exists_one(other, other == one))").message("name each outcome once"))]
    pub accepted_outcomes: BTreeSet<AcceptedOutcome>,

    /// How long to keep trying, in seconds from status.startTime; then the outcome is Unknown. It has no effect once finished.
    #[serde(default = "default_deadline_seconds")]
    #[schemars(range(min = 10, max = 2_592_000))]
    pub deadline_seconds: i64,

    /// Read the operation and report what would happen, but do not cancel it. It has no effect once a cancel request was recorded.
    #[serde(default)]
    pub suspend: bool,
}
