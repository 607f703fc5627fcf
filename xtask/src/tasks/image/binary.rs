//! The static release binary, the same from whatever folder it is built.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tasks::cargo;

/// The program of the image.
pub(super) const PROGRAM: &str = "opcancel-controller";

/// Where the folder of a build has the sources, and what cargo makes of them.
pub(super) const SOURCE_FOLDER: &str = "source";
const TARGET_FOLDER: &str = "target";

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

/// Builds the program in the folder `build`, from `source/` in it into `target/`, and returns its path. `builds` are the
/// folders of all builds: each is given the same flags, so that one can go on with what another compiled.
pub(super) fn build(folder: &Path, builds: &[PathBuf]) -> Result<PathBuf> {
    let target_folder = folder.join(TARGET_FOLDER);
    let target = target()?;
    let mut build = cargo::cargo(&["build", "--release", "--locked", "--package", "opcancel"]);
    build
        .args(["--bin", PROGRAM, "--target", &target])
        .current_dir(folder.join(SOURCE_FOLDER))
        .env("CARGO_TARGET_DIR", &target_folder)
        .env("CARGO_INCREMENTAL", "0")
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            rust_flags(builds)?.join("\u{1f}"),
        )
        // Nothing in the program tells a date. The commit's would have ring's C, and all above it, compiled again for each.
        .env("SOURCE_DATE_EPOCH", "0");
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

/// Gives the build in the folder `to` the crates that the one in `from` compiled, so that only our own packages are
/// compiled a second time. Crates of the registry are compiled in the same place for both, so no path of theirs differs.
pub(super) fn share_crates(from: &Path, to: &Path) -> Result<()> {
    let target_folder = to.join(TARGET_FOLDER);
    // Copies, no links: cargo writes into files that are there.
    said(
        Command::new("cp")
            .args(["--archive", "--reflink=auto"])
            .arg(from.join(TARGET_FOLDER))
            .arg(&target_folder),
    )?;
    let mut clean = cargo::cargo(&["clean", "--quiet", "--release", "--package", "opcancel"]);
    clean
        .args(["--target", &target()?])
        .current_dir(to.join(SOURCE_FOLDER))
        .env("CARGO_TARGET_DIR", &target_folder);
    cargo::run(&mut clean)
}

/// Static, and no folder of this machine in panic messages.
fn rust_flags(builds: &[PathBuf]) -> Result<Vec<String>> {
    let home = cargo_home()?;
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    let mut remap = |from: &Path, to: &str| {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    };
    // Of several that fit, the compiler takes the last.
    remap(&home, "/cargo");
    // One folder for each registry or mirror, named for its address.
    if let Ok(registries) = home.join("registry").join("src").read_dir() {
        let mut registries = registries.collect::<Result<Vec<_>, _>>()?;
        registries.sort_by_key(std::fs::DirEntry::file_name);
        for registry in registries {
            remap(&registry.path(), "/crates");
        }
    }
    for build in builds {
        remap(build, "/build");
    }
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
