//! `cargo xtask soak`: real processes under random faults, and the guarantees of docs/guarantees.md checked all along.

mod claim;
mod controller;
mod environment;
mod fault;
mod growth;
mod inject;
mod invariants;
mod observer;
mod operations;
mod plan;
mod records;
mod session;
mod summary;
mod tenant;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::SignedDuration;

use super::cargo::Programs;
use super::interrupt::Interrupt;
use environment::{CONTROLLERS, Environment};
use plan::Plan;
use session::Session;
use summary::Summary;

/// The controllers' `--not-found-after`: five minutes would outlast a soak.
const NOT_FOUND_AFTER: SignedDuration = SignedDuration::from_secs(3);

/// The soak of `cargo xtask test`, and that of `--long`.
const SEED_OF_TESTS: u64 = 15;
const DURATION_OF_TESTS: SignedDuration = SignedDuration::from_secs(12);
const DURATION_OF_LONG_TESTS: SignedDuration = SignedDuration::from_mins(10);

/// Run the controller under random faults, and check the guarantees of docs/guarantees.md all along.
///
/// Starts the API server, etcd, the emulator and the controller on loopback addresses. Objects are created, suspended, edited, deleted
/// and created again, and grants come and go. Processes are killed, paused and restarted, connections are reset and silenced, and the
/// emulator gives wrong answers. Then the faults stop: every object must finish, and the controller must become quiet. Fails if a
/// guarantee was broken, with the lines of the records that show it.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How long faults are injected, for example 30s, 5m or 2h
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = duration)]
    duration: SignedDuration,

    /// Decides what is done and when. Without it, a new one is drawn and printed
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

impl Arguments {
    /// The soak of `cargo xtask test`.
    pub(crate) const fn of_tests() -> Self {
        Self {
            duration: DURATION_OF_TESTS,
            seed: Some(SEED_OF_TESTS),
        }
    }

    /// The soak of `cargo xtask test --long`, with a new seed each time.
    pub(crate) const fn of_long_tests() -> Self {
        Self {
            duration: DURATION_OF_LONG_TESTS,
            seed: None,
        }
    }
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    let duration: SignedDuration = text
        .parse()
        .map_err(|_| format!("invalid duration `{text}`; use for example 30s, 5m or 2h"))?;
    if duration < SignedDuration::from_secs(5) {
        return Err("must be at least 5s".to_owned());
    }
    Ok(duration)
}

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let programs = Programs::build()?;
    let interrupt = Interrupt::watch()?;
    let seed = arguments
        .seed
        .unwrap_or_else(|| u64::from(fastrand::u32(..)));
    let command = format!(
        "cargo xtask soak --duration={:#} --seed={seed}",
        arguments.duration
    );
    eprintln!("{command}");
    let plan = Plan::new(seed, Duration::try_from(arguments.duration)?, CONTROLLERS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let folder = tempfile::Builder::new()
        .prefix("opcancel-soak-")
        .tempdir()?
        .keep();
    let logs = format!("logs, audit log and kubeconfigs: {}", folder.display());
    let soaked = runtime.block_on(soak(&programs, &interrupt, &plan, folder.clone()));
    let summary = soaked.with_context(|| format!("{command}\n{logs}"))?;
    summary.print();
    if let Some(failure) = summary.failure() {
        bail!("{failure}\nrepeat it with: {command}\n{logs}");
    }
    fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn soak(
    programs: &Programs,
    interrupt: &Interrupt,
    plan: &Plan,
    folder: PathBuf,
) -> Result<Summary> {
    let environment = Environment::start(programs, folder, plan, interrupt).await?;
    let summary = Session::begin(&environment, plan, interrupt)?.run().await;
    environment.stop()?;
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_a_lower_limit() {
        assert_eq!(duration("5m"), Ok(SignedDuration::from_mins(5)));
        assert_eq!(duration("2h"), Ok(SignedDuration::from_hours(2)));
        assert!(duration("5").unwrap_err().contains("30s, 5m or 2h"));
        assert!(duration("1s").unwrap_err().contains("at least"));
    }
}
