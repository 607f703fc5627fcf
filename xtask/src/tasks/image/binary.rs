//! The static release binary, the same from whatever folder it is built.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tasks::cargo;

/// The program of the image.
pub(super) const PROGRAM: &str = "opcancel-controller";

/// The target of the image: this machine's architecture. glibc, because it comes with every C compiler that ring needs
/// anyway; linked statically it looks names up in `/etc/hosts` and by DNS with nothing else in the image.
pub(super) fn target() -> Result<String> {
    if env::consts::OS != "linux" {
        bail!(
            "the image is built on Linux only: its program is linked statically with this system's C library"
        );
    }
    Ok(format!("{}-unknown-linux-gnu", env::consts::ARCH))
}

/// What decides about the bytes beside the sources: with the same of these, everybody builds the same digest.
pub(super) fn inputs(buildah: &Path) -> Result<String> {
    let rustc = said(Command::new("rustc").arg("-vV").current_dir(cargo::root()))?;
    let rows = [
        ("Rust", rustc.lines().next().unwrap_or_default().to_owned()),
        (
            "C compiler",
            first_line(Command::new("cc").arg("--version"))?,
        ),
        ("linker", first_line(Command::new("ld").arg("--version"))?),
        ("C library", c_library()?),
        (
            "buildah",
            first_line(Command::new(buildah).arg("--version"))?,
        ),
        ("target", target()?),
    ];
    Ok(rows
        .map(|(what, which)| format!("{what}: {which}\n"))
        .concat())
}

/// The C library that is linked in, such as `glibc 2.36-9+deb12u1`, or `glibc 2.36` where no package tells more.
pub(super) fn c_library() -> Result<String> {
    let package = said(Command::new("dpkg-query").args(["-W", "-f", "${Version}", "libc6-dev"]));
    match package {
        Ok(version) if !version.is_empty() => Ok(format!("glibc {version}")),
        _ => first_line(Command::new("getconf").arg("GNU_LIBC_VERSION")),
    }
}

/// Builds the program from the sources in `source` into `target_folder`, and returns its path.
pub(super) fn build(source: &Path, target_folder: &Path, epoch: &str) -> Result<PathBuf> {
    let target = target()?;
    let mut build = cargo::cargo(&["build", "--release", "--locked", "--package", "opcancel"]);
    build
        .args(["--bin", PROGRAM, "--target", &target])
        .current_dir(source)
        .env("CARGO_TARGET_DIR", target_folder)
        .env("CARGO_INCREMENTAL", "0")
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            rust_flags(source, target_folder)?.join("\u{1f}"),
        )
        .env("SOURCE_DATE_EPOCH", epoch);
    // What a developer sets for other builds would make another binary.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PROFILE_")
            || text.starts_with("CARGO_BUILD_")
            || text == "CFLAGS"
        {
            build.env_remove(&name);
        }
    }
    cargo::run(&mut build)?;
    Ok(target_folder.join(target).join("release").join(PROGRAM))
}

/// Static, and no folder of this machine in panic messages.
fn rust_flags(source: &Path, target_folder: &Path) -> Result<Vec<String>> {
    let home = cargo_home()?;
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    let mut remap = |from: &Path, to: &str| {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    };
    // Of several that fit, the compiler takes the last.
    remap(&home, "/cargo");
    // One folder for each registry or mirror, named for its address.
    if let Ok(registries) = home.join("registry").join("src").read_dir() {
        for registry in registries {
            remap(&registry?.path(), "/crates");
        }
    }
    remap(target_folder, "/target");
    remap(source, "/opcancel");
    Ok(flags)
}

/// Where cargo keeps the sources of crates.
pub(super) fn cargo_home() -> Result<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")
}

fn first_line(command: &mut Command) -> Result<String> {
    Ok(said(command)?.lines().next().unwrap_or_default().to_owned())
}

/// What a command says on standard output.
pub(super) fn said(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("{program} wrote no UTF-8"))
}
