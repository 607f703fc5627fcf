//! What must be true of the image: who runs what in it, which files are there, and nothing of the machine that built it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::binary::{PROGRAM, cargo_home};
use super::layout::Layout;
use crate::tasks::{cargo, image_environment};

/// The most that a node downloads, and the most that it then keeps on its disk, in bytes.
const LIMIT: u64 = 15_000_000;

/// Every file and folder of the image, each of them root's and written by nobody.
const ENTRIES: [&str; 5] = [
    "drwxr-xr-x 0/0 etc/",
    "drwxr-xr-x 0/0 etc/ssl/",
    "drwxr-xr-x 0/0 etc/ssl/certs/",
    "-r--r--r-- 0/0 etc/ssl/certs/ca-certificates.crt",
    "-r-xr-xr-x 0/0 opcancel-controller",
];

/// The user of the image: a number, because Kubernetes' `runAsNonRoot` cannot judge a name; the one that distroless
/// images use for `nonroot`.
pub(super) const USER: &str = "65532:65532";

/// Checks what the image says about itself, and its list of files.
pub(super) fn check(layout: &Layout, version: &str, revision: &str) -> Result<()> {
    let config = &layout.config.config;
    ensure!(config.user == USER, "the user is {:?}", config.user);
    ensure!(
        config.entrypoint == [format!("/{PROGRAM}")] && config.cmd.is_empty(),
        "it runs {:?} with {:?}",
        config.entrypoint,
        config.cmd
    );
    ensure!(
        layout.config.os == "linux",
        "it is for {}",
        layout.config.os
    );
    // Other builders add a PATH.
    let set = config.env.iter().filter(|set| !set.starts_with("PATH="));
    let wanted = image_environment::read()?;
    let wanted = wanted.iter().map(|(name, value)| format!("{name}={value}"));
    ensure!(
        set.cloned().eq(wanted.clone()),
        "it sets {:?} instead of {:?}",
        config.env,
        wanted.collect::<Vec<_>>()
    );
    for (label, wanted) in [
        ("version", version),
        ("revision", revision),
        ("licenses", "Apache-2.0"),
    ] {
        let found = config
            .labels
            .get(&format!("org.opencontainers.image.{label}"));
        ensure!(
            found.is_some_and(|found| found == wanted),
            "the label {label} is {found:?} instead of {wanted}"
        );
    }
    let entries = layout.entries()?;
    ensure!(
        entries == ENTRIES,
        "its files are not the expected ones:\n{}",
        entries.join("\n")
    );
    Ok(())
}

/// Checks that neither the download nor the files are over the limit.
pub(super) fn check_size(download: u64, files: u64) -> Result<()> {
    for (what, bytes) in [("image", download), ("unpacked image", files)] {
        ensure!(
            bytes < LIMIT,
            "the {what} has {bytes} bytes, more than the {LIMIT} allowed"
        );
    }
    Ok(())
}

/// Checks that no path of this machine is in the file: neither of sources nor of what was built from them.
pub(super) fn check_paths(file: &Path, others: &[&Path]) -> Result<()> {
    let contents = fs::read(file).with_context(|| file.display().to_string())?;
    let home = env::var_os("HOME").map(PathBuf::from);
    let known = [home, Some(cargo_home()?), Some(cargo::root().to_owned())];
    let folders = known.iter().flatten().map(PathBuf::as_path);
    for folder in folders.chain(others.iter().copied()) {
        // `/` and the like stand in every program.
        if folder.components().count() < 2 {
            continue;
        }
        let needle = format!("{}/", folder.display()).into_bytes();
        let Some(place) = find(&contents, &needle) else {
            continue;
        };
        let text = contents
            .get(place..contents.len().min(place + 120))
            .unwrap_or_default();
        bail!(
            "{} names a folder of this machine: {}",
            file.display(),
            String::from_utf8_lossy(text).escape_debug()
        );
    }
    Ok(())
}

/// Where `needle` starts in `contents`. By its first byte, `/`, which is rare in a program.
fn find(contents: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut starts = contents
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == first);
    starts
        .find(|(place, _)| {
            contents
                .get(*place..)
                .is_some_and(|rest| rest.starts_with(needle))
        })
        .map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_this_machine_is_found_wherever_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("program");
        let source = Path::new("/somewhere/source");
        fs::write(&file, b"\x7fELF//somewhere/source").unwrap();
        check_paths(&file, &[source]).unwrap();
        fs::write(&file, b"\x7fELF//somewhere/source/src/main.rs\0").unwrap();
        let error = check_paths(&file, &[source]).unwrap_err().to_string();
        assert!(error.contains("/somewhere/source/src/main.rs"), "{error}");
    }

    #[test]
    fn an_image_over_the_limit_is_refused() {
        check_size(LIMIT - 1, LIMIT - 1).unwrap();
        assert!(check_size(LIMIT, 1).is_err());
        assert!(check_size(1, LIMIT).is_err());
    }
}
