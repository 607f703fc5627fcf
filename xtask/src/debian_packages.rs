//! Packages of Debian and its relatives, for programs that are built or unpacked nowhere else. Only root may install them.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Whether [`install`] may be tried: by root, where there is apt-get.
pub fn can_install() -> bool {
    let said = |program: &str, argument: &str| {
        let output = Command::new(program)
            .arg(argument)
            .stdin(Stdio::null())
            .output();
        let output = output.ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    };
    said("id", "-u").is_some_and(|id| id.trim() == "0") && said("apt-get", "--version").is_some()
}

/// Installs packages. It waits for other installations to finish; `way_out` is what a person can do instead.
///
/// # Errors
/// If apt-get cannot be run, or fails.
pub fn install(packages: &[&str], way_out: &str) -> Result<()> {
    let install = [
        &["install", "--yes", "--quiet=2", "--no-install-recommends"],
        packages,
    ]
    .concat();
    for arguments in [&["update", "--quiet=2"][..], &install] {
        let mut apt = Command::new("apt-get");
        apt.args(arguments)
            .args(["-o", "DPkg::Lock::Timeout=300"])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let status = apt.status().with_context(|| way_out.to_owned())?;
        if !status.success() {
            bail!("{apt:?} failed: {status}. {way_out}");
        }
    }
    Ok(())
}
