//! How a cancellation ended.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// How a cancellation ended. It is recorded once in `status.outcome` and never changes.
///
/// It is stored as a string with a pattern, not as an enum: an older CRD must not refuse a newer outcome.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    IntoStaticStr,
    VariantArray,
)]
pub enum Outcome {
    /// A GET said done with `error.code` 1 (CANCELLED): the server stopped the work.
    Cancelled,
    /// A GET said done with a response, or with neither response nor error: the work completed anyway.
    Completed,
    /// A GET said done with another error code; `status.operation.error` has it.
    Failed,
    /// A GET said done, but the API does not say how: the work was cancelled or completed.
    Ended,
    /// Google answered only NOT_FOUND for `--not-found-after`: the operation does not exist, or no longer exists.
    NotFound,
    /// The API cannot cancel this operation (UNIMPLEMENTED), and the operation was still running when last seen.
    Unsupported,
    /// The spec is invalid, or the API calls the name invalid in both GET and cancel.
    Rejected,
    /// The deadline passed before the operation ended: it may still run.
    Unknown,
}

impl Outcome {
    /// Every outcome, in the order of the reference.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The name as stored in `status.outcome` and as reason of `Finished`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Outcome {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL
            .iter()
            .copied()
            .find(|o| o.name() == name)
            .ok_or(())
    }
}

/// An outcome that can count as success.
///
/// `Unsupported`, `Rejected` and `Unknown` cannot: the operation may still run.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum AcceptedOutcome {
    /// See [`Outcome::Cancelled`].
    Cancelled,
    /// See [`Outcome::Completed`].
    Completed,
    /// See [`Outcome::Failed`].
    Failed,
    /// See [`Outcome::NotFound`].
    NotFound,
}

impl AcceptedOutcome {
    /// The default of `spec.acceptedOutcomes`: the operation no longer runs.
    pub const DEFAULT: [Self; 3] = [Self::Cancelled, Self::Completed, Self::Failed];

    /// The outcome that this one accepts.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Cancelled => Outcome::Cancelled,
            Self::Completed => Outcome::Completed,
            Self::Failed => Outcome::Failed,
            Self::NotFound => Outcome::NotFound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for &outcome in Outcome::ALL {
            assert_eq!(outcome.name().parse(), Ok(outcome));
        }
        assert_eq!("Exploded".parse::<Outcome>(), Err(()));
    }
}
