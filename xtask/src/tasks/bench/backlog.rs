//! `bench backlog`: memory with operations that never end, and what they do to a new cancel.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::baseline::IN_FLIGHT;
use super::environment::Environment;
use super::figures;
use super::load;
use super::phases;

/// New cancels a second.
const RATE: u32 = 20;

/// How long all operations of the backlog may take to be cancelled: each needs three status writes' time.
fn limit(pending: usize) -> Duration {
    super::PATIENCE + Duration::from_millis(30) * u32::try_from(pending).unwrap_or(u32::MAX)
}

/// Measures and prints.
pub(super) fn measure(environment: &mut Environment, pending: usize, objects: usize) -> Result<()> {
    environment.start_controller()?;
    phases::paced(environment, "fast-warm", 40, RATE)?;
    let without = phases::paced(environment, "fast-without", objects, RATE)?;
    let idle = environment.metrics()?;

    let begun = Instant::now();
    let names = (0..pending).map(|n| format!("never-{n}")).collect();
    let each = |name| phases::create(environment.load.clone(), name);
    environment
        .runtime
        .block_on(load::at_once(names, IN_FLIGHT, each))?;
    let created = begun.elapsed();
    // All were cancelled, and nothing but polls is left.
    let polling = |metrics: &super::environment::Metrics| {
        metrics.sum("opcancel_pending{state=\"Polling\"}") >= pending as f64
            && metrics.sum("opcancel_queue_depth{") == 0.0
    };
    let full = environment.wait(limit(pending), polling)?;
    let filled = begun.elapsed();

    let (used, second) = (environment.processor()?, Instant::now());
    let with = phases::paced(environment, "fast-with", objects, RATE)?;
    let last = environment.metrics()?;
    let busy = environment.processor()?.since(&used).controller / second.elapsed().as_secs_f64();

    println!(
        "\n{pending} operations that never end: created in {:.0} s, all cancelled and polled after {:.0} s",
        created.as_secs_f64(),
        filled.as_secs_f64()
    );
    figures::head(&["", "without", "with the backlog"]);
    println!(
        "| resident memory, MiB | {:.1} | {:.1} |",
        idle.resident(),
        last.resident()
    );
    let (none, all) = (without.to_cancel(), with.to_cancel());
    println!(
        "| new cancel, p50 ms | {:.2} | {:.2} |",
        none.p50(),
        all.p50()
    );
    println!(
        "| new cancel, p99 ms | {:.2} | {:.2} |",
        none.p99(),
        all.p99()
    );
    println!("| share of one processor | | {busy:.2} |");
    figures::head(&["", "measured", "goal", ""]);
    let memory = full.resident().max(last.resident());
    figures::judged(
        "resident memory with the backlog",
        memory,
        " MiB",
        false,
        32.0,
    );
    figures::judged(
        "p99 of a new cancel, with / without backlog",
        all.p99() / none.p99(),
        " x",
        false,
        2.0,
    );
    without.print("without");
    with.print("with the backlog");
    Ok(())
}
