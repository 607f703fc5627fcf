//! The rows. Each is a question that the design or the emulator answers from documents or by assumption; the expectation of a
//! row is that answer.

mod lists;
mod missing;
mod operations;
mod places;
mod rights;
mod without_parent;

use super::{
    arguments::Arguments,
    expectation::{Expectation, error},
    random_name::RandomName,
    step::{Cancel, CancelSubject, Read, Resource, Row, Step, TokenChoice},
};
use opcancel::google::{
    answer::ErrorKind::{InvalidArgument, NotFound},
    catalogue::{Target, resolve},
    endpoint::EndpointOverrides,
    operation_name::OperationName,
};

const NOT_FOUND: Expectation = &[error(404, NotFound)];
const BAD_OR_NOT_FOUND: Expectation = &[error(400, InvalidArgument), error(404, NotFound)];

/// The rows of a group, or why the catalogue does not have them.
type Rows = Result<Vec<Row>, String>;

/// All rows of these arguments, in the order in which they are tried.
///
/// # Errors
/// If the catalogue does not know the service or the version.
pub fn all(
    arguments: &Arguments,
    overrides: &EndpointOverrides,
    missing: &RandomName,
    forbidden: Option<&RandomName>,
) -> Rows {
    let builder = Builder {
        arguments,
        overrides,
        version: arguments.api_version.first().cloned().unwrap_or_default(),
        missing,
        forbidden,
    };
    let groups = [
        builder.missing()?,
        builder.without_parent()?,
        builder.places()?,
        builder.lists()?,
        builder.rights()?,
        builder.cancels_of_missing()?,
        builder.finished()?,
        builder.running()?,
    ];
    Ok(groups.into_iter().flatten().collect())
}

/// What the rows are made of.
struct Builder<'a> {
    arguments: &'a Arguments,
    overrides: &'a EndpointOverrides,
    version: String,
    /// The operation that does not exist in the project.
    missing: &'a RandomName,
    /// The operation that does not exist in the forbidden project.
    forbidden: Option<&'a RandomName>,
}

impl Builder<'_> {
    /// A GET as the controller sends it.
    fn get(&self, name: &OperationName) -> Result<Read, String> {
        Ok(Read {
            target: self.target(name)?,
            resource: Resource::Operation(name.clone()),
            token: TokenChoice::Usual,
            payer: None,
        })
    }

    /// A cancel as the controller sends it.
    fn cancel(&self, subject: CancelSubject, name: &OperationName) -> Result<Step, String> {
        Ok(Step::Cancel(Cancel {
            target: self.target(name)?,
            subject,
            has_content_length: true,
        }))
    }

    /// The name in this project, or in none, of an operation with this id; `None` if the service has no such form of names.
    fn plain_name(
        &self,
        location: Option<&str>,
        operation: &str,
    ) -> Result<Option<(OperationName, Target)>, String> {
        let name = name(&self.arguments.project, location, operation)?;
        let target = self.target(&name).ok();
        Ok(target.map(|target| (name, target)))
    }

    fn target(&self, name: &OperationName) -> Result<Target, String> {
        self.target_of_version(name, &self.version)
    }

    fn target_of_version(&self, name: &OperationName, version: &str) -> Result<Target, String> {
        let service = &self.arguments.service;
        resolve(service, Some(version), name, self.overrides).map_err(|error| error.to_string())
    }
}

fn name(project: &str, location: Option<&str>, operation: &str) -> Result<OperationName, String> {
    let location = location
        .map(|location| format!("/locations/{location}"))
        .unwrap_or_default();
    OperationName::parse(&format!(
        "projects/{project}{location}/operations/{operation}"
    ))
    .map_err(|error| error.to_string())
}

/// The parent of the simplest names, encoded for a path.
fn parent(project: &str, location: Option<&str>) -> String {
    let project = project.replace(':', "%3A");
    match location {
        Some(location) => format!("projects/{project}/locations/{location}"),
        None => format!("projects/{project}"),
    }
}
