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

/// The package, in whatever release the system's archives have: they drop older ones. What Debian 12's first one (2.42) takes,
/// every later one takes.
const PACKAGE: &str = "prometheus";

/// How the folders in the cache begin; the package's version follows.
const FOLDER: &str = "promtool-";

/// The path of promtool; downloads it if there is none.
///
/// # Errors
/// If there is no promtool and Debian's package cannot be installed; the message says what to do.
pub fn get() -> Result<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        let named = PathBuf::from(named);
        if !runs(&named) {
            bail!("{VARIABLE} is {}, which is not promtool", named.display());
        }
        return Ok(named);
    }
    let on_path = PathBuf::from("promtool");
    if runs(&on_path) {
        return Ok(on_path);
    }
    let cache = user_cache::folder()?;
    if let Some(program) = unpacked(&cache) {
        return Ok(program);
    }
    // Test binaries that begin at once want it at once.
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let lock = File::create(cache.join("promtool.lock"))?;
    lock.lock()?;
    if let Some(program) = unpacked(&cache) {
        return Ok(program);
    }
    download(&cache)?;
    unpacked(&cache)
        .with_context(|| format!("the package has no promtool that runs here. {}", way_out()))
}

/// The promtool that was unpacked into the cache before, if it still runs here.
fn unpacked(cache: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(cache).ok()?.filter_map(Result::ok);
    let mut programs: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(FOLDER))
        .map(|entry| entry.path().join("usr/bin/promtool"))
        .collect();
    programs.sort();
    programs.into_iter().rev().find(|program| runs(program))
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

fn download(cache: &Path) -> Result<()> {
    eprintln!("promtool: downloading and unpacking the system's package {PACKAGE} (19 MB), once");
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
        PACKAGE,
    ]);
    run(get.current_dir(place.path()))?;
    let package = fs::read_dir(place.path())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get downloaded nothing. {}", way_out()))?;
    let folder = unpack(&package, cache)?;
    eprintln!(
        "promtool is ready in {} after {:.0?}",
        folder.display(),
        start.elapsed()
    );
    Ok(())
}

/// Unpacks the package into a folder of the cache that is named for its version, and returns that folder.
fn unpack(package: &Path, cache: &Path) -> Result<PathBuf> {
    let asked = Command::new("dpkg-deb")
        .arg("--field")
        .arg(package)
        .arg("Version")
        .output()
        .with_context(|| format!("cannot run dpkg-deb. {}", way_out()))?;
    let version = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    if !asked.status.success() || version.is_empty() {
        bail!(
            "{} is not a package with a version. {}",
            package.display(),
            way_out()
        );
    }
    let folder = cache.join(format!("{FOLDER}{version}"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    run(Command::new("dpkg-deb")
        .arg("--extract")
        .arg(package)
        .arg(&folder))?;
    Ok(folder)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {:?}. {}", command.get_program(), way_out()))?;
    if !status.success() {
        bail!(
            "{command:?} failed: {status} (try apt-get update first). {}",
            way_out()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package of this version whose promtool is this script.
    fn package(place: &Path, version: &str, script: &str) -> PathBuf {
        let tree = place.join(format!("tree-{version}"));
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        fs::create_dir_all(tree.join("usr/bin")).unwrap();
        let control = format!(
            "Package: {PACKAGE}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody\nDescription: none\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let program = tree.join("usr/bin/promtool");
        fs::write(&program, script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&program, mode).unwrap();
        let package = place.join(format!("{version}.deb"));
        let mut build = Command::new("dpkg-deb");
        build.args(["--build", "--root-owner-group"]);
        run(build.arg(&tree).arg(&package).stdout(Stdio::null())).unwrap();
        package
    }

    #[test]
    fn whatever_release_comes_is_found_again_by_its_version() {
        let place = tempfile::tempdir().unwrap();
        let cache = place.path().join("cache");
        assert_eq!(unpacked(&cache), None);
        let older = package(place.path(), "2.42.0+ds-5+deb12u9", "#!/bin/sh\n");
        let folder = unpack(&older, &cache).unwrap();
        assert_eq!(folder, cache.join("promtool-2.42.0+ds-5+deb12u9"));
        assert_eq!(unpacked(&cache), Some(folder.join("usr/bin/promtool")));
        // One that does not run here does not count.
        let broken = package(place.path(), "2.53.0", "#!/bin/sh\nexit 1\n");
        unpack(&broken, &cache).unwrap();
        assert_eq!(unpacked(&cache), Some(folder.join("usr/bin/promtool")));
        assert!(unpack(Path::new("/etc/hostname"), &cache).is_err());
    }
}
