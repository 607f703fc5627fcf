//! `cargo xtask bench`: how fast a cancel leaves, how many end in a second, and what a backlog costs, each next to what
//! the same API server does without the controller in the same run: only such ratios mean something on another machine.

mod answers;
mod backlog;
mod baseline;
mod environment;
mod figures;
mod load;
mod neighbours;
mod phases;
mod start;
mod throughput;

use std::env;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::cargo::{self, Programs};
use super::interrupt::Interrupt;
use environment::Environment;
use figures::Machine;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measure the controller on a real API server, next to that server alone.
///
/// Builds everything with the release profile, and starts it on loopback addresses. The load comes from a ServiceAccount,
/// so API Priority and Fairness treats it as any other client. Nothing is asserted: the figures are printed beside their
/// goals. On a machine that does something else too they say little; the load average is printed with them.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Copy, Subcommand)]
enum What {
    /// From an object's creation to its cancel request, next to one status write. About a minute
    Start {
        /// How many objects in each of the rows
        #[arg(long, default_value_t = 200)]
        objects: usize,
        /// How many of them a second
        #[arg(long, default_value_t = 20)]
        rate: u32,
    },
    /// Cancels that end in a second when all come at once, next to status writes alone. About a minute
    Throughput {
        /// How many objects
        #[arg(long, default_value_t = 2000)]
        objects: usize,
    },
    /// Memory with a backlog of operations that never end, and what it does to a new cancel. Several minutes
    Backlog {
        /// How many operations never end
        #[arg(long, default_value_t = 20_000)]
        pending: usize,
        /// How many new objects are measured with the backlog, and as many without
        #[arg(long, default_value_t = 200)]
        objects: usize,
    },
    /// Large answers of finished operations, all at once: memory, and what they do to a new cancel. About a minute
    Answers {
        /// How many large answers
        #[arg(long, default_value_t = 64)]
        large: usize,
        /// How many new objects are measured beside them, and as many without
        #[arg(long, default_value_t = 100)]
        objects: usize,
    },
    /// What bad neighbours do to a quiet tenant's new cancel, next to the same tenant alone. About five minutes
    Neighbours {
        /// How many new objects are measured beside each, and as many without
        #[arg(long, default_value_t = 200)]
        objects: usize,
    },
}

/// Runs the task.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let programs = Programs::build_release()?;
    if cfg!(debug_assertions) {
        // The load must not be slower than what it measures.
        let mut command = Command::new(programs.path("xtask")?);
        return cargo::run(command.args(env::args_os().skip(1)));
    }
    let interrupt = Interrupt::watch()?;
    let machine = Machine::before();
    let mut environment = Environment::start(&programs, interrupt)?;
    let measured = match arguments.what {
        What::Start { objects, rate } => start::measure(&mut environment, objects, rate),
        What::Throughput { objects } => throughput::measure(&mut environment, objects),
        What::Backlog { pending, objects } => backlog::measure(&mut environment, pending, objects),
        What::Answers { large, objects } => answers::measure(&mut environment, large, objects),
        What::Neighbours { objects } => neighbours::measure(&mut environment, objects),
    };
    if measured.is_err() {
        eprintln!("{}", environment.controller_log());
    }
    machine.print();
    measured?;
    environment.stop()
}
