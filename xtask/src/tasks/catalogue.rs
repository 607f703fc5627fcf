//! `cargo xtask catalogue`: generates the data of the service catalogue.

use std::fs;

use anyhow::{Context, Result};
use clap::Args;
use xtask::catalogue;

use super::cargo;

/// Generate the data of the service catalogue from Google's discovery documents and the files in catalogue/; print what it covers.
#[derive(Args)]
pub(crate) struct Arguments {}

/// Runs the task.
pub(crate) fn run(_arguments: Arguments) -> Result<()> {
    let generated = catalogue::generate(cargo::root())?;
    let path = cargo::root().join(catalogue::DATA);
    let changed = fs::read_to_string(&path).unwrap_or_default() != generated.text;
    fs::write(&path, &generated.text)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let change = if changed { "changed" } else { "unchanged" };
    println!("{}: {change}", catalogue::DATA);
    for (of, coverage) in [
        ("the discovery documents", &generated.discovery),
        ("methods beyond them", &generated.beyond_discovery),
    ] {
        println!("{of}: {} of {} methods", coverage.covered, coverage.methods);
        for (reason, methods) in &coverage.left_out {
            println!("  left out: {methods}, {reason}");
        }
    }
    Ok(())
}
