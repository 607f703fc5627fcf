//! The static release binary, the same from whatever folder it is built.

use std::env;
use std::ffi::OsString;
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

/// This machine's architecture, as container engines call it.
pub(super) fn architecture() -> Result<&'static str> {
    match env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("the image is built for amd64 and arm64, not for {other}"),
    }
}

/// Where a build context has a program of this machine's architecture.
pub(super) fn in_context(context: &Path, program: &str) -> Result<PathBuf> {
    Ok(context.join(architecture()?).join(program))
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
    build_program(folder, builds, "opcancel", PROGRAM)
}

/// The same for any program of the workspace; crates that an earlier one needed too are compiled already.
pub(super) fn build_program(
    folder: &Path,
    builds: &[PathBuf],
    package: &str,
    program: &str,
) -> Result<PathBuf> {
    let target_folder = folder.join(TARGET_FOLDER);
    let target = target()?;
    let mut build = cargo::cargo(&["build", "--release", "--locked", "--package", package]);
    only_with(&mut build, env::vars_os());
    build
        .args(["--bin", program, "--target", &target])
        .current_dir(folder.join(SOURCE_FOLDER))
        .env("CARGO_TARGET_DIR", &target_folder)
        .env("CARGO_INCREMENTAL", "0")
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            rust_flags(builds)?.join("\u{1f}"),
        )
        // Nothing in the program tells a date. The commit's would have ring's C, and all above it, compiled again for each.
        .env("SOURCE_DATE_EPOCH", "0");
    cargo::run(&mut build)?;
    Ok(target_folder.join(target).join("release").join(program))
}

/// What a build takes from the environment: where its tools and crates are, and how it shows its progress. `RUSTUP_TOOLCHAIN`
/// is how rustup says to rustc, also in a crate's own folder, which toolchain cargo was started with; [`inputs`] tells which.
const KEPT: [&str; 10] = [
    "PATH",
    "HOME",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TERM",
    "NO_COLOR",
];

/// How crates are downloaded: through which proxy, from which registry.
const KEPT_PREFIXES: [&str; 4] = ["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_TERM_"];

/// Gives the command these variables so far as they are kept, and no others: what a developer sets for other builds
/// (compilers, flags, wrappers, profiles) would make another binary, and no list of such variables is complete.
pub(super) fn only_with(
    command: &mut Command,
    variables: impl Iterator<Item = (OsString, OsString)>,
) {
    command
        .env_clear()
        .envs(variables.filter(|(name, _)| is_kept(&name.to_string_lossy())));
}

fn is_kept(name: &str) -> bool {
    let proxy = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"];
    KEPT.contains(&name)
        || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || proxy.contains(&name.to_ascii_lowercase().as_str())
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
    only_with(&mut clean, env::vars_os());
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
pub(crate) fn said(command: &mut Command) -> Result<String> {
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
    String::from_utf8(output.stdout)
        .with_context(|| format!("the output of {program} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_environment_steers_a_build() {
        let steering = [
            "CC",
            "CC_x86_64_unknown_linux_gnu",
            "CXX",
            "AR",
            "ARFLAGS",
            "CFLAGS_x86_64_unknown_linux_gnu",
            "CXXFLAGS",
            "TARGET_CC",
            "HOST_CFLAGS",
            "CRATE_CC_NO_DEFAULTS",
            "CPATH",
            "LIBRARY_PATH",
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER",
            "CARGO_TARGET_DIR",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_BUILD_RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTC_BOOTSTRAP",
            "RUSTFLAGS",
            "SOURCE_DATE_EPOCH",
        ];
        let needed = [
            "PATH",
            "HOME",
            "CARGO_HOME",
            "RUSTUP_TOOLCHAIN",
            "HTTPS_PROXY",
            "no_proxy",
            "CARGO_HTTP_CAINFO",
            "CARGO_REGISTRIES_MIRROR_INDEX",
        ];
        let all = steering.iter().chain(&needed);
        let mut command = Command::new("/usr/bin/env");
        // Set before, as by a caller.
        command.env("CFLAGS", "-O0");
        only_with(
            &mut command,
            all.map(|name| (name.into(), format!("the {name}").into())),
        );
        let said = said(&mut command).unwrap();
        let mut found: Vec<_> = said.lines().collect();
        found.sort_unstable();
        let mut expected = needed.map(|name| format!("{name}=the {name}"));
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
