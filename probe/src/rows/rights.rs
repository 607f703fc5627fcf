//! Who may ask, who pays, and cancels that can stop nothing.

use super::{NOT_FOUND, Rows};
use crate::{
    form::{Expectation, Form, because, denied, error},
    fresh::Fresh,
    plan::{Read, Step, Whose},
};
use opcancel::google::answer::ErrorKind::{NotFound, PermissionDenied};

const NEEDS_FORBIDDEN: &str = "needs --forbidden-project PROJECT";
const NEEDS_MISSING: &str = "needs --cancel-missing";
const NEEDS_BOTH: &str = "needs --forbidden-project PROJECT and --cancel-missing";

impl Rows<'_> {
    /// Who may ask, and who pays.
    pub(super) fn rights(
        &mut self,
        fresh: &Fresh,
        forbidden: Option<&Fresh>,
    ) -> Result<(), String> {
        const NO_PAYER: Form = because(403, PermissionDenied, "USER_PROJECT_DENIED");
        const OWN: Expectation = &[error(404, NotFound), NO_PAYER];
        const OTHER: Expectation = &[NO_PAYER];
        const DENIED: Expectation = &[denied(".operations.get")];
        let pays = |read: Read, project: &str| Read {
            payer: Some(project.to_owned()),
            ..read
        };
        let own = pays(self.get(fresh.name())?, &self.arguments.project);
        let title = "the project pays for its own calls (x-goog-user-project)";
        self.add("user-project", title, OWN, Ok(Step::Read(own)));
        let (mut get, mut payer) = (None, None);
        if let Some(forbidden) = forbidden {
            get = Some(self.get(forbidden.name())?);
            payer = Some(pays(
                self.get(fresh.name())?,
                forbidden.name().project().unwrap_or_default(),
            ));
        }
        for (id, title, expected, read) in [
            (
                "no-rights",
                "no rights, and no operation: 403 or 404?",
                DENIED,
                get,
            ),
            (
                "user-project-denied",
                "a project pays that the caller may not name",
                OTHER,
                payer,
            ),
        ] {
            self.add(
                id,
                title,
                expected,
                read.map(Step::Read).ok_or(NEEDS_FORBIDDEN),
            );
        }
        Ok(())
    }

    /// Cancels of what does not exist.
    pub(super) fn cancels_of_nothing(
        &mut self,
        fresh: &Fresh,
        other: Option<&Fresh>,
    ) -> Result<(), String> {
        const NO_LENGTH: Expectation = &[Form::Html(411)];
        const DENIED: Expectation = &[denied(".operations.cancel")];
        for (id, title, expected, length) in [
            (
                "cancel-missing",
                "a cancel of what does not exist",
                NOT_FOUND,
                true,
            ),
            (
                "cancel-without-length",
                "a POST that does not say how long it is",
                NO_LENGTH,
                false,
            ),
        ] {
            let step = self.cancel(Whose::Missing, fresh.name(), length)?;
            let step = if self.arguments.cancel_missing {
                Ok(step)
            } else {
                Err(NEEDS_MISSING)
            };
            self.add(id, title, expected, step);
        }
        let step = match other {
            Some(other) if self.arguments.cancel_missing => {
                Ok(self.cancel(Whose::Forbidden, other.name(), true)?)
            }
            _ => Err(NEEDS_BOTH),
        };
        self.add("cancel-no-rights", "a cancel without rights", DENIED, step);
        Ok(())
    }
}
