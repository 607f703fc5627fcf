//! The rows. Each is a question that the design or the emulator answers from documents or by guessing; what they take for
//! granted is what is expected here.

mod lists;
mod operations;
mod rights;

use super::{
    arguments::Arguments,
    form::{Expectation, Form, because, error},
    fresh::Fresh,
    plan::{Cancel, Read, Row, Step, Subject, TokenChoice, Whose},
};
use opcancel::google::{
    answer::ErrorKind::{InvalidArgument, NotFound, Unauthenticated},
    catalogue::{Target, resolve},
    endpoint::EndpointOverrides,
    operation_name::OperationName,
};

const NOT_FOUND: Expectation = &[error(404, NotFound)];
const BAD_OR_NOT_FOUND: Expectation = &[error(400, InvalidArgument), error(404, NotFound)];

/// A location that Google does not have.
const NOWHERE: &str = "opcancel-nowhere1";

const NEEDS_LOCATION: &str =
    "needs --location LOCATION, whose endpoint is another than that of names without one";

/// All rows of these arguments, in the order in which they are tried.
///
/// # Errors
/// If the catalogue does not know the service or the version.
pub fn all(
    arguments: &Arguments,
    overrides: &EndpointOverrides,
    fresh: &Fresh,
    forbidden: Option<&Fresh>,
) -> Result<Vec<Row>, String> {
    let mut rows = Rows {
        arguments,
        overrides,
        version: arguments.api_version.first().cloned().unwrap_or_default(),
        rows: Vec::new(),
    };
    rows.missing(fresh)?;
    rows.places(fresh)?;
    rows.lists(fresh)?;
    rows.rights(fresh, forbidden)?;
    rows.cancels_of_nothing(fresh, forbidden)?;
    rows.finished()?;
    rows.cancelled()?;
    Ok(rows.rows)
}

struct Rows<'a> {
    arguments: &'a Arguments,
    overrides: &'a EndpointOverrides,
    version: String,
    rows: Vec<Row>,
}

impl Rows<'_> {
    /// What does not exist, and who does.
    fn missing(&mut self, fresh: &Fresh) -> Result<(), String> {
        let read = self.get(fresh.name())?;
        self.add(
            "get-missing",
            "GET of what does not exist",
            NOT_FOUND,
            Ok(Step::Read(read)),
        );
        for version in self.arguments.api_version.iter().skip(1) {
            let read = Read {
                target: self.target(fresh.name(), version)?,
                ..self.get(fresh.name())?
            };
            let id = format!("version-{version}");
            self.add(
                &id,
                "the same in another version",
                NOT_FOUND,
                Ok(Step::Read(read)),
            );
        }
        const ABSENT: Expectation = &[because(401, Unauthenticated, "CREDENTIALS_MISSING")];
        const MADE_UP: Expectation = &[because(
            401,
            Unauthenticated,
            "ACCESS_TOKEN_TYPE_UNSUPPORTED",
        )];
        for (id, title, expected, token) in [
            (
                "no-token",
                "a request without a token",
                ABSENT,
                TokenChoice::Absent,
            ),
            (
                "made-up-token",
                "a token that nobody issued",
                MADE_UP,
                TokenChoice::MadeUp,
            ),
            (
                "narrow-scope",
                "the service's own scope is enough",
                NOT_FOUND,
                TokenChoice::Narrow,
            ),
        ] {
            let read = Read {
                token,
                ..self.get(fresh.name())?
            };
            self.add(id, title, expected, Ok(Step::Read(read)));
        }
        Ok(())
    }

    /// Paths, hosts and locations that do not fit.
    fn places(&mut self, fresh: &Fresh) -> Result<(), String> {
        let operation = fresh.name().last_segment();
        let project = self.arguments.project.clone();
        let path = format!(
            "/{}/{}/opcancelProbe/{operation}",
            self.version,
            parent(&project, None)
        );
        let read = Read {
            subject: Subject::Path(path),
            ..self.get(fresh.name())?
        };
        const HTML: Expectation = &[Form::Html(404)];
        self.add(
            "unknown-path",
            "a path that the API does not have",
            HTML,
            Ok(Step::Read(read)),
        );

        let global = name(&project, None, operation)?;
        let nowhere = Read {
            target: self.usual(&global)?,
            ..self.get(&name(&project, Some(NOWHERE), operation)?)?
        };
        let title = "a location that does not exist";
        self.add(
            "unknown-location",
            title,
            BAD_OR_NOT_FOUND,
            Ok(Step::Read(nowhere)),
        );

        let regional = match self.arguments.location.as_deref() {
            Some(location) => Some(name(&project, Some(location), operation)?),
            None => None,
        };
        let (mut at_global, mut at_regional) = (None, None);
        if let Some(regional) = regional {
            let targets = (self.usual(&global)?, self.usual(&regional)?);
            if targets.0.endpoint != targets.1.endpoint {
                at_global = Some(Read {
                    target: targets.0,
                    ..self.get(&regional)?
                });
                at_regional = Some(Read {
                    target: targets.1,
                    ..self.get(&global)?
                });
            }
        }
        for (id, title, read) in [
            (
                "regional-at-global-host",
                "a regional name at the global host",
                at_global,
            ),
            (
                "global-at-regional-host",
                "a name without location at a regional host",
                at_regional,
            ),
        ] {
            let step = read.map(Step::Read).ok_or(NEEDS_LOCATION);
            self.add(id, title, BAD_OR_NOT_FOUND, step);
        }
        Ok(())
    }

    fn add(
        &mut self,
        id: &str,
        title: &'static str,
        expected: Expectation,
        step: Result<Step, &'static str>,
    ) {
        self.rows.push(Row {
            id: id.to_owned(),
            title,
            expected,
            step,
        });
    }

    /// A GET as the controller does it.
    fn get(&self, name: &OperationName) -> Result<Read, String> {
        Ok(Read {
            target: self.usual(name)?,
            subject: Subject::Operation(name.clone()),
            token: TokenChoice::Usual,
            payer: None,
        })
    }

    fn cancel(&self, whose: Whose, name: &OperationName, length: bool) -> Result<Step, String> {
        let target = self.usual(name)?;
        Ok(Step::Cancel(Cancel {
            target,
            whose,
            length,
        }))
    }

    fn usual(&self, name: &OperationName) -> Result<Target, String> {
        self.target(name, &self.version)
    }

    fn target(&self, name: &OperationName, version: &str) -> Result<Target, String> {
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

/// What a list is of, as it stands in a path.
fn parent(project: &str, location: Option<&str>) -> String {
    let project = project.replace(':', "%3A");
    match location {
        Some(location) => format!("projects/{project}/locations/{location}"),
        None => format!("projects/{project}"),
    }
}
