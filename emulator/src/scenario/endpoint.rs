//! What a scenario says about hosts, locations and the names of projects. Plain data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the service's hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// As `Host` or `:authority` has it; without a port it stands for every port.
    pub host: String,
    /// The locations that it serves. Names without a location belong to `global`.
    pub locations: Vec<String>,
}

/// What a name gets whose operation exists at another location.
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
    /// As it was asked for.
    #[default]
    AsAsked,
    /// By the identity's project number; the identity's project is then found under both its names.
    Number,
}
