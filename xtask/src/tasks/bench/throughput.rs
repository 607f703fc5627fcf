//! `bench throughput`: how many cancels end in a second when all come at once.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::baseline::{Baseline, IN_FLIGHT, Verb};
use super::environment::{Environment, Processor};
use super::figures::{self, seconds};
use super::load;
use super::phases::{self, Lives};

/// Measures and prints.
pub(super) fn measure(environment: &mut Environment, objects: usize) -> Result<()> {
    let baseline = environment
        .runtime
        .block_on(Baseline::create(&environment.load, IN_FLIGHT))?;
    environment.start_controller()?;
    phases::paced(environment, "fast-warm", 40, 20)?;
    let writes = objects.max(IN_FLIGHT);
    let rate = |environment: &Environment, verb, count| {
        environment.runtime.block_on(baseline.rate(verb, count))
    };
    // Once for nothing: the first writes are slower.
    rate(environment, Verb::Put, writes / 4)?;
    let begun = environment.processor()?;
    let before = rate(environment, Verb::Put, writes)?;
    let a_put = environment.processor()?.since(&begun);
    let patches = rate(environment, Verb::Patch, writes)?;

    let idle = environment.metrics()?;
    let unused = environment.processor()?;
    let mark = environment.mark()?;
    let names = (0..objects).map(|n| format!("fast-{n}")).collect();
    let begun = figures::now();
    let each = |name| phases::create(environment.load.clone(), name);
    let created = environment
        .runtime
        .block_on(load::at_once(names, IN_FLIGHT, each))?;
    let all_created = figures::now();
    let used = environment.processor()?;
    environment.wait(super::PATIENCE, |metrics| {
        metrics.ended() - idle.ended() >= objects as f64
    })?;
    let last_used = environment.processor()?;
    let (all, rest) = (last_used.since(&unused), last_used.since(&used));
    let lives = Lives::read(environment, &mark, created, &BTreeMap::new())?;
    let last = lives
        .last_end()
        .context("an outcome is not in the audit log")?;
    let after = rate(environment, Verb::Put, writes)?;

    let whole = objects as f64 / seconds(last - begun);
    let written = lives.writes_after(all_created) as f64 / 2.0;
    let later = written / seconds(last - all_created);
    let puts = f64::midpoint(before, after);
    println!(
        "\n{objects} objects created at once: by {IN_FLIGHT} requests at a time, in {:.1} s; all ended after {:.1} s",
        seconds(all_created - begun),
        seconds(last - begun)
    );
    figures::head(&["", "per second"]);
    println!(
        "| PUTs of a status by the API server alone, {IN_FLIGHT} in flight, before | {before:.0} |"
    );
    println!(
        "| PUTs of a status by the API server alone, {IN_FLIGHT} in flight, after | {after:.0} |"
    );
    println!("| merge patches by the API server alone, as the controller writes | {patches:.0} |");
    println!("| cancellations, from the first creation | {whole:.0} |");
    println!("| cancellations, after the last creation (two writes each) | {later:.0} |");
    figures::head(&["", "measured", "goal", ""]);
    let cancels = |what: &str, ratio: f64| figures::judged(what, ratio, " x", true, 0.95);
    cancels(
        "cancellations / (PUTs / 2), after the last creation",
        later / (puts / 2.0),
    );
    cancels(
        "cancellations / (PUTs / 3), from the first creation, which is a write too",
        whole / (puts / 3.0),
    );
    println!(
        "| cancellations / (merge patches / 2), after the last creation | {:.2} x | | |",
        later / (patches / 2.0)
    );
    let cpu = all.controller * 1000.0 / objects as f64;
    figures::judged(
        "processor time of the controller for a cancellation",
        cpu,
        " ms",
        false,
        0.6,
    );
    let put = |seconds: f64| seconds * 1000.0 / writes as f64;
    let cancel = |seconds: f64| seconds * 1000.0 / written;
    shares(&a_put, put, &rest, cancel);
    lives.print("at once");
    Ok(())
}

/// Who uses the processors: with all of them busy, this is where the time goes.
fn shares(
    a_put: &Processor,
    put: impl Fn(f64) -> f64,
    rest: &Processor,
    cancel: impl Fn(f64) -> f64,
) {
    figures::head(&[
        "processor time, ms",
        "a PUT",
        "a cancellation, after the last creation",
    ]);
    let rows = [
        ("kube-apiserver", a_put.api_server, rest.api_server),
        ("etcd", a_put.etcd, rest.etcd),
        ("operations-emulator", a_put.emulator, rest.emulator),
        ("opcancel-controller", a_put.controller, rest.controller),
    ];
    for (name, one, other) in rows {
        println!("| {name} | {:.2} | {:.2} |", put(one), cancel(other));
    }
}
