//! The operations that the user names.

use super::{BAD_OR_NOT_FOUND, Builder, Rows, name};
use crate::{
    expectation::{Expectation, ExpectedAnswer, error},
    step::{CancelSubject, Row, Step},
};
use opcancel::google::{answer::ErrorKind::FailedPrecondition, operation_name::OperationName};

const ACCEPTED: Expectation = &[ExpectedAnswer::Accepted];
const ACCEPTED_OR_TOO_LATE: Expectation =
    &[ExpectedAnswer::Accepted, error(400, FailedPrecondition)];
const RUNNING: Expectation = &[ExpectedAnswer::Running];
const DONE: Expectation = &[ExpectedAnswer::Done];
const UNCHANGED: Expectation = &[ExpectedAnswer::DoneAsBefore];
const CANCELLED: Expectation = &[ExpectedAnswer::Cancelled];

const NEEDS_FINISHED: &str = "needs --finished NAME";
const NEEDS_CANCEL_FINISHED: &str = "needs --finished NAME and --cancel-finished";
const NEEDS_OTHER_LOCATION: &str = "needs a location in --finished NAME, or --location LOCATION";
const NEEDS_CANCEL: &str = "needs --cancel NAME";

/// A step, or the flags that it needs.
type Planned = Result<Step, &'static str>;

impl Builder<'_> {
    /// The operation of `--finished`.
    pub(super) fn finished(&self) -> Rows {
        let finished = self.arguments.finished.as_ref();
        let to_cancel = finished.filter(|_| self.arguments.cancel_finished);
        let read = |name: &OperationName| self.get(name).map(Step::Read);
        let elsewhere = match finished {
            None => Err(NEEDS_FINISHED),
            Some(finished) => self.at_other_location(finished)?,
        };
        Ok(vec![
            Row {
                id: "get-finished".to_owned(),
                title: "GET of an operation that is done",
                expected: DONE,
                step: planned(finished, NEEDS_FINISHED, read)?,
            },
            Row {
                id: "get-elsewhere".to_owned(),
                title: "GET of the same operation at another location",
                expected: BAD_OR_NOT_FOUND,
                step: elsewhere,
            },
            Row {
                id: "cancel-finished".to_owned(),
                title: "a cancel of an operation that is done",
                expected: ACCEPTED_OR_TOO_LATE,
                step: planned(to_cancel, NEEDS_CANCEL_FINISHED, |name| {
                    self.cancel(CancelSubject::Finished, name)
                })?,
            },
            Row {
                id: "get-finished-again".to_owned(),
                title: "the cancel changed nothing",
                expected: UNCHANGED,
                step: planned(to_cancel, NEEDS_CANCEL_FINISHED, read)?,
            },
        ])
    }

    /// A GET of the same operation without its location, or with the location of `--location` if its name has none.
    fn at_other_location(&self, finished: &OperationName) -> Result<Planned, String> {
        let location = match finished.location() {
            Some(_) => None,
            None => self.arguments.location.as_deref(),
        };
        let other = name(&self.arguments.project, location, finished.last_segment())?;
        if other == *finished {
            return Ok(Err(NEEDS_OTHER_LOCATION));
        }
        Ok(Ok(Step::Read(self.get(&other)?)))
    }

    /// The operation of `--cancel`.
    pub(super) fn running(&self) -> Rows {
        let running = self.arguments.cancel.as_ref();
        let read = || planned(running, NEEDS_CANCEL, |name| self.get(name).map(Step::Read));
        let cancel = |subject| planned(running, NEEDS_CANCEL, |name| self.cancel(subject, name));
        let await_end = planned(running, NEEDS_CANCEL, |name| {
            self.get(name).map(Step::AwaitEnd)
        })?;
        Ok(vec![
            Row {
                id: "get-running".to_owned(),
                title: "GET of a running operation",
                expected: RUNNING,
                step: read()?,
            },
            Row {
                id: "cancel-running".to_owned(),
                title: "a cancel of a running operation",
                expected: ACCEPTED,
                step: cancel(CancelSubject::Running)?,
            },
            Row {
                id: "cancel-again".to_owned(),
                title: "the same cancel again",
                expected: ACCEPTED_OR_TOO_LATE,
                step: cancel(CancelSubject::Running)?,
            },
            Row {
                id: "end".to_owned(),
                title: "how the operation ends",
                expected: CANCELLED,
                step: await_end,
            },
            Row {
                id: "end-stays".to_owned(),
                title: "the result does not change",
                expected: UNCHANGED,
                step: read()?,
            },
            Row {
                id: "cancel-ended".to_owned(),
                title: "a cancel after the end",
                expected: ACCEPTED_OR_TOO_LATE,
                step: cancel(CancelSubject::Ended)?,
            },
        ])
    }
}

/// The step for the operation of a flag; `needs` if the flag is not given.
fn planned(
    name: Option<&OperationName>,
    needs: &'static str,
    step: impl Fn(&OperationName) -> Result<Step, String>,
) -> Result<Planned, String> {
    match name {
        None => Ok(Err(needs)),
        Some(name) => step(name).map(Ok),
    }
}
