//! `bench answers`: finished operations whose answers are large, all at once: memory, and what they do to a new cancel.
//!
//! Objects that are created at once cost the API server time, whatever their operations' answers. So the new cancels are measured
//! alone, beside as many ordinary objects that come at once, beside the large ones when they come at once, and beside the large
//! ones while their answers are read.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::bare::IN_FLIGHT;
use super::figures;
use super::load;
use super::phases::{self, Created, Lives};
use super::stage::{LARGE, Stage};

/// New cancels a second.
const RATE: u32 = 20;

/// How long all may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Measures and prints.
pub(super) fn measure(stage: &mut Stage, large: usize, objects: usize) -> Result<()> {
    stage.start_controller()?;
    phases::paced(stage, "fast-warm", 40, RATE)?;
    let alone = phases::paced(stage, "fast-alone", objects, RATE)?;

    let mark = stage.mark()?;
    let ended = stage.metrics()?.ended();
    let (_, small) = beside(stage, "never", large, "fast-ordinary", objects)?;
    stage.wait(LIMIT, |metrics| metrics.ended() >= ended + objects as f64)?;
    let ordinary = Lives::read(stage, &mark, small, &BTreeMap::new())?;
    let idle = stage.metrics()?;

    let mark = stage.mark()?;
    let begun = figures::now();
    let (large_ones, small) = beside(stage, "large", large, "fast-coming", objects)?;
    stage.wait(LIMIT, |metrics| {
        metrics.ended() >= idle.ended() + objects as f64
    })?;
    let coming = Lives::read(stage, &mark, small, &BTreeMap::new())?;
    let before = stage.metrics()?.ended();
    let reading = phases::paced(stage, "fast-reading", objects, RATE)?;
    let over = stage.metrics()?.ended() - before - objects as f64;
    ensure!(
        over < large as f64 / 2.0,
        "half of the large answers were read before the measurement ended: give more of them"
    );
    // The kernel's own high-water mark misses nothing; what is asked for now and then does.
    let highest = Cell::new(0.0_f64);
    let all = idle.ended() + (large + 2 * objects) as f64;
    stage.wait(LIMIT, |metrics| {
        highest.set(highest.get().max(metrics.resident()));
        metrics.ended() >= all
    })?;
    let last = Lives::read(stage, &mark, large_ones, &BTreeMap::new())?
        .last_end()
        .context("a large answer without an outcome")?;

    println!(
        "\n{large} answers of {} MiB: all ended {:.1} s after the first was created",
        LARGE >> 20,
        figures::seconds(last - begun)
    );
    println!(
        "resident memory: {:.1} MiB before, {:.1} MiB at most",
        idle.resident(),
        highest.get()
    );
    let rows = [
        ("alone", &alone),
        ("beside ordinary ones that come at once", &ordinary),
        ("beside large ones that come at once", &coming),
        ("beside large ones while they are read", &reading),
    ];
    figures::head(&["new cancel", "p50 ms", "p99 ms"]);
    for (what, lives) in rows {
        lives.to_cancel().row(what);
    }
    figures::head(&["", "measured", "goal", ""]);
    let more = highest.get() - idle.resident();
    figures::judged("more resident memory", more, " MiB", false, 130.0);
    let [alone, ordinary, coming, reading] = rows.map(|(_, lives)| lives.to_cancel().p99());
    for (what, ratio) in [
        ("p99 while they are read, to alone", reading / alone),
        (
            "p99 when they come, to when ordinary ones come",
            coming / ordinary,
        ),
    ] {
        figures::judged(what, ratio, " x", false, 2.0);
    }
    for (what, lives) in rows {
        lives.print(what);
    }
    Ok(())
}

/// Creates so many objects at once, and at the same time new ones at a pace.
fn beside(
    stage: &Stage,
    at_once: &str,
    count: usize,
    paced: &str,
    objects: usize,
) -> Result<(Vec<Created>, Vec<Created>)> {
    let names = |prefix: &str, count: usize| (0..count).map(|n| format!("{prefix}-{n}")).collect();
    let each = |name| phases::create(stage.load.clone(), name);
    stage.runtime.block_on(async {
        let at_once = load::at_once(names(at_once, count), IN_FLIGHT, each);
        let paced = load::paced(names(paced, objects), RATE, each);
        let (at_once, paced) = tokio::join!(at_once, paced);
        anyhow::Ok((at_once?, paced?))
    })
}
