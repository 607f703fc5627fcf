//! The operations that the user names.

use super::{BAD_OR_NOT_FOUND, Builder, Rows};
use crate::{
    expectation::{Expectation, ExpectedAnswer, error},
    step::{CancelSubject, Row, Step},
};
use opcancel::google::{
    answer::ErrorKind::FailedPrecondition, catalogue::OperationForm, operation_name::OperationName,
};

const ACCEPTED: Expectation = &[ExpectedAnswer::Accepted];
const ACCEPTED_OR_TOO_LATE: Expectation =
    &[ExpectedAnswer::Accepted, error(400, FailedPrecondition)];
/// Of APIs with paths of their own, which may be older than the empty object.
const ACCEPTED_BY_OLDER: Expectation = &[ExpectedAnswer::Accepted, ExpectedAnswer::NoBody];
const ACCEPTED_OR_TOO_LATE_BY_OLDER: Expectation = &[
    ExpectedAnswer::Accepted,
    ExpectedAnswer::NoBody,
    error(400, FailedPrecondition),
];
const RUNNING: Expectation = &[ExpectedAnswer::Running];
const DONE: Expectation = &[ExpectedAnswer::Done];
const UNCHANGED: Expectation = &[ExpectedAnswer::DoneAsBefore];
const CANCELLED: Expectation = &[ExpectedAnswer::Cancelled];
const CANCELLED_OR_DONE: Expectation = &[ExpectedAnswer::Cancelled, ExpectedAnswer::Done];

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
                expected: self.accepted_or_too_late(),
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
        match self.plain_name(location, finished.last_segment())? {
            Some((other, _)) if other != *finished => Ok(Ok(Step::Read(self.get(&other)?))),
            _ => Ok(Err(NEEDS_OTHER_LOCATION)),
        }
    }

    /// Whether paths are of their own form.
    fn is_older(&self) -> bool {
        let row = self.arguments.version_row();
        row.is_ok_and(|row| row.suffix != ":cancel")
    }

    fn accepted(&self) -> Expectation {
        if self.is_older() {
            ACCEPTED_BY_OLDER
        } else {
            ACCEPTED
        }
    }

    fn accepted_or_too_late(&self) -> Expectation {
        if self.is_older() {
            ACCEPTED_OR_TOO_LATE_BY_OLDER
        } else {
            ACCEPTED_OR_TOO_LATE
        }
    }

    /// How a cancelled operation ends. An operation with `status` may not say how it ended.
    fn cancelled(&self) -> Expectation {
        let form = self.arguments.version_row().map(|row| row.operation);
        match form {
            Ok(OperationForm::DoneStatus) => CANCELLED_OR_DONE,
            _ => CANCELLED,
        }
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
                expected: self.accepted(),
                step: cancel(CancelSubject::Running)?,
            },
            Row {
                id: "cancel-again".to_owned(),
                title: "the same cancel again",
                expected: self.accepted_or_too_late(),
                step: cancel(CancelSubject::Running)?,
            },
            Row {
                id: "end".to_owned(),
                title: "how the operation ends",
                expected: self.cancelled(),
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
                expected: self.accepted_or_too_late(),
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
