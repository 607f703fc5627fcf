//! Permissions, the project that pays, and cancels of operations that do not exist.

use super::{Builder, NOT_FOUND, Rows};
use crate::{
    expectation::{Expectation, ExpectedAnswer, denied, error, error_with_reason},
    step::{Cancel, CancelSubject, Read, Row, Step},
};
use opcancel::google::answer::ErrorKind::{NotFound, PermissionDenied};

const PAYER_DENIED: ExpectedAnswer =
    error_with_reason(403, PermissionDenied, "USER_PROJECT_DENIED");
const OWN_PAYER: Expectation = &[error(404, NotFound), PAYER_DENIED];
const OTHER_PAYER: Expectation = &[PAYER_DENIED];
const GET_DENIED: Expectation = &[denied(".operations.get")];
const CANCEL_DENIED: Expectation = &[denied(".operations.cancel")];
const NO_LENGTH: Expectation = &[ExpectedAnswer::Html(411)];

const NEEDS_FORBIDDEN: &str = "needs --forbidden-project PROJECT";
const NEEDS_MISSING: &str = "needs --cancel-missing";
const NEEDS_BOTH: &str = "needs --forbidden-project PROJECT and --cancel-missing";

impl Builder<'_> {
    /// Who may ask, and who pays.
    pub(super) fn rights(&self) -> Rows {
        let (no_rights, other_payer) = match self.forbidden {
            None => (Err(NEEDS_FORBIDDEN), Err(NEEDS_FORBIDDEN)),
            Some(forbidden) => {
                let project = forbidden.name().project().unwrap_or_default();
                (
                    Ok(Step::Read(self.get(forbidden.name())?)),
                    Ok(self.paid_by(project)?),
                )
            }
        };
        Ok(vec![
            Row {
                id: "user-project".to_owned(),
                title: "the project is its own quota project (x-goog-user-project)",
                expected: OWN_PAYER,
                step: Ok(self.paid_by(&self.arguments.project)?),
            },
            Row {
                id: "no-rights".to_owned(),
                title: "no permissions, and no operation: 403 or 404?",
                expected: GET_DENIED,
                step: no_rights,
            },
            Row {
                id: "user-project-denied".to_owned(),
                title: "a quota project that the caller may not use",
                expected: OTHER_PAYER,
                step: other_payer,
            },
        ])
    }

    fn paid_by(&self, project: &str) -> Result<Step, String> {
        Ok(Step::Read(Read {
            payer: Some(project.to_owned()),
            ..self.get(self.missing.name())?
        }))
    }

    /// Cancels of operations that do not exist.
    pub(super) fn cancels_of_missing(&self) -> Rows {
        let missing = self.missing.name();
        let allowed = self.arguments.cancel_missing;
        let cancel = self.cancel(CancelSubject::Missing, missing)?;
        let without_length = Step::Cancel(Cancel {
            target: self.target(missing)?,
            subject: CancelSubject::Missing,
            has_content_length: false,
        });
        let without_rights = match self.forbidden {
            Some(forbidden) if allowed => {
                Ok(self.cancel(CancelSubject::Forbidden, forbidden.name())?)
            }
            _ => Err(NEEDS_BOTH),
        };
        let if_allowed = |step| {
            if allowed {
                Ok(step)
            } else {
                Err(NEEDS_MISSING)
            }
        };
        Ok(vec![
            Row {
                id: "cancel-missing".to_owned(),
                title: "a cancel of an operation that does not exist",
                expected: NOT_FOUND,
                step: if_allowed(cancel),
            },
            Row {
                id: "cancel-without-length".to_owned(),
                title: "a POST without Content-Length",
                expected: NO_LENGTH,
                step: if_allowed(without_length),
            },
            Row {
                id: "cancel-no-rights".to_owned(),
                title: "a cancel without permissions",
                expected: CANCEL_DENIED,
                step: without_rights,
            },
        ])
    }
}
