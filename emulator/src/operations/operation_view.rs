//! One operation in the admin API.

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

/// Longest text of a result, in characters. The texts of a scenario may be much longer.
const LONGEST_RESULT: usize = 300;

/// One operation in the admin API.
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
    /// The result, if the operation has ended: `completed: TYPE`, or the code and message of the error; long ones are shortened.
    pub result: Option<String>,
    /// When it ended, if it has, also if it has disappeared since.
    pub ended_at: Option<Timestamp>,
    /// The number of GETs, including refused ones.
    pub gets: u64,
    /// The number of cancels, including refused ones.
    pub cancels: u64,
    /// Whether a cancel was accepted.
    pub cancel_accepted: bool,
    /// The time of the last GET or cancel.
    pub last_asked: Option<Timestamp>,
}

impl OperationView {
    /// The operation of this name in this phase.
    pub(crate) fn new(
        name: &str,
        operation: &Operation,
        phase: &Phase,
        ended_at: Option<Timestamp>,
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
            ended_at,
            gets,
            cancels,
            cancel_accepted: operation.cancelled_at().is_some(),
            last_asked,
        }
    }
}

/// The name of a phase.
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
