//! Presets of scripts, for tests. They can be combined: each method changes only what its name says.

use std::time::Duration;

use crate::{
    protocol::rpc_code::RpcCode,
    scenario::{
        fault::{Fault, FaultCall},
        script::{CancelEffect, EndResult, Ending, Failure, Response, Script, Vanishing},
    },
};

impl Script {
    /// Never ends by itself, and is cancelled this long after the first cancel.
    pub fn cancelled_after(delay: Duration) -> Self {
        let mut script = Self::default();
        script.cancel.after = delay;
        script
    }

    /// Takes the cancel, answers `{}`, and goes on for ever.
    pub fn ignores_cancel() -> Self {
        let mut script = Self::default();
        script.cancel.effect = CancelEffect::Ignored;
        script
    }

    /// Takes the cancel and ends with this result all the same, this long after it.
    pub fn cancel_ends_as(result: EndResult, delay: Duration) -> Self {
        let mut script = Self::default();
        script.cancel.effect = CancelEffect::Ends(result);
        script.cancel.after = delay;
        script
    }

    /// Was done before anybody asked.
    pub fn already_done(result: EndResult) -> Self {
        Self::default().ends(Duration::ZERO, result)
    }

    /// Does not exist, and never did.
    pub fn missing() -> Self {
        Self {
            exists: false,
            ..Self::default()
        }
    }

    /// Refuses every cancel with UNIMPLEMENTED.
    pub fn cancel_unimplemented() -> Self {
        Self::default().with_fault(Fault::refuse(FaultCall::Cancel, RpcCode::Unimplemented))
    }

    /// The same script, but it ends by itself at this age with this result.
    #[must_use]
    pub fn ends(self, after: Duration, result: EndResult) -> Self {
        Self {
            ends: Some(Ending { after, result }),
            ..self
        }
    }

    /// The same script, but NOT_FOUND before this age.
    #[must_use]
    pub fn appears_after(self, age: Duration) -> Self {
        Self {
            appears_after: Some(age),
            ..self
        }
    }

    /// The same script, but it goes away this long after the first accepted cancel.
    #[must_use]
    pub fn vanishes_after_cancel(self, delay: Duration) -> Self {
        Self {
            vanishes: Some(Vanishing {
                after_cancel: Some(delay),
                ..Vanishing::default()
            }),
            ..self
        }
    }

    /// The same script with one more fault; earlier ones go first.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}

impl EndResult {
    /// Completed with a response of the default type.
    pub fn completed() -> Self {
        Self::Completed(Response::default())
    }

    /// Failed with this code (not CANCELLED) and message.
    pub fn failed(code: RpcCode, message: impl Into<String>) -> Self {
        Self::Failed(Failure {
            code,
            message: message.into(),
            details: Vec::new(),
        })
    }
}
