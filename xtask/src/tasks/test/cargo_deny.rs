//! Where cargo-deny comes from: the user's own if it is the pinned release, else the cache, into
//! which cargo installs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Result;
use xtask::user_cache;

use crate::tasks::cargo;

/// The pinned release: a newer one may find more, and then it would be the tool that broke the build.
const VERSION: &str = "0.20.2";

/// The path of cargo-deny; installs it if there is none.
pub(super) fn get() -> Result<PathBuf> {
    let on_path = PathBuf::from("cargo-deny");
    if is_pinned(&on_path) {
        return Ok(on_path);
    }
    let root = user_cache::folder()?.join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin").join("cargo-deny");
    if !is_pinned(&program) {
        install(&root)?;
    }
    Ok(program)
}

fn is_pinned(program: &Path) -> bool {
    let asked = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    asked.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).trim() == format!("cargo-deny {VERSION}")
    })
}

fn install(root: &Path) -> Result<()> {
    eprintln!(
        "cargo-deny {VERSION} is installed into {}: about a minute on 2 cores, once",
        root.display()
    );
    let start = Instant::now();
    let build = tempfile::tempdir()?;
    let mut command = cargo::cargo(&[
        "install",
        "cargo-deny",
        "--version",
        VERSION,
        "--locked",
        "--force",
        "--quiet",
        // It runs for a second; to optimise it would take minutes.
        "--debug",
    ]);
    command.arg("--root").arg(root);
    // Not into the workspace's own target folder, where it would only take room.
    cargo::run(command.env("CARGO_TARGET_DIR", build.path()))?;
    eprintln!("cargo-deny is installed, after {:.0?}", start.elapsed());
    Ok(())
}
