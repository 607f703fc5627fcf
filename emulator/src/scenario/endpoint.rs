//! What a scenario says about hosts, locations and the names of projects. Plain data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the service's hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// As in `Host` or `:authority`. Without a port, it matches every port.
    pub host: String,
    /// The locations that it serves. A name without a location counts as `global`.
    pub locations: Vec<String>,
}

/// The answer to a name whose operation exists at another location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WrongLocation {
    /// NOT_FOUND
    #[default]
    NotFound,
    /// 400 INVALID_ARGUMENT
    InvalidArgument,
}

/// How answers name the project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProjectNames {
    /// As requested.
    #[default]
    AsAsked,
    /// By the project number of the identity. Requests may then use the number or the ID of this project.
    Number,
}
