//! One operation as the admin API shows it.

use serde::Serialize;

use crate::{
    operation::{Operation, Phase},
    operation_json::state_name,
};

/// One operation as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationView {
    /// Its name.
    pub name: String,
    /// The script's description.
    pub description: Option<String>,
    /// `absent`, `running`, `cancelling`, `cancelled` or `ended`.
    pub phase: &'static str,
    /// The state in its metadata, if it has metadata.
    pub state: Option<String>,
    /// How many GETs reached it, refused ones included.
    pub gets: u64,
    /// How many cancels reached it, refused ones included.
    pub cancels: u64,
    /// Whether a cancel was accepted.
    pub cancel_accepted: bool,
}

impl OperationView {
    /// The operation of this name in this phase.
    pub(crate) fn new(name: &str, operation: &Operation, phase: &Phase) -> Self {
        let script = operation.script();
        let (gets, cancels) = operation.asked();
        Self {
            name: name.to_owned(),
            description: script.description.clone(),
            state: script
                .metadata
                .as_ref()
                .map(|metadata| state_name(metadata, phase).to_owned()),
            phase: match phase {
                Phase::Absent => "absent",
                Phase::Running => "running",
                Phase::Cancelling => "cancelling",
                Phase::Cancelled => "cancelled",
                Phase::Ended(_) => "ended",
            },
            gets,
            cancels,
            cancel_accepted: operation.cancelled_at().is_some(),
        }
    }
}
