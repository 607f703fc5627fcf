//! What a scenario says about who may call what. Plain data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::call::Call;

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Permission {
    /// Whose: the principal of a token, or `*` for everybody.
    pub principal: String,
    /// For which calls.
    pub calls: Vec<Call>,
    /// For this resource and all below it, such as `projects/p`; absent means for all.
    #[serde(default)]
    pub under: Option<String>,
}
