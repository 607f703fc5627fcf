//! One operation as the admin API shows it.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::{
    operations::{
        operation::{Operation, Phase},
        operation_json::state_name,
    },
    protocol::rpc_code::RpcCode,
    scenario::script::EndResult,
};

/// Longest text of a result, in characters; what was set in a scenario may be much longer.
const LONGEST_RESULT: usize = 300;

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
    /// How it ended, if it did: `completed: TYPE`, or the error's code and message; cut where it is long.
    pub result: Option<String>,
    /// How many GETs reached it, refused ones included.
    pub gets: u64,
    /// How many cancels reached it, refused ones included.
    pub cancels: u64,
    /// Whether a cancel was accepted.
    pub cancel_accepted: bool,
    /// When the last GET or cancel reached it.
    pub last_asked: Option<Timestamp>,
}

impl OperationView {
    /// The operation of this name in this phase.
    pub(crate) fn new(
        name: &str,
        operation: &Operation,
        phase: &Phase,
        last_asked: Option<Timestamp>,
    ) -> Self {
        let script = operation.script();
        let (gets, cancels) = operation.asked();
        Self {
            name: name.to_owned(),
            description: script.description.clone(),
            state: script
                .metadata
                .as_ref()
                .map(|metadata| state_name(metadata, phase).to_owned()),
            phase: phase_name(phase),
            result: result_text(phase),
            gets,
            cancels,
            cancel_accepted: operation.cancelled_at().is_some(),
            last_asked,
        }
    }
}

/// The word for a phase.
pub(crate) fn phase_name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Absent => "absent",
        Phase::Running => "running",
        Phase::Cancelling => "cancelling",
        Phase::Cancelled => "cancelled",
        Phase::Ended(_) => "ended",
    }
}

fn result_text(phase: &Phase) -> Option<String> {
    let text = match phase {
        Phase::Absent | Phase::Running | Phase::Cancelling => return None,
        Phase::Cancelled => RpcCode::Cancelled.name().to_owned(),
        Phase::Ended(EndResult::CancelledElsewhere) => {
            format!("{}, by somebody else", RpcCode::Cancelled.name())
        }
        Phase::Ended(EndResult::Completed(response)) => format!("completed: {}", response.type_url),
        Phase::Ended(EndResult::Failed(failure)) => {
            format!("{}: {}", failure.code.name(), failure.message)
        }
        Phase::Ended(EndResult::NoResult) => "done, with neither response nor error".into(),
        Phase::Ended(EndResult::EmptyError) => "done, with an empty error".into(),
        Phase::Ended(EndResult::Raw(fields)) => Value::Object(fields.clone()).to_string(),
    };
    Some(match text.char_indices().nth(LONGEST_RESULT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    })
}
