//! Lists, invalid filters and invalid page tokens.

use super::{Builder, Rows, name, parent};
use crate::{
    expectation::{Expectation, ExpectedAnswer, error},
    step::{Read, Resource, Row, Step},
};
use opcancel::google::{
    answer::ErrorKind::{InvalidArgument, Unimplemented},
    catalogue::Target,
};

const LIST: Expectation = &[ExpectedAnswer::Page];
const PARTIAL: Expectation = &[ExpectedAnswer::Page, error(501, Unimplemented)];
const BAD: Expectation = &[error(400, InvalidArgument)];

impl Builder<'_> {
    pub(super) fn lists(&self) -> Rows {
        Ok(vec![
            Row {
                id: "list".to_owned(),
                title: "a list",
                expected: LIST,
                step: Ok(self.list("pageSize=1")?),
            },
            Row {
                id: "list-filter".to_owned(),
                title: "a list of operations that are done",
                expected: LIST,
                step: Ok(self.list("pageSize=1&filter=done%3Dtrue")?),
            },
            Row {
                id: "list-bad-filter".to_owned(),
                title: "an invalid filter",
                expected: BAD,
                step: Ok(self.list("filter=opcancelProbe%3D1")?),
            },
            Row {
                id: "list-bad-token".to_owned(),
                title: "an invalid page token",
                expected: BAD,
                step: Ok(self.list("pageToken=opcancel-probe")?),
            },
            Row {
                id: "list-partial".to_owned(),
                title: "a list over all locations, some of which may be unreachable",
                expected: PARTIAL,
                step: Ok(self.list_over_all_locations("pageSize=1&returnPartialSuccess=true")?),
            },
        ])
    }

    /// The list at the location of the other rows.
    fn list(&self, query: &str) -> Result<Step, String> {
        let location = self.arguments.location.as_deref();
        let target = self.target(self.missing.name())?;
        self.list_at(target, location, query)
    }

    /// It goes to the global host: a regional one may refuse other regions, which would say nothing about partial success.
    fn list_over_all_locations(&self, query: &str) -> Result<Step, String> {
        let operation = self.missing.name().last_segment();
        let target = self.target(&name(&self.arguments.project, None, operation)?)?;
        self.list_at(target, Some("-"), query)
    }

    fn list_at(&self, target: Target, location: Option<&str>, query: &str) -> Result<Step, String> {
        let parent = parent(&self.arguments.project, location);
        let path = format!("/{}/{parent}/operations?{query}", self.version);
        Ok(Step::Read(Read {
            target,
            resource: Resource::List(path),
            ..self.get(self.missing.name())?
        }))
    }
}
