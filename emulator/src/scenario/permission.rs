//! What a scenario says about who may call what. Plain data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::call::Call;

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Permission {
    /// The principal of a token, or `*` for everybody.
    pub principal: String,
    /// The calls that it allows.
    pub calls: Vec<Call>,
    /// This resource and all below it, such as `projects/p`. If absent, all resources.
    #[serde(default)]
    pub under: Option<String>,
}
