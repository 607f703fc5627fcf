//! What a run will send: every request is known before the first one is sent, and their number is bounded.

use super::{
    arguments::Arguments,
    random_name::RandomName,
    rows,
    step::{CancelSubject, Row, Step},
};
use opcancel::google::{
    catalogue::Target, endpoint::EndpointOverrides, operation_name::OperationName,
};

/// All rows, in their order.
#[derive(Debug)]
pub struct Plan {
    /// The rows.
    pub rows: Vec<Row>,
    /// The operation that does not exist in the project.
    pub missing: RandomName,
    /// The operation that does not exist in the forbidden project.
    pub forbidden: Option<RandomName>,
}

impl Plan {
    /// The plan of these arguments.
    ///
    /// # Errors
    /// If the random names cannot be made, or the catalogue does not know the service.
    pub fn new(arguments: &Arguments, overrides: &EndpointOverrides) -> Result<Self, String> {
        let location = arguments.location.as_deref();
        let version = arguments.version_row()?;
        let missing = RandomName::draw(version, &arguments.project, location)?;
        let forbidden = arguments
            .forbidden_project
            .as_ref()
            .map(|project| RandomName::draw(version, project, location))
            .transpose()?;
        let rows = rows::all(arguments, overrides, &missing, forbidden.as_ref())?;
        Ok(Self {
            rows,
            missing,
            forbidden,
        })
    }

    /// The most requests that are sent.
    pub fn max_requests(&self) -> u32 {
        self.rows.iter().map(Row::max_requests).sum()
    }

    fn targets(&self) -> impl Iterator<Item = &Target> {
        let steps = self.rows.iter().filter_map(|row| row.step.as_ref().ok());
        steps.map(Step::target)
    }

    /// The endpoints that come from an override instead of the catalogue.
    pub fn overridden(&self) -> impl Iterator<Item = &str> {
        let overridden = self.targets().filter(|target| target.overridden);
        overridden.map(|target| target.endpoint.as_str())
    }

    /// The endpoints to which requests are sent, each once.
    pub fn endpoints(&self) -> Vec<&str> {
        let mut endpoints: Vec<_> = self
            .targets()
            .map(|target| target.endpoint.as_str())
            .collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        endpoints
    }

    /// The operations that may be cancelled, as the plan prints them.
    pub fn cancels(&self, arguments: &Arguments) -> Vec<String> {
        let mut cancels: Vec<String> = Vec::new();
        cancels.extend(arguments.cancel.as_ref().map(ToString::to_string));
        if arguments.cancel_finished {
            let finished = arguments.finished.as_ref();
            cancels
                .extend(finished.map(|name| format!("{name}, if a GET reports that it is done")));
        }
        if arguments.cancel_missing {
            cancels
                .push("random names, if a GET reports that there is no such operation".to_owned());
        }
        cancels
    }

    /// The operation that a row cancels.
    pub fn name<'a>(
        &'a self,
        subject: CancelSubject,
        arguments: &'a Arguments,
    ) -> Option<&'a OperationName> {
        match subject {
            CancelSubject::Missing => Some(self.missing.name()),
            CancelSubject::Forbidden => self.forbidden.as_ref().map(RandomName::name),
            CancelSubject::Finished => arguments.finished.as_ref(),
            CancelSubject::Running | CancelSubject::Ended => arguments.cancel.as_ref(),
        }
    }

    /// The request of a row as the report prints it; `None` if it sends none.
    pub fn request(&self, row: &Row, arguments: &Arguments) -> Option<String> {
        Some(match row.step.as_ref().ok()? {
            Step::Read(read) => read.request(),
            Step::AwaitEnd(read) => format!("{}, until it is done", read.request()),
            Step::Cancel(cancel) => cancel.request(self.name(cancel.subject, arguments)?),
        })
    }
}
