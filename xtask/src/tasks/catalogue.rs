//! `cargo xtask catalogue`: generates the data of the service catalogue, and its page.

use std::fs;

use anyhow::{Context, Result};
use clap::Args;
use xtask::catalogue;

use super::cargo;

/// Generate the data of the service catalogue and docs/services.md, from Google's discovery documents and the files in catalogue/;
/// print what it covers.
#[derive(Args)]
pub(crate) struct Arguments {}

/// Runs the task.
pub(crate) fn run(_arguments: Arguments) -> Result<()> {
    let generated = catalogue::generate(cargo::root())?;
    for (name, text) in [
        (catalogue::DATA, &generated.text),
        (catalogue::PAGE, &generated.page),
        (catalogue::BINDINGS, &generated.bindings),
    ] {
        let path = cargo::root().join(name);
        let changed = fs::read_to_string(&path).unwrap_or_default() != *text;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{name}: {}", if changed { "changed" } else { "unchanged" });
    }
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
