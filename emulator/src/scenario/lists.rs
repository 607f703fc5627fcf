//! What a scenario says about lists. Plain data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How lists behave; google/longrunning/operations.proto leaves much of it to each service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lists {
    /// How many operations a page has if the request does not say.
    pub page_size: usize,
    /// The most that a page has, whatever the request says.
    pub largest_page: usize,
    /// Whether `returnPartialSuccess` is supported; by default it is refused with UNIMPLEMENTED.
    pub partial_success: bool,
    /// Locations that a list over all locations (`projects/P/locations/-`) does not reach. It fails with UNAVAILABLE, or names
    /// them in `unreachable` for a request with `returnPartialSuccess`.
    pub unreachable: Vec<String>,
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            page_size: 100,
            largest_page: 1000,
            partial_success: false,
            unreachable: Vec::new(),
        }
    }
}
