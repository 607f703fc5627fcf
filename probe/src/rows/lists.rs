//! Lists, invalid filters and invalid page tokens.

use super::{Builder, Rows, parent};
use crate::{
    expectation::{Expectation, ExpectedAnswer, error},
    step::{Read, Resource, Row, Step},
};
use opcancel::google::{
    answer::ErrorKind::{InvalidArgument, Unimplemented},
    catalogue::{OperationForm, Target},
};

const LIST: Expectation = &[ExpectedAnswer::Page];
const PARTIAL: Expectation = &[ExpectedAnswer::Page, error(501, Unimplemented)];
const BAD: Expectation = &[error(400, InvalidArgument)];

const OTHER_LIST: &str = "lists of this service may have another form";

/// Whether the list is that of google/longrunning/operations.proto.
fn has_plain_list(target: &Target) -> bool {
    target.operation_form() == OperationForm::Longrunning
        && target
            .version_row()
            .is_some_and(|row| row.suffix == ":cancel")
}

impl Builder<'_> {
    pub(super) fn lists(&self) -> Rows {
        let list = |query: &str| self.list(query).map(|step| step.ok_or(OTHER_LIST));
        let partial = self.list_over_all_locations("pageSize=1&returnPartialSuccess=true")?;
        Ok(vec![
            Row {
                id: "list".to_owned(),
                title: "a list",
                expected: LIST,
                step: list("pageSize=1")?,
            },
            Row {
                id: "list-filter".to_owned(),
                title: "a list of operations that are done",
                expected: LIST,
                step: list("pageSize=1&filter=done%3Dtrue")?,
            },
            Row {
                id: "list-bad-filter".to_owned(),
                title: "an invalid filter",
                expected: BAD,
                step: list("filter=opcancelProbe%3D1")?,
            },
            Row {
                id: "list-bad-token".to_owned(),
                title: "an invalid page token",
                expected: BAD,
                step: list("pageToken=opcancel-probe")?,
            },
            Row {
                id: "list-partial".to_owned(),
                title: "a list over all locations, some of which may be unreachable",
                expected: PARTIAL,
                step: partial.ok_or(OTHER_LIST),
            },
        ])
    }

    /// The list at the location of the other rows; `None` if the service may have another form of lists.
    fn list(&self, query: &str) -> Result<Option<Step>, String> {
        let location = self.arguments.location.as_deref();
        let operation = self.missing.name().last_segment();
        match self.plain_name(location, operation)? {
            Some((_, target)) if has_plain_list(&target) => {
                self.list_at(target, location, query).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// It goes to the global host: a regional one may refuse other regions, which would say nothing about partial success.
    fn list_over_all_locations(&self, query: &str) -> Result<Option<Step>, String> {
        let operation = self.missing.name().last_segment();
        let location = self.arguments.location.as_deref();
        let global = self.plain_name(None, operation)?;
        let known = match global {
            Some(global) => Some(global),
            None => self.plain_name(location, operation)?,
        };
        match known {
            Some((_, target)) if has_plain_list(&target) => {
                self.list_at(target, Some("-"), query).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn list_at(&self, target: Target, location: Option<&str>, query: &str) -> Result<Step, String> {
        let parent = parent(&self.arguments.project, location);
        let prefix = target.version_row().map_or("", |row| row.prefix);
        let path = format!("/{prefix}{parent}/operations?{query}");
        Ok(Step::Read(Read {
            target,
            resource: Resource::List(path),
            ..self.get(self.missing.name())?
        }))
    }
}
