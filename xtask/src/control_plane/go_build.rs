//! Builds the control plane's programs with Go from the modules pinned in `control-plane/`.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::binaries::{ASSETS_VARIABLE, Program};

const GO_MOD: &str = include_str!("../../control-plane/go.mod");
const GO_SUM: &str = include_str!("../../control-plane/go.sum");
const SCRIPT: &str = include_str!("go_build.sh");

/// How often a build that goes on says so.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Builds `programs` into the folder `bin`, each put in place when it is complete.
pub(super) fn build(bin: &Path, programs: &[Program]) -> Result<()> {
    let go = check_go()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let core_seconds: u64 = programs.iter().map(|program| program.build_seconds).sum();
    let seconds = core_seconds / u64::try_from(cores).unwrap_or(1).max(1);
    eprintln!(
        "control plane: building {} of Kubernetes {} with {go}: about {} on {cores} cores, once; \
         kept in {}",
        programs
            .iter()
            .map(|program| program.name)
            .collect::<Vec<_>>()
            .join(", "),
        kubernetes_version(),
        minutes(seconds.max(60)),
        bin.display(),
    );
    let module = tempfile::Builder::new().prefix("build-").tempdir_in(bin)?;
    fs::write(module.path().join("go.mod"), GO_MOD)?;
    fs::write(module.path().join("go.sum"), GO_SUM)?;
    let start = Instant::now();
    for (number, program) in programs.iter().enumerate() {
        let built = module.path().join(program.name);
        let step = format!("{} of {}, {}", number + 1, programs.len(), program.name);
        eprintln!("control plane: {step}");
        let log = module.path().join("go.log");
        let order = Order {
            name: program.name,
            package: program.package,
            linker_flags: &linker_flags(),
        };
        let status = go_build(
            module.path(),
            &order,
            &log,
            &format!("control plane: {step}"),
        )?;
        if !status.success() {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let end = lines.iter().skip(lines.len().saturating_sub(20)).copied();
            bail!(
                "Go could not build {} ({status}). It said:\n{}\nIt needs the Go module proxy, or a \
                 filled module cache, and about 6 GB of disk for its own caches.",
                program.name,
                end.collect::<Vec<_>>().join("\n"),
            );
        }
        fs::rename(&built, bin.join(program.name))?;
    }
    eprintln!(
        "control plane: built in {}",
        minutes(start.elapsed().as_secs())
    );
    Ok(())
}

/// What Go is to build.
pub(crate) struct Order<'a> {
    /// The file to make.
    pub(crate) name: &'a str,
    /// The package that it is made from.
    pub(crate) package: &'a str,
    /// The flags of the linker.
    pub(crate) linker_flags: &'a str,
}

/// Builds one program to a file of its name in `module`, telling every half minute that `step` goes on.
pub(crate) fn go_build(
    module: &Path,
    order: &Order<'_>,
    log: &Path,
    step: &str,
) -> Result<ExitStatus> {
    let output = File::create(log)?;
    let mut child = Command::new("sh")
        .args(["-c", SCRIPT, "opcancel-go-build", "go", "build", "-ldflags"])
        .arg(order.linker_flags)
        .args(["-o", order.name, order.package])
        .current_dir(module)
        .env("GOFLAGS", "-mod=readonly -trimpath -buildvcs=false")
        .env("GOWORK", "off")
        // Fetching another toolchain behind the user's back takes long, and fails offline.
        .env("GOTOOLCHAIN", "local")
        // Static: the cache may outlive the libraries of this machine.
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()
        .context("cannot start `sh`, which runs Go")?;
    // Held open: its end tells the script that this process is gone.
    let _alive = child.stdin.take();
    let start = Instant::now();
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait()));
    loop {
        match end.recv_timeout(HEARTBEAT) {
            Ok(status) => return Ok(status?),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                eprintln!("{step}: {} so far", minutes(start.elapsed().as_secs()))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("the build was abandoned"),
        }
    }
}

/// The version of the Go toolchain, such as `go1.26.8`; fails if it cannot build the modules.
fn check_go() -> Result<String> {
    let wanted = directive("go ").unwrap_or("1.26");
    let way_out = format!(
        "Install Go {wanted} or newer (https://go.dev/doc/install), or set {ASSETS_VARIABLE} to a \
         folder with etcd, kube-apiserver, kube-controller-manager and kubectl."
    );
    let output = match Command::new("go")
        .arg("version")
        .env("GOTOOLCHAIN", "local")
        .output()
    {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "Go is not installed; it builds the Kubernetes control plane of the tests and the demo, \
             once. {way_out}"
        ),
        Err(error) => return Err(error).context(format!("cannot run `go version`. {way_out}")),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .split_whitespace()
        .nth(2)
        .unwrap_or_default()
        .to_owned();
    // A development version ("devel ...") has no number to compare: let the build tell.
    if let (Some(have), Some(want)) = (go_number(&version), go_number(wanted))
        && have < want
    {
        bail!(
            "Go is too old: this is {version}, and Kubernetes {} needs {wanted}. {way_out}",
            kubernetes_version()
        );
    }
    if output.status.success() {
        Ok(version)
    } else {
        bail!("`go version` fails. {way_out}")
    }
}

/// Major, minor and patch of `go1.26.8`, `1.26.0` or `go1.27rc1`.
fn go_number(text: &str) -> Option<(u32, u32, u32)> {
    let number = text.strip_prefix("go").unwrap_or(text);
    let mut parts = number.split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    Some((
        parts.next()??,
        parts.next().flatten().unwrap_or(0),
        parts.next().flatten().unwrap_or(0),
    ))
}

/// What the linker writes into the programs: the release, so that `kubectl version` and the
/// server's compatibility checks see a real one.
fn linker_flags() -> String {
    let version = kubernetes_version();
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or("1"), numbers.next().unwrap_or("0"));
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} \
         -X {package}.gitMinor={minor} -X {package}.gitTreeState=clean"
    )
}

/// The pinned release of Kubernetes, such as `v1.37.2`.
pub(super) fn kubernetes_version() -> &'static str {
    directive("k8s.io/kubernetes ").unwrap_or("v1.0.0")
}

/// The word after `start` on a line of `go.mod`.
fn directive(start: &str) -> Option<&'static str> {
    GO_MOD
        .lines()
        .find_map(|line| line.trim().strip_prefix(start))?
        .split_whitespace()
        .next()
}

/// A folder name that changes with the modules, the way to build them and the kind of machine.
pub(super) fn recipe_name() -> String {
    let hash = recipe_hash(&[GO_MOD, GO_SUM, &linker_flags()]);
    format!("{}-{hash:016x}", kubernetes_version())
}

/// A number that changes with each of these texts and with the kind of machine.
pub(crate) fn recipe_hash(texts: &[&str]) -> u64 {
    let machine = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    // FNV-1a: it only has to differ, and to stay the same in every release of Rust.
    let parts = texts.iter().copied().chain([machine.as_str()]);
    parts
        .flat_map(str::bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

/// `75` as `1 min 15 s`.
fn minutes(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_compare_by_number() {
        assert!(go_number("go1.9.7") < go_number("1.26.0"));
        assert!(go_number("go1.26.8") > go_number("1.26.0"));
        assert_eq!(go_number("go1.27rc1"), Some((1, 27, 0)));
        assert_eq!(go_number("devel"), None);
    }

    #[test]
    fn the_release_is_read_from_the_pinned_modules() {
        assert!(
            kubernetes_version().starts_with("v1."),
            "{}",
            kubernetes_version()
        );
        assert!(go_number(directive("go ").unwrap()).is_some());
        let staging = kubernetes_version().replacen("v1.", "v0.", 1);
        for line in GO_MOD.lines().filter(|line| line.contains(" => k8s.io/")) {
            assert!(line.ends_with(&staging), "another release: {line}");
        }
    }
}
