//! `bench start`: how soon after its creation an object's cancel request leaves.

use anyhow::Result;

use super::baseline::Baseline;
use super::environment::Environment;
use super::figures::{self, Spread};
use super::phases::{self, Lives};

/// Objects before the first row, so that connections are open and caches warm.
const WARM_UP: usize = 40;

/// Measures and prints.
pub(super) fn measure(environment: &mut Environment, objects: usize, rate: u32) -> Result<()> {
    let baseline = environment
        .runtime
        .block_on(Baseline::create(&environment.load, objects))?;
    environment.start_controller()?;
    phases::paced(environment, "fast-warm", WARM_UP, rate)?;
    environment
        .runtime
        .block_on(baseline.patches(WARM_UP, rate))?;
    let before = environment
        .runtime
        .block_on(baseline.patches(objects, rate))?;
    let fast = phases::paced(environment, "fast-row", objects, rate)?;
    let slow = phases::paced(environment, "slow-row", objects, rate)?;
    // Timers are late by up to 2 ms; what counts is what Google would have taken.
    let latency = environment.latency("slow-row-0")?;
    let after = environment
        .runtime
        .block_on(baseline.patches(objects, rate))?;

    println!("\n{objects} objects in each row, {rate} a second");
    figures::head(&["", "p50 ms", "p99 ms"]);
    before.row("PATCH of a status by the API server alone, before");
    after.row("PATCH of a status by the API server alone, after");
    fast.to_cancel()
        .row("from creation to the POST at Google: no latency");
    slow.to_cancel()
        .row("from creation to the POST at Google: 100 ms latency");

    figures::head(&["", "measured", "goal", ""]);
    judge("no latency", &fast, 0.0, &before, &after);
    judge(
        &format!("100 ms, less {latency:.1} ms"),
        &slow,
        latency,
        &before,
        &after,
    );
    fast.print("no latency");
    slow.print("100 ms");
    Ok(())
}

fn judge(what: &str, lives: &Lives, latency: f64, before: &Spread, after: &Spread) {
    let cancel = lives.to_cancel();
    let p50 = (cancel.p50() - latency) / f64::midpoint(before.p50(), after.p50());
    let p99 = (cancel.p99() - latency) / f64::midpoint(before.p99(), after.p99());
    figures::judged(&format!("{what}: p50 / PATCH"), p50, " x", false, 1.0);
    figures::judged(&format!("{what}: p99 / PATCH"), p99, " x", false, 1.5);
}
