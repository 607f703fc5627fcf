//! Names without a parent, such as `operations/ID`: whether they can be read with OAuth, and whether a project in the id is checked.

use super::{Builder, Rows};
use crate::{
    expectation::{Expectation, error},
    random_name::RandomName,
    step::{Row, Step},
};
use opcancel::google::{
    answer::ErrorKind::{InvalidArgument, NotFound, PermissionDenied},
    operation_name::OperationName,
};

const MISSING: Expectation = &[error(404, NotFound), error(403, PermissionDenied)];
const CHECKED: Expectation = &[
    error(404, NotFound),
    error(403, PermissionDenied),
    error(400, InvalidArgument),
];

/// A project that the operation does not belong to.
const OTHER_PROJECT: &str = "opcancel-probe-other-project";

const NEEDS_PROJECT_IN_ID: &str =
    "needs --finished NAME without a parent, with the project of --project in its id";

impl Builder<'_> {
    /// Only for services that have such names.
    pub(super) fn without_parent(&self) -> Rows {
        let version = self.arguments.version_row()?;
        let mut rows = Vec::new();
        if let Some(missing) = RandomName::draw_without_parent(version)? {
            rows.push(Row {
                id: "get-without-parent".to_owned(),
                title: "GET of an operation that does not exist, by a name without a project",
                expected: MISSING,
                step: Ok(Step::Read(self.get(missing.name())?)),
            });
        }
        let many = version.patterns.iter();
        if many
            .map(|pattern| pattern.segments)
            .any(|form| form.ends_with("/**"))
        {
            rows.push(Row {
                id: "other-project-in-id".to_owned(),
                title: "the same operation with another project in its id",
                expected: CHECKED,
                step: match self.with_other_project()? {
                    Some(name) => Ok(Step::Read(self.get(&name)?)),
                    None => Err(NEEDS_PROJECT_IN_ID),
                },
            });
        }
        Ok(rows)
    }

    /// The operation of `--finished` with another project in its id; `None` if there is no project in it.
    fn with_other_project(&self) -> Result<Option<OperationName>, String> {
        let Some(finished) = &self.arguments.finished else {
            return Ok(None);
        };
        let has_parent = self.target(finished)?.parent().is_some();
        let project = self.arguments.project.as_str();
        if has_parent || !finished.segments().any(|segment| segment == project) {
            return Ok(None);
        }
        let segments = finished.segments();
        let other = segments.map(|segment| {
            if segment == project {
                OTHER_PROJECT
            } else {
                segment
            }
        });
        let other: Vec<_> = other.collect();
        OperationName::parse(&other.join("/"))
            .map(Some)
            .map_err(|error| error.to_string())
    }
}
