//! The steps of a run: what a row asks, and what it sends.

use super::expectation::Expectation;
use opcancel::google::{catalogue::Target, operation_name::OperationName};

/// The most polls for the end of a cancelled operation.
pub const MAX_POLLS: u32 = 20;

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// Its name in the table and in the audit log.
    pub id: String,
    /// The question.
    pub title: &'static str,
    /// The answers that are expected.
    pub expected: Expectation,
    /// What the row sends; or the flags that it needs, as the report prints them.
    pub step: Result<Step, &'static str>,
}

/// What a row sends.
#[derive(Debug)]
pub enum Step {
    /// A GET.
    Read(Read),
    /// A cancel, if there is consent.
    Cancel(Cancel),
    /// GETs until the operation is done or the wait is over.
    AwaitEnd(Read),
}

/// A GET.
#[derive(Debug)]
pub struct Read {
    /// The endpoint and the version of the API.
    pub target: Target,
    /// What is read there.
    pub resource: Resource,
    /// The token that is sent.
    pub token: TokenChoice,
    /// The project in `x-goog-user-project`, if it is not the one of the controller's calls.
    pub payer: Option<String>,
}

/// What a GET reads.
#[derive(Debug)]
pub enum Resource {
    /// An operation.
    Operation(OperationName),
    /// A list, by its path and query.
    List(String),
    /// A path that the API does not have.
    UnknownPath(String),
}

/// The token of a GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenChoice {
    /// The one that the controller would use.
    Usual,
    /// None.
    Absent,
    /// An invented one.
    MadeUp,
    /// One with the narrowest scope of the service.
    Narrow,
}

/// A cancel.
#[derive(Debug)]
pub struct Cancel {
    /// The endpoint and the version of the API.
    pub target: Target,
    /// Which operation is cancelled.
    pub subject: CancelSubject,
    /// Whether the request has a Content-Length. One without is sent over HTTP/1.1, where the server can tell the difference.
    pub has_content_length: bool,
}

/// Which operation is cancelled, and what the last GET of it must have returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelSubject {
    /// The random name in the project.
    Missing,
    /// The random name in the forbidden project.
    Forbidden,
    /// `--finished`.
    Finished,
    /// `--cancel`, while it runs.
    Running,
    /// `--cancel`, after its end.
    Ended,
}

impl Row {
    /// The most requests that it sends.
    pub fn max_requests(&self) -> u32 {
        match &self.step {
            Err(_) => 0,
            Ok(Step::AwaitEnd(_)) => MAX_POLLS,
            Ok(_) => 1,
        }
    }
}

impl Step {
    /// Where its requests go.
    pub fn target(&self) -> &Target {
        match self {
            Self::Read(read) | Self::AwaitEnd(read) => &read.target,
            Self::Cancel(cancel) => &cancel.target,
        }
    }
}

impl Read {
    /// The operation that it reads, if it reads one.
    pub fn operation(&self) -> Option<&OperationName> {
        match &self.resource {
            Resource::Operation(name) => Some(name),
            Resource::List(_) | Resource::UnknownPath(_) => None,
        }
    }

    /// The request as the report prints it.
    pub fn request(&self) -> String {
        let endpoint = &self.target.endpoint;
        let request = match &self.resource {
            Resource::Operation(name) => format!("GET {endpoint}/{}", path(&self.target, name)),
            Resource::List(path) | Resource::UnknownPath(path) => format!("GET {endpoint}{path}"),
        };
        let token = match self.token {
            TokenChoice::Usual => "",
            TokenChoice::Absent => ", without a token",
            TokenChoice::MadeUp => ", with a made-up token",
            TokenChoice::Narrow => ", with a token of the service's own scope",
        };
        let payer = self
            .payer
            .as_ref()
            .map(|project| format!(", x-goog-user-project: {project}"))
            .unwrap_or_default();
        format!("{request}{token}{payer}")
    }
}

impl Cancel {
    /// The cancel of this operation as the report prints it.
    pub fn request(&self, name: &OperationName) -> String {
        let endpoint = &self.target.endpoint;
        let suffix = self.target.version_row().map_or("", |row| row.suffix);
        let length = if self.has_content_length {
            ""
        } else {
            ", over HTTP/1.1 without Content-Length"
        };
        format!(
            "POST {endpoint}/{}{suffix}{length}",
            path(&self.target, name)
        )
    }
}

/// The path of an operation, as the report prints it.
fn path(target: &Target, name: &OperationName) -> String {
    target.version_row().map_or_else(
        || name.to_string(),
        |row| format!("{}{}", row.prefix, row.in_path(name)),
    )
}
