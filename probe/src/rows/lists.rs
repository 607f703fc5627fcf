//! Lists, and what is no filter and no page token.

use super::{Rows, name, parent};
use crate::{
    form::{Expectation, Form, error},
    fresh::Fresh,
    plan::{Read, Step, Subject},
};
use opcancel::google::answer::ErrorKind::{InvalidArgument, Unimplemented};

const LIST: Expectation = &[Form::Page];
const PARTIAL: Expectation = &[Form::Page, error(501, Unimplemented)];
const BAD: Expectation = &[error(400, InvalidArgument)];

impl Rows<'_> {
    pub(super) fn lists(&mut self, fresh: &Fresh) -> Result<(), String> {
        let project = &self.arguments.project;
        let here = parent(project, self.arguments.location.as_deref());
        let everywhere = parent(project, Some("-"));
        // A regional host may well refuse what is not of its region: that would tell nothing of partial success.
        let at_global = self.usual(&name(project, None, fresh.name().last_segment())?)?;
        let at_home = self.usual(fresh.name())?;
        for (id, title, expected, target, parent, query) in [
            ("list", "a list", LIST, &at_home, &here, "pageSize=1"),
            (
                "list-filter",
                "a list of what is done",
                LIST,
                &at_home,
                &here,
                "pageSize=1&filter=done%3Dtrue",
            ),
            (
                "list-bad-filter",
                "a filter that means nothing",
                BAD,
                &at_home,
                &here,
                "filter=opcancelProbe%3D1",
            ),
            (
                "list-bad-token",
                "a page token that nobody issued",
                BAD,
                &at_home,
                &here,
                "pageToken=opcancel-probe",
            ),
            (
                "list-partial",
                "a list over all locations, some of which may be missing",
                PARTIAL,
                &at_global,
                &everywhere,
                "pageSize=1&returnPartialSuccess=true",
            ),
        ] {
            let path = format!("/{}/{parent}/operations?{query}", self.version);
            let read = Read {
                target: target.clone(),
                subject: Subject::List(path),
                ..self.get(fresh.name())?
            };
            self.add(id, title, expected, Ok(Step::Read(read)));
        }
        Ok(())
    }
}
