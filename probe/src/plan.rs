//! What will be sent: every request is known before the first leaves, and their number is bounded.

use super::{arguments::Arguments, form::Expectation, fresh::Fresh, rows};
use opcancel::google::{
    catalogue::Target, endpoint::EndpointOverrides, operation_name::OperationName,
};

/// How often the end of a cancelled operation is looked for, at most.
pub const MAX_POLLS: u32 = 20;

/// All rows, in their order.
#[derive(Debug)]
pub struct Plan {
    /// The rows.
    pub rows: Vec<Row>,
    /// The operation that does not exist in the project.
    pub fresh: Fresh,
    /// The operation that does not exist in the forbidden project.
    pub forbidden: Option<Fresh>,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// Its name in the table and in the audit log.
    pub id: String,
    /// The question.
    pub title: &'static str,
    /// What the answer should be.
    pub expected: Expectation,
    /// What is done for it; or what is missing, in words.
    pub step: Result<Step, &'static str>,
}

/// What is done for a row.
#[derive(Debug)]
pub enum Step {
    /// A GET.
    Read(Read),
    /// A cancel, if there is leave.
    Cancel(Cancel),
    /// GETs until the operation is done, or the time is over.
    AwaitEnd(Read),
}

/// A GET.
#[derive(Debug)]
pub struct Read {
    /// Where.
    pub target: Target,
    /// Of what.
    pub subject: Subject,
    /// As whom.
    pub token: TokenChoice,
    /// Who pays, if it is not who pays for the controller's calls.
    pub payer: Option<String>,
}

/// What is read.
#[derive(Debug)]
pub enum Subject {
    /// An operation.
    Operation(OperationName),
    /// A list, by its path and query.
    List(String),
    /// A path that is none.
    Path(String),
}

/// The token of a GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenChoice {
    /// The one that the controller would have.
    Usual,
    /// None.
    Absent,
    /// One that nobody issued.
    MadeUp,
    /// One with the narrowest scope of the service.
    Narrow,
}

/// A cancel.
#[derive(Debug)]
pub struct Cancel {
    /// Where.
    pub target: Target,
    /// Of what.
    pub whose: Whose,
    /// Whether it says that it is empty. One that does not goes over HTTP/1.1, where that makes a difference.
    pub length: bool,
}

/// Which operation is to be cancelled, and what the last GET must have said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The one that does not exist.
    Missing,
    /// The one that does not exist in the forbidden project.
    Forbidden,
    /// `--finished`.
    Finished,
    /// `--cancel`, as long as it runs.
    Running,
    /// `--cancel`, after its end.
    Ended,
}

impl Plan {
    /// The plan of these arguments.
    ///
    /// # Errors
    /// If no names can be made, or the catalogue does not know the service.
    pub fn new(arguments: &Arguments, overrides: &EndpointOverrides) -> Result<Self, String> {
        let location = arguments.location.as_deref();
        let fresh = Fresh::draw(&arguments.project, location)?;
        let forbidden = arguments
            .forbidden_project
            .as_ref()
            .map(|project| Fresh::draw(project, location))
            .transpose()?;
        let rows = rows::all(arguments, overrides, &fresh, forbidden.as_ref())?;
        Ok(Self {
            rows,
            fresh,
            forbidden,
        })
    }

    /// The most requests that are sent.
    pub fn requests(&self) -> u32 {
        self.rows.iter().map(Row::requests).sum()
    }

    fn targets(&self) -> impl Iterator<Item = &Target> {
        let steps = self.rows.iter().filter_map(|row| row.step.as_ref().ok());
        steps.map(Step::target)
    }

    /// The endpoints that are another's than the catalogue's.
    pub fn overridden(&self) -> impl Iterator<Item = &str> {
        let overridden = self.targets().filter(|target| target.overridden);
        overridden.map(|target| target.endpoint.as_str())
    }

    /// The endpoints to which they are sent, each once.
    pub fn endpoints(&self) -> Vec<&str> {
        let mut endpoints: Vec<_> = self
            .targets()
            .map(|target| target.endpoint.as_str())
            .collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        endpoints
    }

    /// The operations that may be cancelled, as people name them.
    pub fn cancels(&self, arguments: &Arguments) -> Vec<String> {
        let mut told: Vec<String> = Vec::new();
        told.extend(arguments.cancel.as_ref().map(ToString::to_string));
        if arguments.cancel_finished {
            let finished = arguments.finished.as_ref();
            told.extend(
                finished.map(|name| format!("{name}, once a GET has said that it is done")),
            );
        }
        if arguments.cancel_missing {
            told.push("random names, once a GET has said that there is none".to_owned());
        }
        told
    }

    /// The name whose cancel a row sends.
    pub fn name<'a>(&'a self, whose: Whose, arguments: &'a Arguments) -> Option<&'a OperationName> {
        match whose {
            Whose::Missing => Some(self.fresh.name()),
            Whose::Forbidden => self.forbidden.as_ref().map(Fresh::name),
            Whose::Finished => arguments.finished.as_ref(),
            Whose::Running | Whose::Ended => arguments.cancel.as_ref(),
        }
    }

    /// What a row sends, as people write requests.
    pub fn request(&self, row: &Row, arguments: &Arguments) -> Option<String> {
        let step = row.step.as_ref().ok()?;
        let at = |target: &Target| format!("{}/{}", target.endpoint, target.version);
        Some(match step {
            Step::Read(read) => read.request(),
            Step::AwaitEnd(read) => format!("{}, until it is done", read.request()),
            Step::Cancel(cancel) => {
                let name = self.name(cancel.whose, arguments)?;
                let length = if cancel.length {
                    ""
                } else {
                    ", over HTTP/1.1 without Content-Length"
                };
                format!("POST {}/{name}:cancel{length}", at(&cancel.target))
            }
        })
    }
}

impl Row {
    /// The most requests that it sends.
    pub fn requests(&self) -> u32 {
        match &self.step {
            Err(_) => 0,
            Ok(Step::AwaitEnd(_)) => MAX_POLLS,
            Ok(_) => 1,
        }
    }
}

impl Step {
    fn target(&self) -> &Target {
        match self {
            Self::Read(read) | Self::AwaitEnd(read) => &read.target,
            Self::Cancel(cancel) => &cancel.target,
        }
    }
}

impl Read {
    fn request(&self) -> String {
        let endpoint = &self.target.endpoint;
        let request = match &self.subject {
            Subject::Operation(name) => format!("GET {endpoint}/{}/{name}", self.target.version),
            Subject::List(path) | Subject::Path(path) => format!("GET {endpoint}{path}"),
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
