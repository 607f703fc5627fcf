//! The operations that the user names.

use super::{BAD_OR_NOT_FOUND, Rows, name};
use crate::{
    form::{Expectation, Form, error},
    plan::{Read, Step, Whose},
};
use opcancel::google::answer::ErrorKind::FailedPrecondition;

const TAKEN: Expectation = &[Form::Accepted];
const TAKEN_OR_TOO_LATE: Expectation = &[Form::Accepted, error(400, FailedPrecondition)];

const NEEDS_FINISHED: &str = "needs --finished NAME";
const NEEDS_CANCEL: &str = "needs --cancel NAME";

impl Rows<'_> {
    /// The operation of `--finished`.
    pub(super) fn finished(&mut self) -> Result<(), String> {
        const DONE: Expectation = &[Form::Done];
        const UNCHANGED: Expectation = &[Form::DoneAsBefore];
        const NEEDS_FLAG: &str = "needs --finished NAME and --cancel-finished";
        let (mut get, mut again, mut cancel, mut elsewhere) = (None, None, None, None);
        if let Some(finished) = self.arguments.finished.clone() {
            get = Some(Step::Read(self.get(&finished)?));
            // At home without its location, or with the one that was given.
            let location = match finished.location() {
                Some(_) => None,
                None => self.arguments.location.as_deref(),
            };
            let other = name(&self.arguments.project, location, finished.last_segment())?;
            if other != finished {
                elsewhere = Some(Step::Read(self.get(&other)?));
            }
            if self.arguments.cancel_finished {
                again = Some(Step::Read(self.get(&finished)?));
                cancel = Some(self.cancel(Whose::Finished, &finished, true)?);
            }
        }
        let nowhere_else = if self.arguments.finished.is_some() {
            "needs a location in --finished NAME, or --location LOCATION"
        } else {
            NEEDS_FINISHED
        };
        for (id, title, expected, step, needs) in [
            (
                "get-finished",
                "GET of an operation that is done",
                DONE,
                get,
                NEEDS_FINISHED,
            ),
            (
                "get-elsewhere",
                "GET of the same at another location",
                BAD_OR_NOT_FOUND,
                elsewhere,
                nowhere_else,
            ),
            (
                "cancel-finished",
                "a cancel of an operation that is done",
                TAKEN_OR_TOO_LATE,
                cancel,
                NEEDS_FLAG,
            ),
            (
                "get-finished-again",
                "it changed nothing",
                UNCHANGED,
                again,
                NEEDS_FLAG,
            ),
        ] {
            self.add(id, title, expected, step.ok_or(needs));
        }
        Ok(())
    }

    /// The operation of `--cancel`.
    pub(super) fn cancelled(&mut self) -> Result<(), String> {
        const RUNNING: Expectation = &[Form::Running];
        const CANCELLED: Expectation = &[Form::Cancelled];
        const UNCHANGED: Expectation = &[Form::DoneAsBefore];
        let name = self.arguments.cancel.clone();
        let step = |kind: fn(Read) -> Step| {
            name.as_ref().map_or(Ok(Err(NEEDS_CANCEL)), |name| {
                self.get(name).map(|read| Ok(kind(read)))
            })
        };
        let (get, end, again) = (step(Step::Read)?, step(Step::AwaitEnd)?, step(Step::Read)?);
        let cancel = |whose| match &name {
            None => Ok(Err(NEEDS_CANCEL)),
            Some(name) => self.cancel(whose, name, true).map(Ok),
        };
        let (first, second) = (cancel(Whose::Running)?, cancel(Whose::Running)?);
        let last = cancel(Whose::Ended)?;
        for (id, title, expected, step) in [
            ("get-running", "GET of an operation that runs", RUNNING, get),
            ("cancel-running", "its cancel", TAKEN, first),
            (
                "cancel-again",
                "its cancel, repeated",
                TAKEN_OR_TOO_LATE,
                second,
            ),
            ("end", "how it ended", CANCELLED, end),
            ("end-stays", "the end stays", UNCHANGED, again),
            (
                "cancel-ended",
                "a cancel after its end",
                TAKEN_OR_TOO_LATE,
                last,
            ),
        ] {
            self.add(id, title, expected, step);
        }
        Ok(())
    }
}
