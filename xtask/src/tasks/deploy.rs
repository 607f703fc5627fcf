//! `cargo xtask deploy`: generates the files in `deploy/` that are made from others.

use anyhow::Result;
use clap::Args;
use xtask::control_plane::Binaries;
use xtask::deploy_files;

use super::cargo;

/// Generate the copies and rendered manifests in deploy/ from crds/ and deploy/base; print what changed.
#[derive(Args)]
pub(crate) struct Arguments {}

/// Runs the task.
pub(crate) fn run(_arguments: Arguments) -> Result<()> {
    write()
}

/// Does it, for the task that has just written `crds/` too.
pub(super) fn write() -> Result<()> {
    let changed = deploy_files::write(cargo::root(), &Binaries::get()?.kubectl)?;
    for path in &changed {
        println!("{path}: changed");
    }
    if changed.is_empty() {
        println!("deploy/: unchanged");
    }
    Ok(())
}
