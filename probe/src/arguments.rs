//! The command line of `opcancel-probe`.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum, builder::PossibleValuesParser};

use opcancel::{
    duration_text,
    google::{
        catalogue::{self, Service},
        endpoint::EndpointOverride,
        operation_name::{OperationName, is_location, is_project},
    },
};

const AFTER_HELP: &str = "\
Without --cancel, --cancel-finished and --cancel-missing only GETs are sent. --dry-run shows every request and sends none.

Credentials are found as the controller finds them: --credentials, GOOGLE_APPLICATION_CREDENTIALS, gcloud's \
application-default credentials, the metadata server.

Exit codes: 0 everything as expected, 1 something differs, 2 wrong arguments, 3 not everything could be asked (no token, no \
connection, the API is not enabled), or it was interrupted; what was seen until then is printed.";

/// Asks a real project's API what opcancel takes for granted, and prints a table: row, expected, seen, verdict
#[derive(Clone, Debug, Parser)]
#[command(name = "opcancel-probe", version, max_term_width = 110, after_help = AFTER_HELP)]
pub struct Arguments {
    /// The project to ask about, by id or number. Most rows ask for operations that do not exist in it
    #[arg(long, value_name = "PROJECT", value_parser = project)]
    pub project: String,

    /// A location in which to ask, such as europe-west1; without it, names have none. Adds the rows about wrong hosts
    #[arg(long, value_name = "LOCATION", value_parser = location)]
    pub location: Option<String>,

    /// The API
    #[arg(long, value_name = "SERVICE", default_value = "dialogflow", value_parser = PossibleValuesParser::new(catalogue::service_names()))]
    pub service: String,

    /// A version of the API; may be given more than once: the first is used for all rows, the others have a row each. All
    /// that opcancel knows by default
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    pub api_version: Vec<String>,

    /// An operation that is done: asked about, not cancelled
    #[arg(long, value_name = "NAME")]
    pub finished: Option<OperationName>,

    /// Cancels the operation of --finished, after a GET has said that it is done: nothing is left to be stopped
    #[arg(long, requires = "finished")]
    pub cancel_finished: bool,

    /// A RUNNING OPERATION TO CANCEL: asked about, cancelled, cancelled again, watched until it ends, and cancelled once more
    #[arg(long, value_name = "NAME")]
    pub cancel: Option<OperationName>,

    /// How long the end of the operation of --cancel is waited for
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration_text::parse, allow_hyphen_values = true)]
    pub wait: Duration,

    /// Sends cancels for operations that cannot exist: their names are 128 random bits, and a GET has just said that there is
    /// none
    #[arg(long)]
    pub cancel_missing: bool,

    /// A project in which the caller has no rights: is it 403 before 404?
    #[arg(long, value_name = "PROJECT", value_parser = project)]
    pub forbidden_project: Option<String>,

    /// A credential file, in place of GOOGLE_APPLICATION_CREDENTIALS
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,

    /// The one Google identity to act as; any other is refused
    #[arg(long, value_name = "EMAIL", env = "OPCANCEL_EXPECT_PRINCIPAL")]
    pub expect_principal: Option<String>,

    /// The project whose quota the calls use (x-goog-user-project), as the controller has it
    #[arg(long, value_name = "PROJECT", env = "OPCANCEL_QUOTA_PROJECT")]
    pub quota_project: Option<String>,

    /// Call this URL instead of Google's own, as the controller would; may be given more than once
    #[arg(
        long,
        value_name = "SERVICE[/LOCATION]=URL",
        env = "OPCANCEL_ENDPOINT_OVERRIDE",
        value_delimiter = ','
    )]
    pub endpoint_override: Vec<EndpointOverride>,

    /// Certificate authorities (PEM) to trust at endpoint overrides, beside the system's
    #[arg(long, value_name = "FILE", env = "OPCANCEL_CA_FILE")]
    pub ca_file: Option<PathBuf>,

    /// The pause between two requests
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration_text::parse, allow_hyphen_values = true)]
    pub pace: Duration,

    /// The form of the report
    #[arg(long, value_enum, default_value = "text")]
    pub output: Output,

    /// Puts placeholders for projects, principals, operations and hosts of overrides; true by default with --output markdown
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub redact: Option<bool>,

    /// Prints which requests would be sent, and sends none
    #[arg(long, visible_alias = "list")]
    pub dry_run: bool,
}

/// Forms of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For a terminal
    Text,
    /// For programs
    Json,
    /// To be pasted into an issue
    Markdown,
}

impl Arguments {
    /// What the single values cannot say.
    ///
    /// # Errors
    /// If two flags contradict each other; the message names them.
    pub fn check(mut self) -> Result<Self, String> {
        let service = self.service_row()?;
        if self.api_version.is_empty() {
            self.api_version = service
                .versions
                .iter()
                .map(|version| version.name.to_owned())
                .collect();
        }
        let unknown = self
            .api_version
            .iter()
            .find(|given| !service.versions.iter().any(|known| known.name == **given));
        if let Some(version) = unknown {
            let known = service.versions.iter().map(|known| known.name);
            return Err(format!(
                "--api-version {version:?} is unknown; this release knows {} of {}",
                known.collect::<Vec<_>>().join(", "),
                service.name
            ));
        }
        for (flag, name) in [("--finished", &self.finished), ("--cancel", &self.cancel)] {
            // A slip between two projects must not cost an operation.
            if let Some(name) = name
                .as_ref()
                .filter(|name| name.project() != Some(self.project.as_str()))
            {
                return Err(format!(
                    "{flag} {name} is not in --project {}; give the project as the name spells it",
                    self.project
                ));
            }
        }
        if self.cancel.is_some() && self.cancel == self.finished {
            return Err(
                "--finished and --cancel name the same operation; --finished is for one that is done, --cancel for one that runs"
                    .to_owned(),
            );
        }
        if self.forbidden_project.as_deref() == Some(&self.project) {
            return Err(
                "--forbidden-project is the same as --project; it is for one in which the caller has no rights"
                    .to_owned(),
            );
        }
        if self.wait.is_zero() {
            return Err("--wait must be longer than nothing, such as 5m".to_owned());
        }
        Ok(self)
    }

    /// The service's row in the catalogue.
    ///
    /// # Errors
    /// If it has none; the parser knows before.
    pub fn service_row(&self) -> Result<&'static Service, String> {
        catalogue::service(&self.service)
            .ok_or_else(|| format!("--service {:?} is unknown", self.service))
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
        Err("expected a project's id or number, such as acme-prod or 123456789012".to_owned())
    }
}

fn location(text: &str) -> Result<String, String> {
    if is_location(text) {
        Ok(text.to_owned())
    } else {
        Err("expected a location as operation names spell it, such as europe-west1".to_owned())
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
    fn what_goes_into_an_issue_is_redacted_unless_told_otherwise() {
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
    fn wrong_values_are_told_with_the_flag_and_the_form() {
        for (flags, said) in [
            (&["--project=P"][..], "such as acme-prod"),
            (&["--project=p/q"], "--project"),
            (&["--project=p", "--location=EU"], "such as europe-west1"),
            (&["--project=p", "--service=speech"], "dialogflow"),
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
