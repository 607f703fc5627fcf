//! What a scenario says about consumer projects, which requests are charged to. Plain data.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration_text::{self, DurationSchema};

/// A project that requests are charged to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Consumer {
    /// Its number, which errors name; absent means that they name the project's id.
    pub number: Option<String>,
    /// Whether the API is enabled in it; if not, requests get SERVICE_DISABLED.
    pub enabled: bool,
    /// Principals whose own project it is, besides its service accounts.
    pub principals: Vec<String>,
    /// Who may name it in `x-goog-user-project`; absent means everybody. Others get USER_PROJECT_DENIED.
    pub users: Option<Vec<String>>,
    /// How many requests a minute it may make; more get RESOURCE_EXHAUSTED.
    pub per_minute: PerMinute,
    /// The delay in the `google.rpc.RetryInfo` of these refusals; absent means that they have none.
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

/// Requests a minute by method; absent means any number.
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
