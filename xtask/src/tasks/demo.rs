//! `cargo xtask demo`: cancellations with every outcome on a real API server, watched as they happen.

mod environment;
mod examples;
mod state;
mod table;
mod watch;

use std::sync::mpsc::RecvTimeoutError;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use super::cargo;
use super::interrupt::Interrupt;
use super::stand_ins::EMULATOR;
use environment::Environment;
use examples::Examples;
use table::{LiveTable, Row};
use watch::Watch;

/// The slowest example is refused once and asked again after 30 s.
const LIMIT: Duration = Duration::from_secs(120);

/// How often ages are redrawn and the processes looked at.
const TICK: Duration = Duration::from_millis(250);

/// Watch cancellations with every outcome, on a real API server, with an emulator instead of Google.
///
/// Builds and starts everything on loopback addresses, applies the files in examples/ with kubectl,
/// and shows the objects until each is finished or in its expected state: less than a minute after
/// the build (which takes about 8 minutes for the control plane, once). Then it stops everything.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Fail unless every object ends as its file says.
    #[arg(long, conflicts_with = "keep")]
    once: bool,

    /// Keep everything running until Ctrl-C, for your own kubectl.
    #[arg(long)]
    keep: bool,

    /// Delay of each answer of the emulator.
    #[arg(long, value_name = "DURATION", default_value = "100ms")]
    latency: String,
}

impl Arguments {
    /// What `cargo xtask test` runs.
    pub(crate) fn once() -> Self {
        Self {
            once: true,
            keep: false,
            latency: "100ms".to_owned(),
        }
    }
}

/// Runs the task.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let interrupt = Interrupt::watch()?;
    let examples = Examples::read(&cargo::root().join("examples"))?;
    let environment = Environment::start(&arguments.latency, &interrupt)?;
    println!(
        "{:10}{EMULATOR}'s log: {}",
        "",
        environment.control_plane.log_file(EMULATOR).display()
    );
    let shown = show(&environment, &examples, &interrupt);
    interrupt.check()?;
    let rows = shown?;
    let verdict = judge(&rows);
    match &verdict {
        Ok(()) => println!("\nAll {} ended as their files say.", rows.len()),
        // Its log goes with it.
        Err(_) => eprintln!("\n{}", environment.controller_log()?),
    }
    if arguments.keep {
        if let Err(error) = verdict {
            eprintln!("{error}");
        }
        print_commands(&environment);
        println!("\nPress Ctrl-C to stop everything.");
        stay(&environment, &interrupt)?;
        eprintln!("demo: stopping");
        return environment.stop();
    }
    environment.stop()?;
    match verdict {
        Err(error) if !arguments.once => eprintln!("{error}"),
        verdict => verdict?,
    }
    if !arguments.once {
        println!("To inspect it with your own kubectl: cargo xtask demo --keep");
    }
    Ok(())
}

/// Applies the examples and shows them until all are settled; returns how they ended.
fn show(environment: &Environment, examples: &Examples, interrupt: &Interrupt) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = examples.cancellations.iter().map(Row::new).collect();
    let mut table = LiveTable::new();
    // Before the objects are there, so that nothing is missed.
    let watch = Watch::start(&environment.control_plane)?;
    println!("\n$ kubectl apply -f examples/ -f examples/services/");
    std::thread::scope(|scope| {
        let apply = scope.spawn(|| environment.control_plane.apply_files(&examples.files));
        follow(
            &mut rows,
            &mut table,
            environment,
            &watch,
            Applying(Some(apply)),
            interrupt,
        )
    })?;
    let calls = environment.calls()?;
    for row in &mut rows {
        let counts = calls.get(&row.example.operation);
        row.calls = counts.map_or_else(|| "none".to_owned(), Clone::clone);
    }
    table.finish(&rows);
    Ok(rows)
}

/// Shows every change until all rows are settled, or for as long as that may take.
fn follow(
    rows: &mut [Row],
    table: &mut LiveTable,
    environment: &Environment,
    watch: &Watch,
    mut applying: Applying<'_>,
    interrupt: &Interrupt,
) -> Result<()> {
    let start = Instant::now();
    while !rows.iter().all(Row::is_settled) && start.elapsed() < LIMIT {
        match watch.changes.recv_timeout(TICK) {
            Ok(change) => {
                let mut all = rows.iter_mut();
                if let Some(row) = all.find(|row| row.example.key == change.key)
                    && row.state != change.state
                {
                    row.state = change.state;
                    table.changed(row);
                }
            }
            Err(RecvTimeoutError::Timeout) => environment.check()?,
            Err(RecvTimeoutError::Disconnected) => {
                interrupt.check()?;
                environment.check()?;
                bail!("kubectl's watch has ended");
            }
        }
        interrupt.check()?;
        applying.check()?;
        table.redraw(rows);
    }
    Ok(())
}

/// The thread that applies the examples, until it was heard.
struct Applying<'a>(Option<ScopedJoinHandle<'a, Result<String>>>);

impl Applying<'_> {
    /// Fails if the files could not be applied.
    fn check(&mut self) -> Result<()> {
        match self
            .0
            .take_if(|apply| apply.is_finished())
            .map(ScopedJoinHandle::join)
        {
            None | Some(Ok(Ok(_))) => Ok(()),
            Some(Ok(Err(error))) => Err(error),
            Some(Err(_)) => bail!("applying the examples panicked"),
        }
    }
}

/// Fails, naming them, if some did not end as their files say.
fn judge(rows: &[Row]) -> Result<()> {
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| row.state.ends_as() != row.example.ends_as)
        .map(|row| {
            let (example, state) = (&row.example, &row.state);
            format!(
                "\n  {}: should be {}, is {} (examples/{})",
                example.key.name,
                example.ends_as,
                state.ends_as(),
                example.file
            )
        })
        .collect();
    if rows.is_empty() {
        bail!("there are no examples");
    }
    if !wrong.is_empty() {
        bail!(
            "{} of {} did not end as their files say:{}",
            wrong.len(),
            rows.len(),
            wrong.concat()
        );
    }
    Ok(())
}

/// What one can do while everything is up.
fn print_commands(environment: &Environment) {
    let Environment {
        control_plane,
        admin,
        ..
    } = environment;
    println!(
        "
Use your own kubectl, or {kubectl}:
  export KUBECONFIG={kubeconfig}

Inspect:
  kubectl get opcancel -A -o wide
  kubectl -n opcancel-system logs deployment/opcancel-controller --all-pods
  kubectl -n opcancel-system get lease     # which of the two Pods works
  kubectl -n contact-center describe opcancel refused-then-taken
  kubectl -n contact-center describe opcancel stop-node-pool-upgrade     # an operation of GKE
  kubectl -n contact-center get events.events.k8s.io
  kubectl -n contact-center wait opcancel/cancelled-slowly --for=condition=Finished
  kubectl explain operationcancellation.spec
  curl http://{admin}/metrics
  curl {emulator}/admin/requests     # the requests that Google would get

Watch the operations live, and end them, in a browser:
  {emulator}/

Change something:
  kubectl -n contact-center patch opcancel suspended --type=merge -p '{{\"spec\":{{\"suspend\":false}}}}'
  kubectl patch cancellationgrant contact-center --type=json -p '[{{\"op\":\"add\",\"path\":\"/spec/projects/-\",\"value\":\"acme-staging\"}}]'",
        kubectl = control_plane.kubectl().display(),
        kubeconfig = control_plane.kubeconfig().display(),
        emulator = environment.emulator_admin(),
    );
}

/// Returns at Ctrl-C; fails if something ends before.
fn stay(environment: &Environment, interrupt: &Interrupt) -> Result<()> {
    while !interrupt.came() {
        std::thread::sleep(TICK);
        if !interrupt.came() {
            environment.check()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use examples::{Example, Key};
    use state::State;

    fn row(name: &str, ends_as: &str, outcome: &str) -> Row {
        let mut row = Row::new(&Example {
            key: Key {
                namespace: "n".to_owned(),
                name: name.to_owned(),
            },
            service: "dialogflow".to_owned(),
            operation: "projects/p/operations/o".to_owned(),
            ends_as: ends_as.to_owned(),
            file: format!("{name}.yaml"),
        });
        row.state = State::of(&json!({"status": {"outcome": outcome}}));
        row
    }

    #[test]
    fn what_did_not_end_as_its_file_says_is_named() {
        let good = row("good", "Failed", "Failed");
        assert!(judge(std::slice::from_ref(&good)).is_ok());
        let error = judge(&[good, row("bad", "Cancelled", "Completed")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("bad: should be Cancelled, is Completed (examples/bad.yaml)"),
            "{error}"
        );
        assert!(!error.contains("good"), "{error}");
        assert!(judge(&[]).is_err(), "no examples prove nothing");
    }
}
