//! `cargo xtask crds`: generates `crds/` from the Rust types, and then its copies in `deploy/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;

use super::{cargo, deploy};

/// Generate crds/ from the Rust types in src/api, and its copies in deploy/; print what changed.
#[derive(Args)]
pub(crate) struct Arguments {}

/// Runs the task.
pub(crate) fn run(_arguments: Arguments) -> Result<()> {
    let folder = cargo::root().join("crds");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let before = read(&folder)?;
    // The test that finds them stale knows how they are made.
    let mut test = cargo::cargo(&[
        "test",
        "--quiet",
        "--workspace",
        "--test",
        "crds_are_current",
    ]);
    cargo::run(test.env("OPCANCEL_UPDATE_CRDS", "1"))?;
    let mut changed = false;
    for (name, text) in read(&folder)? {
        let change = match before.get(&name) {
            None => "new",
            Some(old) if *old == text => continue,
            Some(_) => "changed",
        };
        changed = true;
        println!("crds/{name}: {change}");
    }
    if !changed {
        println!("crds/: unchanged");
    }
    deploy::write()
}

/// The files of the folder, by name.
fn read(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = fs::read_to_string(entry.path())
            .with_context(|| format!("cannot read {}", entry.path().display()))?;
        files.insert(name, text);
    }
    Ok(files)
}
