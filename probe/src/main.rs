//! `opcancel-probe`: asks a real project's API the questions that the design answers in its table "what each answer means",
//! and shows what was expected beside what was seen. So somebody with a Google project can tell where the design, or the
//! emulator that the tests stand on, is wrong.
//!
//! Guarantees: what is sent is known before ([`plan`]), bounded, and paced; without a flag that says so only GETs are
//! sent; a cancel is sent by one function only, which wants a [`permit::MayCancel`]; a row is never tried twice; what
//! comes from outside was cut and cleaned by `google`, and no token is ever shown.
//!
//! Caveat: what it asks is charged to the caller's quota and stands in the project's audit log, under
//! `opcancel - opcancel-probe/ROW RUN`.

mod arguments;
mod end;
mod form;
mod fresh;
mod permit;
mod plan;
mod redact;
mod render;
mod report;
mod rows;
mod run;
mod seen;
mod set_up;
mod wire;

use std::{io::Write, path::Path, process::ExitCode};

use clap::Parser;
use opcancel::{
    google::{
        catalogue::Service,
        client::ClientConfig,
        endpoint::EndpointOverrides,
        identity::{Environment, IdentityConfig, OperatorIdentity},
        tls,
        token::FetchObserver,
    },
    stop_signals::stop_on_signals,
};

use arguments::Arguments;
use plan::Plan;
use redact::Redactor;
use report::UNANSWERED;
use run::run;
use wire::{Identities, Wire};

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
    let overrides = EndpointOverrides::new(arguments.endpoint_override.iter().cloned());
    let plan = Plan::new(&arguments, &overrides).map_err(cannot_run)?;
    tls::install_provider();
    if arguments.dry_run {
        let payer = match &arguments.quota_project {
            Some(project) => Ok(Some(project.clone())),
            // Reads at most a file; a plan can also be made where there are no credentials.
            None => usual_identity(&arguments)
                .map(|identity| identity.quota_project().map(str::to_owned))
                .map_err(|(message, _)| message),
        };
        print(&render::plan(&plan, &arguments, payer))?;
        return Ok(0);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| cannot_run(format!("the runtime cannot be started: {error}")))?;
    runtime.block_on(async {
        let mut wire = wire(&arguments)?;
        // What was learnt about an operation that is cancelled by now must not be lost.
        let stop = stop_on_signals().map_err(cannot_run)?;
        let report = run(&arguments, &plan, &mut wire, &stop, |row| {
            if let Some(seen) = &row.seen {
                eprintln!("{}: {}: {}", row.id, row.verdict.words(), seen.short());
            }
        });
        let report = report.await.map_err(cannot_run)?;
        let shown = if arguments.redacts() {
            let redactor = Redactor::new(&arguments, &plan, &report, &overrides);
            redactor.report(&report).map_err(cannot_run)?
        } else {
            report.clone()
        };
        print(&render::report(&shown, arguments.output))?;
        if stop.is_cancelled() {
            return Err(cannot_run("interrupted".to_owned()));
        }
        Ok(report.exit_code())
    })
}

fn wire(arguments: &Arguments) -> Result<Wire, Failure> {
    let override_roots = match &arguments.ca_file {
        Some(path) => tls::read_ca_file(&read(path)?).map_err(|e| (e.to_string(), USAGE))?,
        None => Vec::new(),
    };
    let usual = usual_identity(arguments)?;
    let narrow = identity(arguments, |service| service.scopes.last())?;
    let config = ClientConfig {
        quota_project: arguments
            .quota_project
            .clone()
            .or_else(|| usual.quota_project().map(str::to_owned)),
        override_roots,
        ..ClientConfig::default()
    };
    let run = fresh::uuid().map_err(cannot_run)?;
    Wire::new(config, Identities { usual, narrow }, run, arguments.pace)
        .map_err(|error| (error.to_string(), USAGE))
}

/// As the controller would have it.
fn usual_identity(arguments: &Arguments) -> Result<OperatorIdentity, Failure> {
    identity(arguments, |service| service.scopes.first())
}

fn identity(
    arguments: &Arguments,
    scope: fn(&Service) -> Option<&&'static str>,
) -> Result<OperatorIdentity, Failure> {
    let service = arguments.service_row().map_err(|e| (e, USAGE))?;
    let mut environment = Environment::of_process();
    if let Some(file) = &arguments.credentials {
        environment.credentials_file = Some(file.clone());
    }
    let config = IdentityConfig {
        environment,
        expect_principal: arguments.expect_principal.clone(),
        scopes: scope(service)
            .map(ToString::to_string)
            .into_iter()
            .collect(),
        ..IdentityConfig::default()
    };
    OperatorIdentity::new(config, FetchObserver::default())
        .map_err(|error| cannot_run(error.to_string()))
}

fn cannot_run(message: String) -> Failure {
    (message, UNANSWERED)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| (format!("--ca-file {}: {error}", path.display()), USAGE))
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| cannot_run(format!("the report cannot be printed: {error}")))
}
