//! The life of one operation. Pure: the age of the operation is an argument, and nothing here waits, logs or uses randomness.
//!
//! Invariants: a finished operation stays finished with the same result. It ends CANCELLED only after an accepted cancel (or if
//! its script says that another client cancelled it).

use std::time::Duration;

use crate::{
    protocol::call::Call,
    scenario::{
        fault::Fault,
        script::{CancelAnswer, CancelEffect, EndResult, Script},
    },
};

/// One operation: its script, the changes so far, and the number of requests.
#[derive(Clone, Debug)]
pub struct Operation {
    script: Script,
    cancelled_at: Option<Duration>,
    finished: Option<(Duration, EndResult)>,
    gone: bool,
    latest: Duration,
    gets: u64,
    cancels: u64,
}

/// The phase of an operation at one moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// NOT_FOUND: it does not exist yet, no longer exists, or never exists.
    Absent,
    /// Not done; no cancel is taking effect.
    Running,
    /// Not done; an accepted cancel will end it.
    Cancelling,
    /// Done with CANCELLED, after an accepted cancel.
    Cancelled,
    /// Done with any other result.
    Ended(EndResult),
}

/// The result of a cancel request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelVerdict {
    /// The answer is `{}`.
    Ok,
    /// FAILED_PRECONDITION: the operation cannot be cancelled.
    NotCancellable,
    /// FAILED_PRECONDITION: a cancel was already accepted.
    AlreadyRequested,
    /// FAILED_PRECONDITION: the operation is done.
    AlreadyDone,
    /// NOT_FOUND.
    Absent,
}

impl Operation {
    /// A new operation of age zero.
    pub fn new(script: Script) -> Self {
        Self {
            script,
            cancelled_at: None,
            finished: None,
            gone: false,
            latest: Duration::ZERO,
            gets: 0,
            cancels: 0,
        }
    }

    /// Its script.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// The number of GETs and of cancels, including refused ones.
    pub fn asked(&self) -> (u64, u64) {
        (self.gets, self.cancels)
    }

    /// The age at which the first cancel was accepted.
    pub fn cancelled_at(&self) -> Option<Duration> {
        self.cancelled_at
    }

    /// Counts a request and returns its number, from 1, among those of its method.
    pub fn count(&mut self, call: Call) -> u64 {
        let counter = match call {
            // A list reaches no operation.
            Call::Get | Call::List => &mut self.gets,
            Call::Cancel => &mut self.cancels,
        };
        *counter = counter.saturating_add(1);
        *counter
    }

    /// The fault of the script that applies to the `nth` request of this method.
    pub fn fault(&self, call: Call, nth: u64, principal: Option<&str>) -> Option<Fault> {
        self.script
            .faults
            .iter()
            .find(|fault| fault.meets(call, nth, principal))
            .cloned()
    }

    /// The phase at this age. A smaller age than in an earlier call counts as that one: time does not go back.
    pub fn phase(&mut self, age: Duration) -> Phase {
        self.latest = self.latest.max(age);
        self.phase_at(self.latest)
    }

    /// Handles a cancel request at this age.
    pub fn cancel(&mut self, age: Duration) -> CancelVerdict {
        let behaviour = &self.script.cancel;
        let (repeated, when_done) = (behaviour.repeated, behaviour.when_done);
        match self.phase(age) {
            Phase::Absent => CancelVerdict::Absent,
            Phase::Cancelled | Phase::Ended(_) => match when_done {
                CancelAnswer::Ok => CancelVerdict::Ok,
                CancelAnswer::FailedPrecondition => CancelVerdict::AlreadyDone,
            },
            Phase::Running | Phase::Cancelling
                if self.script.cancel.effect == CancelEffect::NotCancellable =>
            {
                CancelVerdict::NotCancellable
            }
            Phase::Running | Phase::Cancelling => match (self.cancelled_at, repeated) {
                (None, _) => {
                    self.cancelled_at = Some(self.latest);
                    CancelVerdict::Ok
                }
                (Some(_), CancelAnswer::Ok) => CancelVerdict::Ok,
                (Some(_), CancelAnswer::FailedPrecondition) => CancelVerdict::AlreadyRequested,
            },
        }
    }

    /// The age at which it ended, if it has by this age.
    pub fn ended_at(&self, age: Duration) -> Option<Duration> {
        self.end(age).map(|(at, _)| at)
    }

    /// Ends it now with this result, for an admin. Returns `false` if it was not running: a result never changes.
    pub fn finish(&mut self, age: Duration, result: EndResult) -> bool {
        let running = matches!(self.phase(age), Phase::Running | Phase::Cancelling);
        if running {
            self.finished = Some((self.latest, result));
        }
        running
    }

    /// Removes it for good, for an admin. Returns `false` if it was already absent.
    pub fn vanish(&mut self, age: Duration) -> bool {
        let there = self.phase(age) != Phase::Absent;
        self.gone |= there;
        there
    }

    fn phase_at(&self, age: Duration) -> Phase {
        let appeared =
            self.script.exists && self.script.appears_after.is_none_or(|after| age >= after);
        let end = self.end(age);
        if !appeared || self.gone || self.vanished(age, end.as_ref().map(|(at, _)| *at)) {
            return Phase::Absent;
        }
        match end {
            Some((_, phase)) => phase,
            None if self.cancelled_at.is_some()
                && self.script.cancel.effect != CancelEffect::Ignored =>
            {
                Phase::Cancelling
            }
            None => Phase::Running,
        }
    }

    /// The end, if it has happened by this age: the earliest of the script's, the cancel's and an admin's.
    fn end(&self, age: Duration) -> Option<(Duration, Phase)> {
        let by_itself = self
            .script
            .ends
            .as_ref()
            .map(|ending| (ending.after, Phase::Ended(ending.result.clone())));
        let by_admin = self
            .finished
            .as_ref()
            .map(|(at, result)| (*at, Phase::Ended(result.clone())));
        let by_cancel = self.cancelled_at.and_then(|at| {
            let at = at.saturating_add(self.script.cancel.after);
            match &self.script.cancel.effect {
                CancelEffect::Cancels => Some((at, Phase::Cancelled)),
                CancelEffect::Ends(result) => Some((at, Phase::Ended(result.clone()))),
                CancelEffect::Ignored | CancelEffect::NotCancellable => None,
            }
        });
        [by_itself, by_admin, by_cancel]
            .into_iter()
            .flatten()
            .filter(|(at, _)| *at <= age)
            .min_by_key(|(at, _)| *at)
    }

    fn vanished(&self, age: Duration, ended_at: Option<Duration>) -> bool {
        let Some(vanishing) = &self.script.vanishes else {
            return false;
        };
        let since = |start: Option<Duration>, delay: Option<Duration>| matches!((start, delay), (Some(start), Some(delay)) if age >= start.saturating_add(delay));
        since(Some(Duration::ZERO), vanishing.after)
            || since(self.cancelled_at, vanishing.after_cancel)
            || since(ended_at, vanishing.after_end)
    }
}

#[cfg(test)]
#[path = "operation_tests.rs"]
mod tests;
