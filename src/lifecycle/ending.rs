//! The outcome of an object, once it is decided.

use serde::{Deserialize, Serialize};

use crate::{api::Outcome, google::answer::Operation};

/// The google.rpc code of an operation that was cancelled (google/longrunning/operations.proto, CancelOperation).
const CANCELLED: i32 = 1;

/// A decided outcome, recorded or still to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The outcome.
    pub outcome: Outcome,
    /// The operation is done, with neither response nor error.
    pub no_result: bool,
}

impl Ending {
    /// An outcome that no finished operation shows.
    pub const fn without_result(outcome: Outcome) -> Self {
        Self {
            outcome,
            no_result: false,
        }
    }

    /// How an operation ended; `None` if it is not done. The only source of Cancelled, Completed, Failed and Ended (I4).
    pub fn of(operation: &Operation) -> Option<Self> {
        if !operation.done {
            return None;
        }
        let outcome = match &operation.error {
            Some(error) if error.code == CANCELLED => Outcome::Cancelled,
            Some(_) => Outcome::Failed,
            None if operation.result_unknown => Outcome::Ended,
            None => Outcome::Completed,
        };
        Some(Self {
            outcome,
            no_result: outcome == Outcome::Completed && !operation.has_response,
        })
    }
}
