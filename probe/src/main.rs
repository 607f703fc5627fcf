//! `opcancel-probe`: asks a real project's API the questions that opcancel's design and its emulator answer by assumption, and
//! reports the expected and the observed answers side by side.
//!
//! Guarantees: every request is known before the first is sent ([`plan`]), their number is bounded, and they are paced. Without a
//! flag for it, only GETs are sent. One function sends cancels, and it needs a [`consent::CancelConsent`]. No row is tried twice.
//! Texts from outside are shortened and cleaned by `google`, and no token is ever printed.
//!
//! Caveat: the requests count against the caller's quota and appear in the project's audit log, as
//! `opcancel - opcancel-probe/ROW RUN`.

mod arguments;
mod consent;
mod expectation;
mod observation;
mod paced_client;
mod plan;
mod poll_schedule;
mod random_name;
mod redact;
mod render;
mod report;
mod rows;
mod run;
mod setup_problem;
mod step;

use std::{io::Write, process::ExitCode};

use clap::Parser;
use opcancel::{
    google::{
        catalogue::CLOUD_PLATFORM,
        client::ClientConfig,
        endpoint::EndpointOverrides,
        identity::{Environment, IdentityConfig, OperatorIdentity},
        tls,
        token::FetchObserver,
    },
    stop_signals::stop_on_signals,
};

use arguments::Arguments;
use paced_client::{Identities, PacedClient};
use plan::Plan;
use redact::Redactor;
use report::UNANSWERED;
use run::run;

/// Wrong arguments; clap's own is the same.
const USAGE: u8 = 2;

/// What ends the program early: the message and the exit code.
type Failure = (String, u8);

fn main() -> ExitCode {
    let ended = Arguments::parse()
        .check()
        .map_err(|message| (message, USAGE))
        .and_then(probe);
    match ended {
        Ok(code) => ExitCode::from(code),
        Err((message, code)) => {
            eprintln!("opcancel-probe: {message}");
            ExitCode::from(code)
        }
    }
}

fn probe(arguments: Arguments) -> Result<u8, Failure> {
    let overrides = arguments.connections.endpoints();
    let plan = Plan::new(&arguments, &overrides).map_err(cannot_run)?;
    tls::install_provider();
    if arguments.dry_run {
        print(&render::plan(&plan, &arguments, payer(&arguments)))?;
        return Ok(0);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| cannot_run(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(ask(&arguments, &plan, &overrides))
}

/// The quota project of the plan. Reads at most a credential file: a plan can also be made without credentials.
fn payer(arguments: &Arguments) -> render::Payer {
    if let Some(project) = &arguments.quota_project {
        return Ok(Some(project.clone()));
    }
    usual_identity(arguments)
        .map(|identity| identity.quota_project().map(str::to_owned))
        .map_err(|(message, _)| message)
}

/// Sends the requests and prints the report.
async fn ask(
    arguments: &Arguments,
    plan: &Plan,
    overrides: &EndpointOverrides,
) -> Result<u8, Failure> {
    let mut client = client(arguments)?;
    // An interruption must not lose the answers about an operation that is already cancelled.
    let stop = stop_on_signals().map_err(cannot_run)?;
    let report = run(arguments, plan, &mut client, &stop, |row| {
        if let Some(observed) = &row.observed {
            eprintln!("{}: {}: {}", row.id, row.verdict.words(), observed.short());
        }
    });
    let report = report.await.map_err(cannot_run)?;
    let printed = if arguments.redacts() {
        let redactor = Redactor::new(arguments, plan, &report, overrides);
        redactor.report(&report).map_err(cannot_run)?
    } else {
        report.clone()
    };
    print(&render::report(&printed, arguments.output))?;
    if stop.is_cancelled() {
        return Err(cannot_run("interrupted".to_owned()));
    }
    Ok(report.exit_code())
}

fn client(arguments: &Arguments) -> Result<PacedClient, Failure> {
    let override_roots = arguments
        .connections
        .override_roots()
        .map_err(|e| (e, USAGE))?;
    let usual = usual_identity(arguments)?;
    let service = arguments.service_row().map_err(|e| (e, USAGE))?;
    let narrow = identity(arguments, service.narrow_scope.unwrap_or(CLOUD_PLATFORM))?;
    let config = ClientConfig {
        quota_project: arguments
            .quota_project
            .clone()
            .or_else(|| usual.quota_project().map(str::to_owned)),
        override_roots,
        https_proxy: arguments
            .connections
            .proxy()
            .map_err(|e| (e.to_string(), USAGE))?,
        ..ClientConfig::default()
    };
    let run = random_name::uuid().map_err(cannot_run)?;
    PacedClient::new(config, Identities { usual, narrow }, run, arguments.pace)
        .map_err(|error| (error.to_string(), USAGE))
}

/// The identity that the controller would use.
fn usual_identity(arguments: &Arguments) -> Result<OperatorIdentity, Failure> {
    identity(arguments, CLOUD_PLATFORM)
}

fn identity(arguments: &Arguments, scope: &str) -> Result<OperatorIdentity, Failure> {
    let mut environment = Environment::of_process();
    if let Some(file) = &arguments.credentials {
        environment.credentials_file = Some(file.clone());
    }
    let config = IdentityConfig {
        environment,
        expect_principal: arguments.expect_principal.clone(),
        https_proxy: arguments
            .connections
            .proxy()
            .map_err(|e| (e.to_string(), USAGE))?,
        scopes: vec![scope.to_owned()],
        universe_domain: arguments.connections.universe_domain.clone(),
        ..IdentityConfig::default()
    };
    OperatorIdentity::new(config, FetchObserver::default())
        .map_err(|error| cannot_run(error.to_string()))
}

fn cannot_run(message: String) -> Failure {
    (message, UNANSWERED)
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| cannot_run(format!("cannot print the report: {error}")))
}
