//! Helm 4 itself waits for a chart's cancellations (docs/waiting.md#flux-and-helm).

use std::{path::Path, process::Command};

use operations_emulator::{EndResult, Script};
use xtask::go_tool::HELM;

use crate::support::{
    cluster::cluster,
    world::{World, manifest},
};

/// A chart with these manifests.
fn write_chart(folder: &Path, manifests: &str) {
    let templates = folder.join("templates");
    std::fs::create_dir_all(&templates).unwrap();
    let chart = "apiVersion: v2\nname: team\nversion: 1.0.0\n";
    std::fs::write(folder.join("Chart.yaml"), chart).unwrap();
    std::fs::write(templates.join("cancellations.yaml"), manifests).unwrap();
}

/// Runs Helm as the administrator in the world's namespace, with nothing of the user's own settings.
fn helm(world: &World, chart: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(HELM.get().unwrap())
        .args(arguments)
        .args(["--namespace", &world.namespace.name])
        .current_dir(chart)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", chart)
        .env("KUBECONFIG", cluster().control_plane.kubeconfig())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(said)
    }
}

fn names(world: &World) -> Vec<String> {
    world.objects().into_keys().collect()
}

fn strict(name: &str) -> String {
    manifest(name, &["acceptedOutcomes: [Cancelled]"])
}

/// A world with an operation that can be cancelled, and two that complete instead.
fn world(prefix: &str) -> World {
    let completes = || Script::already_done(EndResult::completed());
    World::new(
        prefix,
        [
            ("good", Script::default()),
            ("bad", completes()),
            ("worse", completes()),
        ],
    )
}

#[test]
fn it_waits_for_the_outcome_and_fails_with_its_message() {
    let world = world("helm-waits");
    let chart = tempfile::tempdir().unwrap();
    write_chart(chart.path(), &strict("good"));
    helm(&world, chart.path(), &["install", "team", ".", "--wait"]).unwrap();
    assert_eq!(world.object("good").outcome(), "Cancelled");
    write_chart(chart.path(), &[strict("good"), strict("bad")].concat());
    let why = helm(&world, chart.path(), &["upgrade", "team", ".", "--wait"]).unwrap_err();
    let message = world.object("bad").message("Ready");
    assert!(why.contains(&message), "{message:?} is not in: {why}");
    let status = helm(&world, chart.path(), &["status", "team"]).unwrap();
    assert!(status.contains("STATUS: failed"), "{status}");
    assert_eq!(names(&world), ["bad", "good"], "both keep their outcomes");
}

#[test]
fn a_failed_outcome_rolls_back_and_the_record_of_it_is_deleted() {
    let world = world("helm-rolls-back");
    let chart = tempfile::tempdir().unwrap();
    let roll_back = ["--rollback-on-failure", "--timeout=60s"];
    // A failed installation is uninstalled.
    write_chart(chart.path(), &[strict("good"), strict("bad")].concat());
    let install = [&["install", "team", "."][..], &roll_back].concat();
    helm(&world, chart.path(), &install).unwrap_err();
    assert!(names(&world).is_empty());
    assert_eq!(world.posts("good"), 1, "nothing is undone at Google");

    // A failed upgrade goes back to the release before: what it added goes, what was there keeps its outcome.
    write_chart(chart.path(), &strict("good"));
    helm(&world, chart.path(), &install).unwrap();
    let good = world.object("good");
    assert_eq!(good.condition("CancelRequested"), "False/AlreadyDone");
    write_chart(chart.path(), &[strict("good"), strict("worse")].concat());
    let upgrade = [&["upgrade", "team", "."][..], &roll_back].concat();
    let why = helm(&world, chart.path(), &upgrade).unwrap_err();
    assert!(why.contains("rolled back"), "{why}");
    assert_eq!(names(&world), ["good"]);
    assert_eq!(world.object("good").0["status"], good.0["status"]);
    assert_eq!(world.posts("good"), 1);
}

/// Helm 4's `--wait=legacy` is Helm 3's code.
#[test]
fn helm_3_waits_for_no_cancellation() {
    let world = World::without_grant("helm-legacy", []);
    let chart = tempfile::tempdir().unwrap();
    write_chart(chart.path(), &strict("op"));
    let install = ["install", "team", ".", "--wait=legacy", "--timeout=60s"];
    let said = helm(&world, chart.path(), &install).unwrap();
    assert!(said.contains("STATUS: deployed"), "{said}");
    assert_eq!(world.object("op").outcome(), "-");
}
