//! promtool, which reads metrics and alerting rules as Prometheus itself does: the one that `OPCANCEL_PROMTOOL` names, or that is
//! on `PATH`, else Debian's package, unpacked into the cache. Nothing is installed and no service is started.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::user_cache;

/// The environment variable that names a promtool.
pub const VARIABLE: &str = "OPCANCEL_PROMTOOL";

/// The package as Debian 12 has it. A rule that this release takes, every later one takes.
const PACKAGE: &str = "prometheus";
const VERSION: &str = "2.42.0+ds-5+deb12u1";

/// The path of promtool; downloads it if there is none.
///
/// # Errors
/// If there is none and Debian's package cannot be had; the message says what to do.
pub fn get() -> Result<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        let named = PathBuf::from(named);
        if !runs(&named) {
            bail!("{VARIABLE} is {}, which is no promtool", named.display());
        }
        return Ok(named);
    }
    let on_path = PathBuf::from("promtool");
    if runs(&on_path) {
        return Ok(on_path);
    }
    let folder = user_cache::folder()?.join(format!("promtool-{VERSION}"));
    let program = folder.join("usr/bin/promtool");
    if !runs(&program) {
        // Test binaries that begin at once want it at once.
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        if !runs(&program) {
            download(&folder)?;
        }
        if !runs(&program) {
            bail!(
                "Debian's package has no promtool that runs here. {}",
                way_out()
            );
        }
    }
    Ok(program)
}

fn way_out() -> String {
    format!(
        "Install promtool 2.42 or newer (it comes with Prometheus) on PATH, or name it in {VARIABLE}."
    )
}

fn runs(program: &Path) -> bool {
    let asked = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    asked.is_ok_and(|output| output.status.success())
}

fn download(folder: &Path) -> Result<()> {
    eprintln!(
        "promtool: Debian's package {PACKAGE} {VERSION} (19 MB) is unpacked into {}, once",
        folder.display()
    );
    let start = Instant::now();
    let place = tempfile::tempdir()?;
    // apt hands over to a user of its own, which may not enter a private folder.
    let mut get = Command::new("apt-get");
    get.args([
        "--quiet",
        "--quiet",
        "-o",
        "APT::Sandbox::User=root",
        "download",
    ]);
    get.arg(format!("{PACKAGE}={VERSION}"))
        .current_dir(place.path());
    run(&mut get)?;
    let package = fs::read_dir(place.path())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get has downloaded nothing. {}", way_out()))?;
    run(Command::new("dpkg")
        .arg("--extract")
        .arg(package)
        .arg(folder))?;
    eprintln!("promtool is there, after {:.0?}", start.elapsed());
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {:?}. {}", command.get_program(), way_out()))?;
    if !status.success() {
        bail!(
            "{command:?} failed: {status} (is `apt-get update` due?). {}",
            way_out()
        );
    }
    Ok(())
}
