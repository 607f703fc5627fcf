//! What the build before the names were widened makes of this release's CRDs: why "the CRDs first" was not safe with builds
//! before this one, and that grants of the new kind are no danger to it (docs/upgrade.md).
//!
//! It builds that older controller from this repository's history, which takes minutes: `cargo test --test older_release --
//! --ignored`, or `cargo xtask test --long`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

// The end-to-end tests use more of it.
#[allow(dead_code)]
#[path = "support/mod.rs"]
mod support;

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use operations_emulator::{EndResult, Fault, FaultCall, RpcCode, Scenario, Script};
use serde_json::{Value, json};
use support::{
    cluster::root,
    controller_process::ControllerProcess,
    world::{PROJECT, World, of_operation, operation},
};

/// The last commit whose controller knows two forms of names, and grants by projects alone.
const OLDER: &str = "dc1df1aa1cf2d54e1ca02f3fed510e83929a198d";

/// The controller of [`OLDER`]. Built by the first caller, and kept in the target directory.
fn older_controller() -> &'static Path {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM
        .get_or_init(build)
        .as_ref()
        .unwrap_or_else(|why| panic!("{why}"))
}

fn build() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("older-release")
        .join(OLDER);
    let (source, target) = (folder.join("source"), folder.join("target"));
    fs::create_dir_all(&source).map_err(|error| error.to_string())?;
    check_out(root(), &source)?;
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--bin=opcancel-controller"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&source)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !built.status.success() {
        let why = String::from_utf8_lossy(&built.stderr);
        return Err(format!("the controller of {OLDER} cannot be built: {why}"));
    }
    Ok(target.join("debug/opcancel-controller"))
}

/// Puts the files of [`OLDER`] into a folder, without a mark in the repository itself.
fn check_out(repository: &Path, folder: &Path) -> Result<(), String> {
    let done = folder.with_extension("whole");
    if done.exists() {
        return Ok(());
    }
    let no_history = |why: &str| {
        format!(
            "this test builds the controller of commit {OLDER} out of the repository's history, which is not to be had in {}: run it in a full clone \
             (in a shallow one after `git fetch --unshallow`). git says: {why}",
            repository.display()
        )
    };
    let mut git = Command::new("git")
        .args(["archive", "--format=tar", OLDER])
        .current_dir(repository)
        // Not the history of another repository that the folder may stand in.
        .env(
            "GIT_CEILING_DIRECTORIES",
            repository.parent().unwrap_or(repository),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| no_history(&error.to_string()))?;
    let unpacked = Command::new("tar")
        .args(["--extract", "--directory"])
        .arg(folder)
        .stdin(git.stdout.take().unwrap())
        .output()
        .map_err(|error| format!("tar cannot be run: {error}"))?;
    let archived = git.wait_with_output().map_err(|error| error.to_string())?;
    if !archived.status.success() {
        return Err(no_history(&String::from_utf8_lossy(&archived.stderr)));
    }
    if !unpacked.status.success() {
        let why = String::from_utf8_lossy(&unpacked.stderr);
        return Err(format!("the files of {OLDER} cannot be unpacked: {why}"));
    }
    File::create(done)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

#[test]
fn a_source_without_history_says_what_is_lacking() {
    let archive = tempfile::tempdir().unwrap();
    let why = check_out(archive.path(), archive.path()).unwrap_err();
    assert!(
        why.contains(OLDER) && why.contains("run it in a full clone"),
        "{why}"
    );
}

/// What a world sets that [`OLDER`] does not know yet.
const NEW_FLAGS: [&str; 1] = ["--namespace-calls-per-minute="];

/// Starts the older controller in the place of this world's own.
fn start_older(world: &mut World) {
    let ours = world.controller_command();
    let mut older = Command::new(older_controller());
    let knows = |argument: &&OsStr| {
        let argument = argument.to_string_lossy();
        !NEW_FLAGS.iter().any(|flag| argument.starts_with(flag))
    };
    older.args(ours.get_args().filter(knows));
    for (name, value) in ours.get_envs() {
        match value {
            Some(value) => older.env(name, value),
            None => older.env_remove(name),
        };
    }
    let mut controller = ControllerProcess::spawn(older);
    controller.wait_until_ready();
    world.controller = Some(controller);
}

/// The operations that anybody asked for, but for those by which a world lets time pass. The emulator records what it does not
/// serve too.
fn asked(world: &World) -> Vec<String> {
    let paths = world.emulator.requests().into_iter();
    paths
        .map(|request| request.path)
        .filter(|path| path.contains("operations/") && !path.contains("clock-prod"))
        .collect()
}

/// Names that this release's CRD lets through, and that neither release can read.
const NEW_NAMES: [(&str, &str); 3] = [
    ("nested", "projects/acme-prod/agents/a/operations/o"),
    ("alone", "operations/build/o"),
    (
        "organization",
        "organizations/1/locations/europe-west1/operations/o",
    ),
];

fn world_of_new_names(prefix: &str) -> World {
    let world = World::stopped(prefix, Scenario::default(), &[], &[]);
    world.grant();
    for (object, name) in NEW_NAMES {
        world.apply(&of_operation(object, name, &[])).unwrap();
    }
    world
}

#[test]
#[ignore = "builds an older release, which takes minutes: cargo xtask test --long"]
fn an_older_controller_ends_new_names_for_good() {
    let mut world = world_of_new_names("older-names");
    start_older(&mut world);
    for (object, seen) in world.all_finished() {
        assert_eq!(seen.outcome(), "Rejected", "{object}");
        assert_eq!(
            seen.condition("Ready"),
            "False/OutcomeNotAccepted",
            "{object}"
        );
    }
    let before = world.objects();
    // The release that waits comes too late for them.
    world.start();
    world.let_time_pass(Duration::from_millis(1000));
    for (object, seen) in world.objects() {
        if let Some(before) = before.get(&object) {
            assert_eq!(seen.0["status"], before.0["status"], "{object}");
        }
    }
    assert_eq!(asked(&world), [""; 0]);
}

#[test]
#[ignore = "stands beside what an older release makes of the same: cargo xtask test --long"]
fn this_controller_waits_for_a_release_that_knows_them() {
    let mut world = world_of_new_names("newer-names");
    world.start();
    for (object, _) in NEW_NAMES {
        world.wait(&[object], "condition=Stalled");
    }
    world.let_time_pass(Duration::from_millis(1000));
    for (object, seen) in world.objects() {
        assert_eq!(seen.outcome(), "-", "{object}");
        assert_eq!(
            (seen.condition("Ready"), seen.condition("Stalled")),
            ("False/UnknownName".into(), "True/UnknownName".into()),
            "{object}"
        );
    }
    assert_eq!(asked(&world), [""; 0]);
}

#[test]
#[ignore = "builds an older release, which takes minutes: cargo xtask test --long"]
fn an_older_controller_takes_no_new_grant_for_more_than_it_knows() {
    let parent = format!("projects/{PROJECT}");
    // What each grant says, besides namespace and service.
    let grants: [(&str, Value); 4] = [
        (
            "parents",
            json!({"parents": [parent], "identities": ["Operator"]}),
        ),
        (
            "operations",
            json!({"operationNames": ["operations/o"], "identities": ["Operator"]}),
        ),
        (
            "both",
            json!({"parents": [parent], "operationNames": ["operations/o"], "identities": ["Operator"]}),
        ),
        (
            "elsewhere",
            json!({"projects": ["other-prod"], "parents": [parent], "identities": ["Operator"]}),
        ),
    ];
    let names = grants.each_ref().map(|(name, _)| *name);
    let scenario = names.into_iter().fold(
        Scenario::default().with_operation(operation("known"), Script::default()),
        |scenario, name| scenario.with_operation(operation(name), Script::default()),
    );
    let mut world = World::stopped("older-grants", scenario, &[], &[]);
    start_older(&mut world);
    let own = world.namespace.name.clone();
    for (name, spec) in &grants {
        let grant = format!("{own}-{name}");
        world.grant_spec(&grant, spec);
        world.cancel(name, &[]);
        world.wait(&[name], "condition=Authorized=False");
        world.let_time_pass(Duration::from_millis(1000));
        let seen = world.object(name);
        assert_eq!(
            (seen.condition("Authorized"), seen.outcome()),
            ("False/NoGrant".into(), "-".into()),
            "{name}"
        );
        assert_eq!(world.calls(name), [], "{name}");
        world.revoke(&grant);
    }
    let log = world.controller().log();
    for name in ["parents", "operations", "both"] {
        let said = log.lines().any(|line| {
            line.contains(&format!("{own}-{name}"))
                && line.contains("cannot be read and grants nothing")
        });
        assert!(said, "{name}: {log}");
    }
    // It does work: what it knows, it does.
    world.grant();
    world.cancel("known", &[]);
    assert_eq!(world.finished("known").outcome(), "Cancelled");
}

/// What one release began, the other ends: an upgrade, and a rollback.
#[test]
#[ignore = "builds an older release, which takes minutes: cargo xtask test --long"]
fn each_release_goes_on_from_what_the_other_wrote() {
    for (prefix, older_is_first) in [("upgraded", true), ("rolled-back", false)] {
        let names = ["polled", "refused", "done"];
        let refusal = Fault::refuse(FaultCall::Cancel, RpcCode::FailedPrecondition).times(1);
        let scenario = Scenario::default()
            .with_operation(operation("polled"), Script::ignores_cancel())
            .with_operation(
                operation("refused"),
                Script::ignores_cancel().with_fault(refusal),
            )
            .with_operation(operation("done"), Script::default());
        let mut world = World::stopped(prefix, scenario, &[], &[]);
        world.grant();
        let start = |world: &mut World, older: bool| match older {
            true => start_older(world),
            false => world.start(),
        };
        start(&mut world, older_is_first);
        world.cancel_all(names);
        assert_eq!(world.finished("done").outcome(), "Cancelled");
        world.wait(&["polled"], "condition=CancelRequested");
        world.wait(
            &["refused"],
            "jsonpath={.status.lastError.status}=FAILED_PRECONDITION",
        );
        let done = world.object("done").0["status"].clone();
        world.controller().kill();
        for name in ["polled", "refused"] {
            let result = EndResult::completed();
            let ended = world.emulator.finish_operation(&operation(name), result);
            ended.unwrap();
        }
        start(&mut world, !older_is_first);
        for name in ["polled", "refused"] {
            let object = world.finished(name);
            assert_eq!(object.outcome(), "Completed", "{prefix}: {name}");
            assert_eq!(world.posts(name), 1, "{prefix}: {name}");
        }
        assert_eq!(world.object("done").0["status"], done, "{prefix}");
        assert_eq!(world.posts("done"), 1, "{prefix}");
    }
}
