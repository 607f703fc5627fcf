//! What a scenario says about consumer projects, which requests are charged to. Plain data.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration_text::{self, DurationSchema};

/// A project that requests count against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Consumer {
    /// Its number, which errors name. If absent, they name the project's ID.
    pub number: Option<String>,
    /// Whether the API is enabled in it. If not, requests get SERVICE_DISABLED.
    pub enabled: bool,
    /// Principals that belong to the project, in addition to its service accounts.
    pub principals: Vec<String>,
    /// Who may name it in `x-goog-user-project`. If absent, everybody may. Others get USER_PROJECT_DENIED.
    pub users: Option<Vec<String>>,
    /// How many requests per minute it may make. More get RESOURCE_EXHAUSTED.
    pub per_minute: PerMinute,
    /// The delay in `google.rpc.RetryInfo` of these refusals. If absent, they have no RetryInfo.
    #[serde(with = "duration_text::option")]
    #[schemars(with = "Option<DurationSchema>")]
    pub retry_info: Option<Duration>,
}

impl Default for Consumer {
    fn default() -> Self {
        Self {
            number: None,
            enabled: true,
            principals: Vec::new(),
            users: None,
            per_minute: PerMinute::default(),
            retry_info: None,
        }
    }
}

/// Requests per minute by method. If absent, there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PerMinute {
    /// Of GETs.
    pub get: Option<u64>,
    /// Of lists.
    pub list: Option<u64>,
    /// Of cancels.
    pub cancel: Option<u64>,
}
