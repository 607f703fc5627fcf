//! `bench throughput`: how many cancels end in a second when all come at once.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::bare::{Bare, IN_FLIGHT};
use super::figures;
use super::load;
use super::phases::{self, Lives};
use super::stage::Stage;

/// Measures and prints.
pub(super) fn measure(stage: &mut Stage, objects: usize) -> Result<()> {
    let bare = stage
        .runtime
        .block_on(Bare::create(&stage.load, IN_FLIGHT))?;
    stage.start_controller()?;
    phases::paced(stage, "fast-warm", 40, 20)?;
    let writes = objects.max(IN_FLIGHT);
    // Once for nothing: the first writes are slower.
    stage.runtime.block_on(bare.put_rate(writes / 4))?;
    let before = stage.runtime.block_on(bare.put_rate(writes))?;

    let idle = stage.metrics()?;
    let mark = stage.mark()?;
    let names = (0..objects).map(|n| format!("fast-{n}")).collect();
    let begun = figures::now();
    let each = |name| phases::create(stage.load.clone(), name);
    let created = stage
        .runtime
        .block_on(load::at_once(names, IN_FLIGHT, each))?;
    let all_created = figures::now();
    let ended = stage.wait(super::PATIENCE, |metrics| {
        metrics.ended() - idle.ended() >= objects as f64
    })?;
    let lives = Lives::read(stage, &mark, created, &BTreeMap::new())?;
    let last = lives
        .last_end()
        .context("an outcome is not in the audit log")?;
    let after = stage.runtime.block_on(bare.put_rate(writes))?;

    let seconds = |micros: i64| micros as f64 / 1e6;
    let whole = objects as f64 / seconds(last - begun);
    let rest = lives.ended_after(all_created) as f64 / seconds(last - all_created);
    let alone = f64::midpoint(before, after) / 2.0;
    println!(
        "\n{objects} objects created at once: by {IN_FLIGHT} requests at a time, in {:.1} s; all ended after {:.1} s",
        seconds(all_created - begun),
        seconds(last - begun)
    );
    figures::head(&["", "a second"]);
    println!("| bare PUTs of a status, {IN_FLIGHT} in flight, before | {before:.0} |");
    println!("| bare PUTs of a status, {IN_FLIGHT} in flight, after | {after:.0} |");
    println!("| cancels ended, from the first creation on | {whole:.0} |");
    println!("| cancels ended, once all were created | {rest:.0} |");
    figures::head(&["", "measured", "goal", ""]);
    figures::judged(
        "cancels / (PUTs / 2), from the first creation on",
        whole / alone,
        " x",
        true,
        0.95,
    );
    figures::judged(
        "cancels / (PUTs / 2), once all were created",
        rest / alone,
        " x",
        true,
        0.95,
    );
    let cpu = (ended.cpu() - idle.cpu()) * 1000.0 / objects as f64;
    figures::judged(
        "the controller's processor time for a cancel",
        cpu,
        " ms",
        false,
        0.6,
    );
    lives.print("at once");
    Ok(())
}
