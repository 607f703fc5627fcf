//! How it ended, once that is decided.

use serde::{Deserialize, Serialize};

use crate::{api::Outcome, google::answer::Operation};

/// The google.rpc code of an operation that was cancelled (google/longrunning/operations.proto, CancelOperation).
const CANCELLED: i32 = 1;

/// An outcome that is decided and still has to be recorded, or is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Which.
    pub outcome: Outcome,
    /// Done, with neither response nor error.
    pub no_result: bool,
}

impl Ending {
    /// An outcome that is not read off a finished operation.
    pub const fn without_result(outcome: Outcome) -> Self {
        Self {
            outcome,
            no_result: false,
        }
    }

    /// How an operation ended, if it did. The only source of Cancelled, Completed and Failed (I4).
    pub fn of(operation: &Operation) -> Option<Self> {
        if !operation.done {
            return None;
        }
        let outcome = match &operation.error {
            Some(error) if error.code == CANCELLED => Outcome::Cancelled,
            Some(_) => Outcome::Failed,
            None => Outcome::Completed,
        };
        Some(Self {
            outcome,
            no_result: operation.error.is_none() && !operation.has_response,
        })
    }
}
