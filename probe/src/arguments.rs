//! The command line of `opcancel-probe`.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum, builder::PossibleValuesParser};

use opcancel::{
    connection_arguments::ConnectionArguments,
    duration_text,
    google::{
        catalogue::{self, Service, Version},
        operation_name::{OperationName, is_location, is_project},
    },
};

const AFTER_HELP: &str = "\
Without --cancel, --cancel-finished and --cancel-missing, only GETs are sent. --dry-run prints every request and sends none.

Credentials are found as the controller finds them: --credentials, GOOGLE_APPLICATION_CREDENTIALS, gcloud's \
application-default credentials, the metadata server.

Exit codes: 0 every answer is as expected; 1 an answer differs; 2 an argument is invalid; 3 a request got no answer (no \
token, no connection, the API is not enabled), or the run was interrupted. An interrupted run prints the answers so far.";

/// Check what opcancel assumes about Google's API in a real project, and print a table: row, expected, observed, verdict
#[derive(Clone, Debug, Parser)]
#[command(name = "opcancel-probe", version, max_term_width = 110, after_help = AFTER_HELP)]
pub struct Arguments {
    /// Project to ask about, by ID or number. Most rows ask for operations that do not exist in it
    #[arg(long, value_name = "PROJECT", value_parser = project)]
    pub project: String,

    /// Location to ask in, such as europe-west1; without it, operation names have no location. Adds the rows about wrong hosts
    #[arg(long, value_name = "LOCATION", value_parser = location)]
    pub location: Option<String>,

    /// Google API to ask
    #[arg(long, value_name = "SERVICE", default_value = "dialogflow", value_parser = PossibleValuesParser::new(catalogue::service_names()))]
    pub service: String,

    /// Version of the API; may be repeated. All rows use the first version; each of the others has one row. The default is all
    /// versions that opcancel supports, first the one that objects without spec.version use
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    pub api_version: Vec<String>,

    /// Operation that is done. It is read, not cancelled
    #[arg(long, value_name = "NAME")]
    pub finished: Option<OperationName>,

    /// Cancel the operation of --finished, if a GET reports that it is done. There is nothing left to stop
    #[arg(long, requires = "finished")]
    pub cancel_finished: bool,

    /// RUNNING OPERATION TO CANCEL. It is read, cancelled twice, polled until it ends, and cancelled once more
    #[arg(long, value_name = "NAME")]
    pub cancel: Option<OperationName>,

    /// How long to wait for the operation of --cancel to end
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration_text::parse, allow_hyphen_values = true)]
    pub wait: Duration,

    /// Cancel operations that cannot exist: their names are 128 random bits, and a GET has just reported that there is no such
    /// operation
    #[arg(long)]
    pub cancel_missing: bool,

    /// Project in which the caller has no permissions, to see whether Google answers 403 or 404
    #[arg(long, value_name = "PROJECT", value_parser = project)]
    pub forbidden_project: Option<String>,

    /// Credential file to use instead of GOOGLE_APPLICATION_CREDENTIALS
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,

    /// The only Google identity to act as; every other identity is refused
    #[arg(long, value_name = "EMAIL", env = "OPCANCEL_EXPECT_PRINCIPAL")]
    pub expect_principal: Option<String>,

    /// Project whose quota the requests use (x-goog-user-project), as for the controller
    #[arg(long, value_name = "PROJECT", env = "OPCANCEL_QUOTA_PROJECT")]
    pub quota_project: Option<String>,

    /// How Google is reached.
    #[command(flatten)]
    pub connections: ConnectionArguments,

    /// Pause between two requests
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration_text::parse, allow_hyphen_values = true)]
    pub pace: Duration,

    /// Format of the report
    #[arg(long, value_enum, default_value = "text")]
    pub output: Output,

    /// Replace projects, principals, operations and hosts of overrides with placeholders. The default is true for --output
    /// markdown, false otherwise
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub redact: Option<bool>,

    /// Print the requests that would be sent, and send none
    #[arg(long, visible_alias = "list")]
    pub dry_run: bool,
}

/// Formats of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For a terminal
    Text,
    /// For programs
    Json,
    /// To paste into an issue
    Markdown,
}

impl Arguments {
    /// Checks the arguments against each other, and fills in the default of `--api-version`.
    ///
    /// # Errors
    /// If two flags contradict each other; the message names them.
    pub fn check(mut self) -> Result<Self, String> {
        self.check_versions()?;
        self.check_operation("--finished", self.finished.as_ref())?;
        self.check_operation("--cancel", self.cancel.as_ref())?;
        self.connections.check()?;
        let problem = if self.cancel.is_some() && self.cancel == self.finished {
            "--finished and --cancel name the same operation; use --finished for an operation that is done, --cancel for one that is running"
        } else if self.forbidden_project.as_deref() == Some(&self.project) {
            "--forbidden-project is the same as --project; use a project in which the caller has no permissions"
        } else if self.wait.is_zero() {
            "--wait must be greater than zero; use for example 5m"
        } else {
            return Ok(self);
        };
        Err(problem.to_owned())
    }

    fn check_versions(&mut self) -> Result<(), String> {
        let service = self.service_row()?;
        let known: Vec<&str> = service
            .versions
            .iter()
            .map(|version| version.name)
            .collect();
        if self.api_version.is_empty() {
            // All rows use the first one.
            self.api_version = known.iter().map(ToString::to_string).collect();
            self.api_version
                .sort_by_key(|version| version != service.default_version);
        }
        let mut given = self.api_version.iter();
        match given.find(|given| !known.contains(&given.as_str())) {
            None => Ok(()),
            Some(version) => Err(format!(
                "--api-version {version:?} is unknown; this release supports {} of {}",
                known.join(", "),
                service.name
            )),
        }
    }

    /// An operation of another project must not be cancelled by mistake.
    fn check_operation(&self, flag: &str, name: Option<&OperationName>) -> Result<(), String> {
        match name {
            // A name that belongs to no project says nothing about one.
            Some(name)
                if name
                    .project()
                    .is_some_and(|project| project != self.project) =>
            {
                Err(format!(
                    "{flag} {name} is not in --project {}; spell the project as in the name of the operation",
                    self.project
                ))
            }
            _ => Ok(()),
        }
    }

    /// The service's row in the catalogue.
    ///
    /// # Errors
    /// If the catalogue does not have it, which the parser rules out.
    pub fn service_row(&self) -> Result<&'static Service, String> {
        catalogue::service(&self.service)
            .ok_or_else(|| format!("--service {:?} is unknown", self.service))
    }

    /// The row of the first version.
    ///
    /// # Errors
    /// If the catalogue does not have it, which [`Self::check`] rules out.
    pub fn version_row(&self) -> Result<&'static Version, String> {
        let service = self.service_row()?;
        let version = self.api_version.first().map(String::as_str);
        service
            .version(version.unwrap_or(service.default_version))
            .ok_or_else(|| format!("{} has no version {version:?}", service.name))
    }

    /// Whether the report has placeholders.
    pub fn redacts(&self) -> bool {
        self.redact.unwrap_or(self.output == Output::Markdown)
    }
}

fn project(text: &str) -> Result<String, String> {
    if is_project(text) {
        Ok(text.to_owned())
    } else {
        Err("invalid project; use an ID or number such as acme-prod or 123456789012".to_owned())
    }
}

fn location(text: &str) -> Result<String, String> {
    if is_location(text) {
        Ok(text.to_owned())
    } else {
        Err(
            "invalid location; use a location as in the name of an operation, such as europe-west1"
                .to_owned(),
        )
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn parse(arguments: &[&str]) -> Result<Arguments, String> {
        Arguments::try_parse_from(std::iter::once(&"opcancel-probe").chain(arguments))
            .map_err(|error| error.to_string())?
            .check()
    }

    #[test]
    fn by_default_it_cancels_nothing_and_asks_all_versions() {
        let arguments = parse(&["--project=p"]).unwrap();
        assert!(arguments.cancel.is_none());
        assert!(!arguments.cancel_finished && !arguments.cancel_missing);
        assert_eq!(arguments.api_version, ["v2", "v2beta1", "v3", "v3beta1"]);
        assert!(!arguments.redacts());
    }

    #[test]
    fn markdown_is_redacted_by_default() {
        for (flags, redacts) in [
            (&["--output=markdown"][..], true),
            (&["--output=markdown", "--redact=false"], false),
            (&["--redact"], true),
            (&["--output=json"], false),
        ] {
            let arguments = [&["--project=p"], flags].concat();
            assert_eq!(parse(&arguments).unwrap().redacts(), redacts, "{flags:?}");
        }
    }

    #[test]
    fn errors_name_the_flag_and_the_expected_form() {
        for (flags, said) in [
            (&["--project=P"][..], "such as acme-prod"),
            (&["--project=p/q"], "--project"),
            (&["--project=p", "--location=EU"], "such as europe-west1"),
            (&["--project=p", "--service=gke"], "dialogflow"),
            (&["--project=p", "--api-version=v1"], "v2, v2beta1, v3"),
            (
                &["--project=p", "--finished=o"],
                "projects/PROJECT/locations/LOCATION/operations",
            ),
            (
                &["--project=p", "--finished=projects/q/operations/o"],
                "--finished projects/q/operations/o is not in --project p",
            ),
            (
                &["--project=p", "--cancel=projects/q/operations/o"],
                "--cancel projects/q/operations/o is not in",
            ),
            (
                &[
                    "--project=p",
                    "--cancel=projects/p/operations/o",
                    "--finished=projects/p/operations/o",
                ],
                "the same operation",
            ),
            (
                &["--project=p", "--forbidden-project=p"],
                "--forbidden-project",
            ),
            (&["--project=p", "--cancel-finished"], "--finished"),
            (&["--project=p", "--wait=5"], "use for example 30s or 5m"),
            (&["--project=p", "--wait=0s"], "--wait"),
            (
                &["--project=p", "--https-proxy=proxy:3128"],
                "http://HOST:PORT",
            ),
            (&["--project=p", "--pace=-1s"], "--pace"),
            (
                &["--project=p", "--endpoint-override=dialogflow=http://a"],
                "https",
            ),
            (&["--project=p", "--output=xml"], "markdown"),
            (&["--location=eu"], "--project"),
        ] {
            let error = parse(flags).unwrap_err();
            assert!(error.contains(said), "{flags:?}: {error}");
        }
    }
}
