//! What a new contributor sees first.

// clippy.toml lets tests do these; their own functions are not #[test] but belong to them.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Cargo compiles the tasks for a minute or more. With `--quiet` in the alias, nothing would be printed until then.
#[test]
fn cargo_shows_at_once_that_it_compiles_the_tasks() {
    let target = tempfile::tempdir().unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["xtask", "--help"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .env("CARGO_TARGET_DIR", target.path())
        .env_remove("CARGO_TERM_QUIET")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = cargo.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // Other lines, such as those of a download, come before it.
    let is_shown = lines.any(|line| line.unwrap().trim_start().starts_with("Compiling "));
    let still_compiles = child.try_wait().unwrap().is_none();
    let group = format!("-{}", child.id());
    let ended = Command::new("kill").args(["-KILL", "--", &group]).status();
    child.wait().unwrap();
    assert!(is_shown && still_compiles);
    assert!(ended.unwrap().success());
}
