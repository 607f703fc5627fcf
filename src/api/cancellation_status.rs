//! The status of an OperationCancellation.
//!
//! Every field is optional: a status from an older controller, or one edited by hand, must be readable.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Condition, ConditionType};

/// What has happened so far. Only the controller writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CancellationStatus {
    /// The generation of the spec that this status describes: -1 before the controller first sees the object; absent once finished,
    /// because an outcome does not belong to a generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How it ended: Cancelled, Completed, Failed, Ended, NotFound, Unsupported, Rejected or Unknown. Absent until finished;
    /// it never changes afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = r"^[A-Z][A-Za-z]*$"))]
    pub outcome: Option<String>,
    /// The operation and the endpoint that the controller calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetStatus>,
    /// The identity that the controller uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// When the object was first granted and not suspended. The deadline counts from this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub start_time: Option<Time>,
    /// The number of the last cancel request that was sent or is about to be sent. It is increased before each request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cancel_attempts: Option<i64>,
    /// The process that recorded the last attempt: an opaque id, which each process of the controller makes when it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 63),
        regex(pattern = r"^[0-9A-Za-z]([-0-9A-Za-z._]*[0-9A-Za-z])?$")
    )]
    pub cancel_attempted_by: Option<String>,
    /// When the controller recorded its intent to send the first cancel request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub cancel_request_time: Option<Time>,
    /// When the controller observed the outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub completion_time: Option<Time>,
    /// The operation as the controller last saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<ObservedOperation>,
    /// The last failed call. It is removed when that call succeeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Authorized, CancelRequested, Finished, Ready, Reconciling and Stalled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl CancellationStatus {
    /// Status and reason of a condition, if it exists.
    pub fn condition(&self, type_: ConditionType) -> Option<(&str, &str)> {
        let mut conditions = self.conditions.iter();
        let condition = conditions.find(|condition| condition.type_ == type_.name())?;
        Some((&condition.status, &condition.reason))
    }
}

/// The operation and the endpoint that the controller calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetStatus {
    /// The parent in the operation's name, such as projects/acme-prod/locations/europe-west1; absent if the name has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub parent: Option<String>,
    /// The project as in the operation's name: an id or a number; absent if the name has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub project: Option<String>,
    /// The location in the name; absent if the name has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 52))]
    pub location: Option<String>,
    /// The part of the name after the collection of operations.
    #[schemars(length(max = 1024))]
    pub operation: String,
    /// The Google API.
    #[schemars(length(max = 63))]
    pub service: String,
    /// The API version in the path.
    #[schemars(length(max = 63))]
    pub version: String,
    /// The endpoint that the controller calls: scheme and host.
    #[schemars(length(max = 2048))]
    pub endpoint: String,
}

/// The identity that the controller uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Identity {
    /// Operator or ServiceAccount.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// The name of the ServiceAccount; absent for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// Google's name for the identity, such as the email of a service account; absent if it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub principal: Option<String>,
}

/// The operation in the last answer to a GET.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedOperation {
    /// Whether the operation has ended.
    pub done: bool,
    /// The type of the operation's metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub metadata_type: Option<String>,
    /// The state in the metadata, such as CANCELLING. It is informational: the outcome does not depend on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub metadata_state: Option<String>,
    /// The type of the operation's response. The response itself is not stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub response_type: Option<String>,
    /// The error with which the operation ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ObservedError>,
}

/// The error with which an operation ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedError {
    /// The google.rpc code: 1 is CANCELLED.
    pub code: i32,
    /// The code's name.
    #[schemars(length(max = 63))]
    pub status: String,
    /// The server's message.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// A failed call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastError {
    /// The call that failed: Get, Cancel or Token.
    #[schemars(length(max = 63))]
    pub call: String,
    /// The HTTP status; absent if no answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<i32>,
    /// The google.rpc status, such as PERMISSION_DENIED; or NETWORK, TIMEOUT, UNRECOGNISED, TOKEN.
    #[schemars(length(max = 63))]
    pub status: String,
    /// Google's reason, such as SERVICE_DISABLED.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// The domain of that reason, such as googleapis.com.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub domain: Option<String>,
    /// Details of that reason: permission, consumer, service, quota_metric, uid.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub metadata: BTreeMap<String, String>,
    /// The server's message, or how to fix the failure.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When the first of these consecutive failures happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub since: Option<Time>,
}

/// The call that a [`LastError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
pub enum Call {
    /// GET of the operation.
    Get,
    /// POST of `:cancel`.
    Cancel,
    /// Fetching an access token for either.
    Token,
}

impl Call {
    /// The stored name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
