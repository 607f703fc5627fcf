//! `bench answers`: finished operations whose answers are large, all at once: memory, and what they do to a new cancel.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

use super::bare::IN_FLIGHT;
use super::figures;
use super::load;
use super::phases::{self, Lives};
use super::stage::{LARGE, Stage};

/// New cancels a second.
const RATE: u32 = 20;

/// How long all may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Measures and prints.
pub(super) fn measure(stage: &mut Stage, large: usize, objects: usize) -> Result<()> {
    stage.start_controller()?;
    phases::paced(stage, "fast-warm", 40, RATE)?;
    let without = phases::paced(stage, "fast-without", objects, RATE)?;
    let idle = stage.metrics()?;

    let mark = stage.mark()?;
    let names = |prefix: &str, count: usize| (0..count).map(|n| format!("{prefix}-{n}")).collect();
    let begun = figures::now();
    let (large_ones, small_ones) = stage.runtime.block_on(async {
        let each = |name| phases::create(stage.load.clone(), name);
        let large_ones = load::at_once(names("large", large), IN_FLIGHT, each).await?;
        let small_ones = load::paced(names("fast-with", objects), RATE, each).await?;
        anyhow::Ok((large_ones, small_ones))
    })?;
    // The kernel's own high-water mark misses nothing; what is asked for now and then does.
    let highest = Cell::new(0.0_f64);
    let all = idle.ended() + (large + objects) as f64;
    stage.wait(LIMIT, |metrics| {
        highest.set(highest.get().max(metrics.resident()));
        metrics.ended() >= all
    })?;
    let last = Lives::read(stage, &mark, large_ones, &BTreeMap::new())?
        .last_end()
        .context("a large answer without an outcome")?;
    let with = Lives::read(stage, &mark, small_ones, &BTreeMap::new())?;

    let (none, beside) = (without.to_cancel(), with.to_cancel());
    println!(
        "\n{large} answers of {} MiB: all ended {:.1} s after the first was created",
        LARGE >> 20,
        (last - begun) as f64 / 1e6
    );
    figures::head(&["", "without", "beside them"]);
    println!(
        "| resident memory, MiB | {:.1} | {:.1} |",
        idle.resident(),
        highest.get()
    );
    println!(
        "| new cancel, p50 ms | {:.2} | {:.2} |",
        none.p50(),
        beside.p50()
    );
    println!(
        "| new cancel, p99 ms | {:.2} | {:.2} |",
        none.p99(),
        beside.p99()
    );
    figures::head(&["", "measured", "goal", ""]);
    let more = highest.get() - idle.resident();
    figures::judged("more resident memory", more, " MiB", false, 130.0);
    let ratio = beside.p99() / none.p99();
    figures::judged(
        "p99 of a new cancel, beside / without",
        ratio,
        " x",
        false,
        2.0,
    );
    with.print("beside them");
    Ok(())
}
