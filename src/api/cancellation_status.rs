//! What the operator reports about one cancellation.
//!
//! Every field is optional: an older controller's status, or one edited by hand, must still be readable.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, ConditionType};

/// What really happened so far. Written by the controller only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CancellationStatus {
    /// The generation of the spec that this status speaks of: -1 before the first visit; absent once finished, because
    /// an outcome belongs to no generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How it ended: Cancelled, Completed, Failed, Ended, NotFound, Unsupported, Rejected or Unknown. Absent until finished,
    /// never changed afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = r"^[A-Z][A-Za-z]*$"))]
    pub outcome: Option<String>,
    /// What is really addressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetStatus>,
    /// Who really asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// When the object was first both granted and not suspended. The deadline counts from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub start_time: Option<Time>,
    /// The number of the cancel request that is about to be sent; raised before every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cancel_attempts: Option<i64>,
    /// When the intent to send the first cancel request was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub cancel_request_time: Option<Time>,
    /// When the outcome was observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub completion_time: Option<Time>,
    /// The operation as it was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<ObservedOperation>,
    /// The last failed call, from its first failure on; gone after a success of that call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Authorized, CancelRequested, Finished, Ready, Reconciling, Stalled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl CancellationStatus {
    /// Status and reason of a condition, if there is one.
    pub fn condition(&self, type_: ConditionType) -> Option<(&str, &str)> {
        let mut conditions = self.conditions.iter();
        let condition = conditions.find(|condition| condition.type_ == type_.name())?;
        Some((&condition.status, &condition.reason))
    }
}

/// What is really addressed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetStatus {
    /// What stands before the operations' collection in the name, such as projects/acme-prod/locations/europe-west1; absent if
    /// nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub parent: Option<String>,
    /// The project as the operation's name spells it: an id or a number; absent if the operation stands under none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub project: Option<String>,
    /// The location in the name; absent if the name has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 52))]
    pub location: Option<String>,
    /// What follows the operations' collection in the name.
    #[schemars(length(max = 1024))]
    pub operation: String,
    /// The service of the catalogue.
    #[schemars(length(max = 63))]
    pub service: String,
    /// The API version in the path.
    #[schemars(length(max = 63))]
    pub version: String,
    /// The endpoint that is asked: scheme and host.
    #[schemars(length(max = 2048))]
    pub endpoint: String,
}

/// Who really asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Identity {
    /// Operator or ServiceAccount.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// The ServiceAccount's name; absent for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// Google's name for the identity, as far as known, such as a service account's email.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub principal: Option<String>,
}

/// The operation as a GET last showed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedOperation {
    /// Whether the operation has ended.
    pub done: bool,
    /// The type of the operation's metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub metadata_type: Option<String>,
    /// The state that the metadata names, such as CANCELLING. For people: the outcome is never judged by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub metadata_state: Option<String>,
    /// The type of the operation's response; the response itself is not kept.
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
    /// Which call failed: Get, Cancel or Token.
    #[schemars(length(max = 63))]
    pub call: String,
    /// The HTTP status; absent if no answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<i32>,
    /// The google.rpc status, such as PERMISSION_DENIED; or NETWORK, TIMEOUT, UNRECOGNISED, TOKEN.
    #[schemars(length(max = 63))]
    pub status: String,
    /// Google's own reason, such as SERVICE_DISABLED.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// The domain of that reason, such as googleapis.com.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub domain: Option<String>,
    /// What that reason says of: permission, consumer, service, quota_metric, uid.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub metadata: BTreeMap<String, String>,
    /// The server's message, or what cures the failure.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When the first of an unbroken row of these failures happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub since: Option<Time>,
}

/// Which call a [`LastError`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Call {
    /// GET of the operation.
    Get,
    /// POST of `:cancel`.
    Cancel,
    /// Fetching an access token for either.
    Token,
}

impl Call {
    /// The name as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "Get",
            Self::Cancel => "Cancel",
            Self::Token => "Token",
        }
    }
}
