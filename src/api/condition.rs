//! Conditions, as Kubernetes API conventions want them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// One condition of an object.
///
/// `type`, `status` and `reason` are strings, so that an older controller keeps what a newer one wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The type: Authorized, CancelRequested, Finished, Ready, Reconciling or Stalled.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,
    /// True, False or Unknown.
    #[schemars(length(max = 7), regex(pattern = r"^(True|False|Unknown)$"))]
    pub status: String,
    /// A name for programs. docs/reasons.md lists all reasons and what to do about each.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    )]
    pub reason: String,
    /// A message for people.
    #[schemars(length(max = 32768))]
    pub message: String,
    /// When `status` last changed.
    #[schemars(length(max = 64))]
    pub last_transition_time: Time,
    /// The generation that the condition describes; absent once finished, because an outcome does not belong to a generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// The types of conditions that this controller writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
pub enum ConditionType {
    /// A grant allows the namespace, operation, service and identity.
    Authorized,
    /// The API accepted the cancel request.
    CancelRequested,
    /// An outcome is recorded, good or bad.
    Finished,
    /// The object is `Finished`, and its outcome is an accepted one.
    Ready,
    /// There is still work to do. True or absent (kstatus).
    Reconciling,
    /// It finished without success, or a person must act. True or absent (kstatus).
    Stalled,
}

impl ConditionType {
    /// Every type, in the order in which they are written.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The name as it stands in the object.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Not known yet.
    Unknown,
}

impl ConditionStatus {
    /// The name as it stands in the object.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
