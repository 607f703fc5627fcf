//! `cargo xtask bench`: how fast a cancel leaves, how many end in a second, and what a backlog costs, each next to what
//! the same API server does without the controller in the same run: only such ratios mean something on another machine.

mod answers;
mod backlog;
mod baseline;
mod dead_endpoint;
mod environment;
mod failover;
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

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measure the controller on a real API server, compared with that server alone.
///
/// Builds everything with the release profile, and starts it on loopback addresses. The load comes from a ServiceAccount,
/// so API Priority and Fairness treats it like any other client. Prints the figures next to their goals, and does not fail if
/// a goal is missed. The figures are reliable only on an otherwise idle machine; the load average is printed too.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Subcommand)]
enum What {
    /// Time from the creation of an object to its cancel request, compared with one status write. About a minute
    Start {
        /// Number of objects in each row
        #[arg(long, default_value_t = 200)]
        objects: usize,
        /// Objects per second
        #[arg(long, default_value_t = 20)]
        rate: u32,
    },
    /// Finished cancellations per second when all are created at once, compared with status writes alone. About a minute
    Throughput {
        /// Number of objects
        #[arg(long, default_value_t = 2000)]
        objects: usize,
    },
    /// Memory with a backlog of operations that never end, and the effect on a new cancel. Several minutes
    Backlog {
        /// Number of operations that never end
        #[arg(long, default_value_t = 20_000)]
        pending: usize,
        /// Number of new objects to measure with the backlog, and the same number without
        #[arg(long, default_value_t = 200)]
        objects: usize,
    },
    /// Many large answers of finished operations at once: memory, and the effect on a new cancel. About a minute
    Answers {
        /// Number of large answers
        #[arg(long, default_value_t = 64)]
        large: usize,
        /// Number of new objects to measure with them, and the same number without
        #[arg(long, default_value_t = 100)]
        objects: usize,
    },
    /// Time without a cancel request when the leader of two controllers ends or is killed, while new objects come. About four minutes
    Failover {
        /// How often each end is measured
        #[arg(long, default_value_t = 5)]
        repetitions: usize,
    },
    /// The effect of an endpoint that never answers, with half of all operations, on a new cancel elsewhere. Several minutes
    DeadEndpoint {
        /// Number of operations, half of them at the dead endpoint
        #[arg(long, default_value_t = 20_000)]
        pending: usize,
        /// Number of new objects to measure with the dead half, and the same number without
        #[arg(long, default_value_t = 200)]
        objects: usize,
    },
    /// The effect of bad neighbours on a new cancel of another tenant, compared with that tenant alone, and beside as many objects of a
    /// kind that the controller does not watch. About a quarter of an hour
    Neighbours {
        /// Number of new objects to measure with each neighbour, and the same number without
        #[arg(long, default_value_t = 200)]
        objects: usize,
        /// Only neighbours whose name has this text
        #[arg(long, value_name = "TEXT")]
        neighbour: Option<String>,
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
        What::Failover { repetitions } => failover::measure(&environment, repetitions),
        What::DeadEndpoint { pending, objects } => {
            dead_endpoint::measure(&mut environment, pending, objects)
        }
        What::Neighbours { objects, neighbour } => {
            neighbours::measure(&mut environment, objects, neighbour.as_deref())
        }
    };
    if measured.is_err() {
        eprintln!("{}", environment.controller_log());
    }
    machine.print();
    measured?;
    environment.stop()
}
