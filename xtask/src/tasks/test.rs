//! `cargo xtask test`: everything that must be green, in order, with the time of each step.

mod cargo_deny;
mod monitoring;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use xtask::control_plane::{ControlPlane, Options, SHARED_VARIABLE};
use xtask::{go_tool, official_clients};

use super::{cargo, demo, fuzz, image, release, soak};

/// Google's clients, which judge the emulator; that of Rust is a workspace of its own.
const OFFICIAL_CLIENTS: &str = "tests/official_clients";

/// Run all checks: formatting, lints, docs, dependencies, alerting rules, tests, fuzz targets, demo, soak, image and release files.
///
/// Stops at the first failure. The first run takes about half an hour on 2 cores, since it builds or installs the control
/// plane, Helm, Google's official clients and other tools, once for each user.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Skip this step; may be repeated.
    #[arg(long, value_name = "STEP")]
    skip: Vec<Step>,

    /// Also run the tests that take too long for CI: the property tests of the lifecycle with 100 times the cases, a deeper search of
    /// the model checker, each fault at each request, 500 objects of 1.4 MB, an older release, built first, on the CRDs of this one, a
    /// soak of 10 minutes, 20,000 objects with dead endpoints and changing grants, and servers that do not answer for minutes. Takes
    /// about two and a half hours more on 2 cores, and 6 GB of memory.
    #[arg(long)]
    long: bool,
}

/// A hundred times what proptest draws by default.
const MANY_CASES: &str = "25600";

/// The steps, in their order: the quick ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    Fmt,
    Clippy,
    Doc,
    Deny,
    Advisories,
    Monitoring,
    ControlPlane,
    Tests,
    Fuzz,
    Demo,
    Soak,
    Image,
}

/// A step that has ended.
struct Done {
    step: Step,
    took: Duration,
    /// Why this machine could not check it.
    not_checked: Option<String>,
}

impl Done {
    fn note(&self) -> String {
        let reason = self.not_checked.as_ref();
        reason.map_or_else(String::new, |reason| format!("  skipped: {reason}"))
    }
}

/// Runs the task.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let start = Instant::now();
    let mut shared = None;
    let mut done: Vec<Done> = Vec::new();
    for step in Step::value_variants() {
        if arguments.skip.contains(step) {
            eprintln!("\n=== {}: skipped", step.title());
            continue;
        }
        eprintln!("\n=== {}", step.title());
        let begin = Instant::now();
        let result = step.run(&mut shared, arguments.long);
        let took = begin.elapsed();
        let mut one = Done {
            step: *step,
            took,
            not_checked: None,
        };
        match result {
            Err(error) => {
                done.push(one);
                summary(&done, start.elapsed(), false);
                bail!("{}: {error:#}\n{}", step.title(), step.advice());
            }
            Ok(not_checked) => one.not_checked = not_checked,
        }
        eprintln!("=== {}: ok, {}{}", step.title(), seconds(took), one.note());
        done.push(one);
    }
    summary(&done, start.elapsed(), true);
    Ok(())
}

impl Step {
    fn title(self) -> &'static str {
        match self {
            Self::Fmt => "cargo fmt",
            Self::Clippy => "cargo clippy",
            Self::Doc => "cargo doc",
            Self::Deny => "cargo deny",
            Self::Advisories => "advisories",
            Self::Monitoring => "monitoring",
            Self::ControlPlane => "control plane",
            Self::Tests => "cargo test",
            Self::Fuzz => "fuzz targets",
            Self::Demo => "demo",
            Self::Soak => "soak",
            Self::Image => "image",
        }
    }

    /// What to do when it fails.
    fn advice(self) -> &'static str {
        match self {
            Self::Fmt => "Run cargo fmt --all.",
            Self::Clippy => "Run cargo clippy --workspace --all-targets, and fix what it reports.",
            Self::Doc => {
                "Run cargo doc --no-deps --workspace, and fix the warnings: here they are errors."
            }
            Self::Deny => {
                "deny.toml lists the licences, crates and sources that are allowed, with the reasons."
            }
            Self::Advisories => {
                "Run cargo update for the crate, or add the advisory to deny.toml with the reason why it does not apply."
            }
            Self::Monitoring => {
                "promtool reports which rule in deploy/monitoring/ is invalid, or fires when it should not."
            }
            Self::ControlPlane => "Run cargo xtask control-plane, which prints more.",
            Self::Tests => {
                "Run the failed test alone: cargo test --workspace NAME. It starts a control plane of its own; \
                 cargo xtask control-plane keeps one running."
            }
            Self::Fuzz => {
                "Run cargo test --package opcancel-fuzz, and correct what it reports; docs/reliability.md#fuzzing has more."
            }
            Self::Demo => "Run cargo xtask demo --keep, and inspect it with kubectl.",
            Self::Soak => "docs/reliability.md says how to read it, and how to repeat it.",
            Self::Image => {
                "Run cargo xtask image --reuse; docs/image.md lists what the image must fulfil."
            }
        }
    }

    /// Runs the step. The control plane that all test binaries share is kept in `shared`. Returns the reason if this machine
    /// cannot check it.
    fn run(self, shared: &mut Option<ControlPlane>, long: bool) -> Result<Option<String>> {
        if self == Self::Advisories {
            return cargo_deny::advisories();
        }
        self.check(shared, long).map(|()| None)
    }

    /// The same for a step that every machine can check.
    fn check(self, shared: &mut Option<ControlPlane>, long: bool) -> Result<()> {
        match self {
            Self::Advisories => Ok(()),
            Self::Fmt => fmt(),
            Self::Clippy => clippy(),
            Self::Doc => {
                let mut doc = cargo::cargo(&["doc", "--no-deps", "--workspace"]);
                cargo::run(doc.env("RUSTDOCFLAGS", "--deny=warnings"))
            }
            Self::Deny => cargo_deny::rules(),
            Self::Monitoring => monitoring::check(),
            Self::ControlPlane => {
                *shared = Some(ControlPlane::start(Options::default())?);
                build_tools()
            }
            Self::Tests => tests(shared.as_ref(), long),
            Self::Fuzz => fuzz::of_tests(),
            Self::Demo => {
                // It has one of its own.
                if let Some(control_plane) = shared.take() {
                    control_plane.stop()?;
                }
                demo::run(demo::Arguments::once())
            }
            Self::Soak => {
                soak::run(&soak::Arguments::of_tests())?;
                if long {
                    soak::run(&soak::Arguments::of_long_tests())?;
                }
                Ok(())
            }
            Self::Image => {
                image::run(image::Arguments::reuse())?;
                let scratch = tempfile::tempdir()?;
                release::run(release::Arguments::check(scratch.path())?)
            }
        }
    }
}

fn fmt() -> Result<()> {
    cargo::run(&mut cargo::cargo(&["fmt", "--all", "--check"]))?;
    let judge = cargo::root().join(OFFICIAL_CLIENTS).join("rust/Cargo.toml");
    let mut fmt = cargo::cargo(&["fmt", "--check", "--manifest-path"]);
    cargo::run(fmt.arg(judge))
}

fn clippy() -> Result<()> {
    cargo::run(&mut cargo::cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny=warnings",
    ]))?;
    let judge = cargo::root().join(OFFICIAL_CLIENTS).join("rust");
    let mut clippy = official_clients::rust_cargo(&judge, "clippy")?;
    cargo::run(clippy.args(["--quiet", "--", "--deny=warnings"]))
}

/// The tests would build these tools too, but without a message.
fn build_tools() -> Result<()> {
    for tool in go_tool::ALL {
        tool.get()?;
    }
    let judges = cargo::root().join(OFFICIAL_CLIENTS);
    official_clients::rust(&judges.join("rust"))?;
    official_clients::python(&judges.join("python"))?;
    official_clients::node(&judges.join("node"))?;
    Ok(())
}

/// All tests, on this control plane.
fn tests(shared: Option<&ControlPlane>, long: bool) -> Result<()> {
    let on_shared = |mut tests: Command| {
        if let Some(control_plane) = shared {
            tests.env(SHARED_VARIABLE, control_plane.folder());
        }
        cargo::run(&mut tests)
    };
    let mut all = cargo::cargo(&["test", "--workspace"]);
    // The end-to-end tests mostly wait: one thread a core would leave the cores idle.
    all.env("RUST_TEST_THREADS", "8");
    let mut result = on_shared(all);
    if long && result.is_ok() {
        let older = ["test", "--test=older_release", "--", "--ignored"];
        result = on_shared(cargo::cargo(&older));
    }
    if let Some(control_plane) = shared {
        control_plane.check()?;
    }
    result?;
    if long { long_tests() } else { Ok(()) }
}

fn long_tests() -> Result<()> {
    // One after the other, with the figures that they print.
    let faults = [
        "test",
        "--test=faults",
        "--",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ];
    cargo::run(&mut cargo::cargo(&faults))?;
    let mut properties = cargo::cargo(&["test", "--lib", "lifecycle::tests::properties"]);
    cargo::run(properties.env("PROPTEST_CASES", MANY_CASES))?;
    let model = ["test", "--package=opcancel-model", "--", "--ignored"];
    cargo::run(&mut cargo::cargo(&model))?;
    let slow = [
        "test",
        "--test=e2e",
        "hostile_answers",
        "--",
        "--ignored",
        "--nocapture",
    ];
    cargo::run(&mut cargo::cargo(&slow))?;
    // With a control plane of their own, which they fill.
    let large = ["test", "--test=e2e", "large_objects", "--", "--ignored"];
    cargo::run(&mut cargo::cargo(&large))?;
    let reliability = [
        "test",
        "--test=reliability",
        "--",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ];
    cargo::run(&mut cargo::cargo(&reliability))
}

/// Prints what was done, and how long it took.
fn summary(done: &[Done], whole: Duration, good: bool) {
    eprintln!("\n=== summary");
    for (index, one) in done.iter().enumerate() {
        let failed = !good && index + 1 == done.len();
        let result = if failed { "FAILED" } else { "ok" };
        eprintln!(
            "{:<14} {result:<7} {:>8}{}",
            one.step.title(),
            seconds(one.took),
            one.note()
        );
    }
    let result = if good { "ok" } else { "FAILED" };
    eprintln!("{:<14} {result:<7} {:>8}", "everything", seconds(whole));
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
