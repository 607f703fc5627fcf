//! `bench answers`: many finished operations with large answers at once: memory, and the effect on a new cancel.
//!
//! Many objects at once cost the API server time, whatever the answers about their operations. So the new cancels are measured
//! alone, with ordinary objects created at once, with the large ones created at once, and while the large answers are read.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::baseline::IN_FLIGHT;
use super::environment::{Environment, LARGE};
use super::figures;
use super::load;
use super::phases::{self, Created, Lives};

/// New cancels a second.
const RATE: u32 = 20;

/// How long all may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Measures and prints.
pub(super) fn measure(environment: &mut Environment, large: usize, objects: usize) -> Result<()> {
    environment.start_controller()?;
    phases::paced(environment, "fast-warm", 40, RATE)?;
    let alone = phases::paced(environment, "fast-alone", objects, RATE)?;

    let mark = environment.mark()?;
    let ended = environment.metrics()?.ended();
    let (_, small) = with_others(environment, "never", large, "fast-ordinary", objects)?;
    environment.wait(LIMIT, |metrics| metrics.ended() >= ended + objects as f64)?;
    let ordinary = Lives::read(environment, &mark, small, &BTreeMap::new())?;
    let idle = environment.metrics()?;

    let mark = environment.mark()?;
    let begun = figures::now();
    let (large_ones, small) = with_others(environment, "large", large, "fast-coming", objects)?;
    environment.wait(LIMIT, |metrics| {
        metrics.ended() >= idle.ended() + objects as f64
    })?;
    let coming = Lives::read(environment, &mark, small, &BTreeMap::new())?;
    let before = environment.metrics()?.ended();
    let reading = phases::paced(environment, "fast-reading", objects, RATE)?;
    let over = environment.metrics()?.ended() - before - objects as f64;
    ensure!(
        over < large as f64 / 2.0,
        "half of the large answers were read before the measurement ended; use more of them with --large"
    );
    // Samples may miss the peak; only the kernel's high-water mark would show it.
    let highest = Cell::new(0.0_f64);
    let all = idle.ended() + (large + 2 * objects) as f64;
    environment.wait(LIMIT, |metrics| {
        highest.set(highest.get().max(metrics.resident()));
        metrics.ended() >= all
    })?;
    let last = Lives::read(environment, &mark, large_ones, &BTreeMap::new())?
        .last_end()
        .context("a large answer has no outcome")?;

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
        ("with ordinary objects created at once", &ordinary),
        ("with large ones created at once", &coming),
        ("while large ones are read", &reading),
    ];
    figures::head(&["new cancel", "p50 ms", "p99 ms"]);
    for (what, lives) in rows {
        lives.to_cancel().row(what);
    }
    figures::head(&["", "measured", "goal", ""]);
    let more = highest.get() - idle.resident();
    figures::judged("additional resident memory", more, " MiB", false, 130.0);
    let [alone, ordinary, coming, reading] = rows.map(|(_, lives)| lives.to_cancel().p99());
    for (what, ratio) in [
        ("p99 while they are read / alone", reading / alone),
        (
            "p99 when created with large ones / with ordinary ones",
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
fn with_others(
    environment: &Environment,
    at_once: &str,
    count: usize,
    paced: &str,
    objects: usize,
) -> Result<(Vec<Created>, Vec<Created>)> {
    let names = |prefix: &str, count: usize| (0..count).map(|n| format!("{prefix}-{n}")).collect();
    let each = |name| phases::create(environment.load.clone(), name);
    environment.runtime.block_on(async {
        let at_once = load::at_once(names(at_once, count), IN_FLIGHT, each);
        let paced = load::paced(names(paced, objects), RATE, each);
        let (at_once, paced) = tokio::join!(at_once, paced);
        anyhow::Ok((at_once?, paced?))
    })
}
