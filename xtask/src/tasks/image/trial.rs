//! The image at work: its program runs in its files alone, read-only, as its user.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

use super::binary::{PROGRAM, said};
use super::layout::Layout;
use crate::tasks::image_environment;

/// Mounts the root read-only over itself, in a mount namespace of its own, and starts the program there. An own user
/// namespace makes that possible for people who are not root; changing to another user is not possible then.
const SCRIPT: &str = r#"
set -eu
root=$1
shift
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
if touch "$root/written" 2>/dev/null; then
    echo "the root can be written to" >&2
    exit 90
fi
cd "$root"
if [ "$OPCANCEL_TRIAL_USER" = kept ]; then
    exec chroot . "$@"
fi
exec chroot --userspec=+65532:+65532 --groups= . "$@"
"#;

/// Unpacks the image and runs its program there. Returns the bytes of the files.
pub(super) fn run(layout: &Layout, version: &str) -> Result<u64> {
    let root = tempfile::tempdir()?;
    layout.unpack(root.path())?;
    let bytes = size(root.path())?;

    let answer = start(root.path(), &["--version"])?;
    let said = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    ensure!(
        answer.status.success() && said == format!("{PROGRAM} {version}"),
        "--version in the image: {}",
        printed(&answer)
    );
    let answer = start(root.path(), &["--help"])?;
    let help = String::from_utf8_lossy(&answer.stdout).into_owned();
    ensure!(
        answer.status.success() && help.contains("--watch-namespace"),
        "--help in the image: {}",
        printed(&answer)
    );

    // Without a cluster it ends at once and says why. It sets up TLS for Google before it looks for a cluster: a
    // complaint about the cluster, and no warning, tells that the authorities were found and read.
    let answer = start(root.path(), &[])?;
    let text = String::from_utf8_lossy(&answer.stderr).into_owned();
    ensure!(
        text.contains("cannot find the API server")
            && !text.contains("WARN")
            && !answer.status.success(),
        "started in the image: {}",
        printed(&answer)
    );
    // And this is how it would look without them, or the above would prove nothing.
    fs::remove_file(root.path().join("etc/ssl/certs/ca-certificates.crt"))?;
    let answer = start(root.path(), &[])?;
    let text = String::from_utf8_lossy(&answer.stderr).into_owned();
    ensure!(
        text.contains("no certificate authorities"),
        "started without certificate authorities: {}",
        printed(&answer)
    );
    Ok(bytes)
}

/// Runs the emulator in its own image: its version, its schema, and a start as the image starts it. Returns the bytes of the files.
pub(super) fn run_emulator(layout: &Layout, program: &str, version: &str) -> Result<u64> {
    let root = tempfile::tempdir()?;
    layout.unpack(root.path())?;
    let bytes = size(root.path())?;
    for (arguments, wanted) in [
        (&["--version"][..], format!("{program} {version}")),
        (&["schema"], "\"title\": \"Scenario\"".to_owned()),
        // It ends with its standard input, so at once after it has printed its addresses.
        (
            &["--exit-with-parent", "--listen=127.0.0.1:0"],
            "\"adminUrl\"".to_owned(),
        ),
    ] {
        let answer = start_program(root.path(), program, arguments)?;
        ensure!(
            answer.status.success() && String::from_utf8_lossy(&answer.stdout).contains(&wanted),
            "{arguments:?} in the image: {}",
            printed(&answer)
        );
    }
    Ok(bytes)
}

fn start(root: &Path, arguments: &[&str]) -> Result<Output> {
    start_program(root, PROGRAM, arguments)
}

fn start_program(root: &Path, program: &str, arguments: &[&str]) -> Result<Output> {
    let is_root = said(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !is_root {
        command.arg("--map-root-user");
    }
    command
        .args(["sh", "-c", SCRIPT, "opcancel-image-trial"])
        .arg(root)
        .arg(format!("/{program}"))
        .args(arguments)
        // Nothing of this machine's environment, as in a pod outside of any cluster.
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(image_environment::read()?)
        .env(
            "OPCANCEL_TRIAL_USER",
            if is_root { "changed" } else { "kept" },
        )
        .stdin(Stdio::null())
        .output()
        .context("cannot run unshare (package util-linux)")
}

/// What a run printed, for error messages.
fn printed(output: &Output) -> String {
    format!(
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The bytes of all files below `folder`.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() {
            size(&entry.path())?
        } else {
            about.len()
        };
    }
    Ok(bytes)
}
