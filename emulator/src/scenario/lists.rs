//! What a scenario says about lists. Plain data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How lists behave. google/longrunning/operations.proto leaves much of it to each service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lists {
    /// The page size if the request does not set one.
    pub page_size: usize,
    /// The greatest page size, whatever the request sets.
    pub largest_page: usize,
    /// Whether `returnPartialSuccess` is supported. If not, it gets UNIMPLEMENTED.
    pub partial_success: bool,
    /// Locations that a list over all locations (`projects/P/locations/-`) cannot reach. Such a list fails with UNAVAILABLE; with
    /// `returnPartialSuccess` it names them in `unreachable`.
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
