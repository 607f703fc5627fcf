//! What GitOps does to cancellations (docs/gitops.md): re-apply, prune, re-create, a cluster rebuilt from Git.

use std::time::Duration;

use operations_emulator::{
    Call::{Cancel, Get},
    Scenario, Script,
};
use serde_json::json;

use crate::support::{
    cluster::{kubectl_as_admin, root},
    object::Object,
    world::{World, manifest, operation},
};

/// Applies as Flux and, with the option ServerSideApply, Argo CD do.
fn sync(world: &World, manifests: &str) -> Result<String, String> {
    let arguments = [
        "apply",
        "--server-side",
        "--field-manager=gitops",
        "--filename=-",
    ];
    world.namespace.kubectl(&arguments, manifests)
}

fn version(object: &Object) -> String {
    object.text("/metadata/resourceVersion")
}

#[test]
fn a_sync_of_what_is_there_costs_nothing() {
    let world = World::new(
        "resync",
        [
            ("done", Script::default()),
            ("polling", Script::ignores_cancel()),
        ],
    );
    let manifests = ["done", "polling"].map(|name| manifest(name, &[])).concat();
    sync(&world, &manifests).unwrap();
    world.finished("done");
    world.wait(&["polling"], "condition=CancelRequested");
    let before = world.objects();
    let calls = world.calls("done");
    for _ in 0..3 {
        sync(&world, &manifests).unwrap();
    }
    // Argo CD marks what it tracks; a client-side apply leaves its own annotation.
    for name in ["done", "polling"] {
        let mark = "argocd.argoproj.io/tracking-id=team:opcancel.github.io/OperationCancellation";
        world
            .namespace
            .kubectl(&["annotate", "opcancel", name, mark], "")
            .unwrap();
    }
    world.let_time_pass(Duration::from_millis(2000));
    let after = world.objects();
    assert_eq!(world.calls("done"), calls, "what is finished is left alone");
    assert_eq!(world.posts("polling"), 1);
    for name in ["done", "polling"] {
        assert_eq!(after[name].0["status"], before[name].0["status"], "{name}");
        assert_eq!(after[name].text("/metadata/generation"), "1");
    }
    let begun = version(&after["done"]);
    sync(&world, &manifests).unwrap();
    assert_eq!(version(&world.object("done")), begun, "not even a write");
}

#[test]
fn pruned_and_applied_again_it_looks_first_and_records_the_same_truth() {
    let world = World::new("reapply", [("op", Script::default())]);
    sync(&world, &manifest("op", &[])).unwrap();
    let first = world.finished("op");
    world
        .namespace
        .kubectl(&["delete", "opcancel", "op"], "")
        .unwrap();
    sync(&world, &manifest("op", &[])).unwrap();
    let second = world.finished("op");
    assert_ne!(first.text("/metadata/uid"), second.text("/metadata/uid"));
    assert_eq!(
        (first.outcome(), second.outcome()),
        ("Cancelled".into(), "Cancelled".into())
    );
    assert_eq!(first.condition("CancelRequested"), "True/Accepted");
    assert_eq!(second.condition("CancelRequested"), "False/AlreadyDone");
    assert_eq!(
        world.calls("op"),
        [Get, Cancel, Get, Get],
        "the second object costs one GET"
    );
}

#[test]
fn a_cluster_rebuilt_from_git_sends_no_cancel_for_what_has_ended() {
    let ids = [
        "cancelled",
        "failed",
        "completed",
        "forgotten",
        "forgotten-and-accepted",
    ];
    let end = |result| Script::cancel_ends_as(result, Duration::ZERO);
    let failed =
        operations_emulator::EndResult::failed(operations_emulator::RpcCode::Internal, "it broke");
    let scenario = Scenario::default()
        .with_operation(operation(ids[0]), Script::default())
        .with_operation(operation(ids[1]), end(failed))
        .with_operation(
            operation(ids[2]),
            end(operations_emulator::EndResult::completed()),
        )
        .with_operation(operation(ids[3]), Script::default())
        .with_operation(operation(ids[4]), Script::default());
    let mut world = World::stopped("rebuild", scenario, &[], &[]);
    let accepts = ["acceptedOutcomes: [Cancelled, Completed, Failed, NotFound]"];
    let mut repository: String = ids[..4].iter().map(|id| manifest(id, &[])).collect();
    repository += &manifest(ids[4], &accepts);
    world.grant();
    world.start();
    sync(&world, &repository).unwrap();
    let before = world.all_finished();
    let posts = || ids.map(|id| world.posts(id));
    assert_eq!(posts(), [1; 5]);

    // What a new cluster has of the old one: nothing. The API has forgotten two operations meanwhile.
    world.controller.take();
    for object in before.keys() {
        world
            .namespace
            .kubectl(&["delete", "opcancel", object], "")
            .unwrap();
    }
    world.revoke(&world.namespace.name);
    for id in &ids[3..] {
        assert!(world.emulator.remove_operation(&operation(id)));
    }
    world.start();
    // In a repository's order the cancellations may well come before the grant.
    sync(&world, &repository).unwrap();
    world.wait(&["--all"], "condition=Authorized=False");
    world.grant();
    let after = world.all_finished();
    let posts = ids.map(|id| world.posts(id));
    assert_eq!(posts, [1; 5], "no cancel is sent again");
    for id in &ids[..3] {
        assert_eq!(after[*id].outcome(), before[*id].outcome(), "{id}");
        assert_eq!(
            after[*id].condition("CancelRequested"),
            "False/AlreadyDone",
            "{id}"
        );
        assert_eq!(
            after[*id].condition("Ready"),
            before[*id].condition("Ready"),
            "{id}"
        );
    }
    let [forgotten, accepted] = [&after[ids[3]], &after[ids[4]]];
    assert_eq!(
        (forgotten.outcome(), accepted.outcome()),
        ("NotFound".into(), "NotFound".into())
    );
    assert_eq!(forgotten.condition("Ready"), "False/OutcomeNotAccepted");
    assert_eq!(accepted.condition("Ready"), "True/OutcomeAccepted");
}

/// How tools write a manifest: Flux, Helm 4 and Argo CD with ServerSideApply; Argo CD otherwise, and kubectl.
const APPLIES: [&[&str]; 2] = [
    &[
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=gitops",
        "--filename=-",
    ],
    &["apply", "--filename=-"],
];

#[test]
fn a_hand_set_suspend_stays_unless_git_states_it() {
    let world = World::without_grant("suspended-by-hand", []);
    let suspend = |name: &str, suspend: bool| {
        let patch = json!({"spec": {"suspend": suspend}});
        world.patch(name, &patch).unwrap();
    };
    let is_suspended = |name: &str| world.object(name).0["spec"]["suspend"].clone();
    for (way, apply) in APPLIES.into_iter().enumerate() {
        let sync = |text: &str| world.namespace.kubectl(apply, text).unwrap();
        let [silent, stated, taken_out] =
            ["silent", "stated", "taken-out"].map(|name| format!("{name}-{way}"));
        sync(&manifest(&silent, &[]));
        suspend(&silent, true);
        sync(&manifest(&silent, &[]));
        sync(&manifest(&silent, &["deadlineSeconds: 99"]));
        assert_eq!(is_suspended(&silent), true, "{apply:?}");

        for in_git in [false, true] {
            let manifest = manifest(&stated, &[&format!("suspend: {in_git}")]);
            sync(&manifest);
            suspend(&stated, !in_git);
            sync(&manifest);
            assert_eq!(is_suspended(&stated), in_git, "{apply:?}");
        }

        // Taking the line out of Git brings the default back.
        sync(&manifest(&taken_out, &["suspend: true"]));
        sync(&manifest(&taken_out, &[]));
        assert_eq!(is_suspended(&taken_out), false, "{apply:?}");
    }
}

/// As `kubectl apply --server-side` and Terraform apply.
#[test]
fn a_sync_without_force_reports_a_hand_set_suspend_as_a_conflict() {
    let world = World::without_grant("suspend-conflict", []);
    let in_git = manifest("op", &["suspend: false"]);
    sync(&world, &in_git).unwrap();
    world
        .patch("op", &json!({"spec": {"suspend": true}}))
        .unwrap();
    let why = sync(&world, &in_git).unwrap_err();
    assert!(
        why.contains("conflict") && why.contains(".spec.suspend"),
        "{why}"
    );
}

#[test]
fn what_cannot_be_applied_is_refused_before_anything_changes() {
    let world = World::new("refused-sync", [("op", Script::default())]);
    sync(&world, &manifest("op", &[])).unwrap();
    let before = world.finished("op");
    let moved = crate::support::world::of_operation("op", &operation("another"), &[]);
    // The dry run is what makes Flux leave the whole Kustomization alone.
    for options in [&["--dry-run=server"][..], &[]] {
        let mut arguments = vec![
            "apply",
            "--server-side",
            "--field-manager=gitops",
            "--filename=-",
        ];
        arguments.extend(options);
        let why = world.namespace.kubectl(&arguments, &moved).unwrap_err();
        assert!(
            why.contains("is immutable") && why.contains("another name"),
            "{why}"
        );
    }
    assert_eq!(version(&world.object("op")), version(&before));
    // Every field that stays editable can be edited when it is over, and does nothing.
    sync(
        &world,
        &manifest("op", &["suspend: true", "deadlineSeconds: 99"]),
    )
    .unwrap();
    assert_eq!(world.object("op").0["status"], before.0["status"]);
    assert!(world.calls("another").is_empty());

    let generated = manifest("op", &[]).replace("  name: op\n", "  generateName: op-\n");
    let why = world.apply(&generated).unwrap_err();
    assert!(why.contains("generate name"), "{why}");
}

#[test]
fn a_forced_replacement_loses_the_outcome_and_sends_no_cancel() {
    let world = World::new(
        "forced",
        [
            ("op", Script::default()),
            ("other", Script::ignores_cancel()),
        ],
    );
    sync(&world, &manifest("op", &[])).unwrap();
    let first = world.finished("op");
    // As Flux with force, and Argo CD with Force=true and Replace=true.
    let changed = manifest("op", &["version: v3"]);
    let arguments = ["replace", "--force", "--filename=-"];
    world.namespace.kubectl(&arguments, &changed).unwrap();
    let second = world.finished("op");
    assert_ne!(first.text("/metadata/uid"), second.text("/metadata/uid"));
    assert_eq!(second.condition("CancelRequested"), "False/AlreadyDone");
    assert_eq!(world.posts("op"), 1);
}

#[test]
fn the_examples_for_git_repositories_are_taken_as_they_are() {
    let world = World::without_grant("examples-gitops", []);
    let folder = root().join("deploy/integrations/gitops");
    let build = |part: &str| {
        let path = folder.join(part);
        kubectl_as_admin(&["kustomize", path.to_str().unwrap()], "").unwrap()
    };
    let namespace = &world.namespace.name;
    let here = |text: String| text.replace("contact-center", namespace);
    let grant = here(build("platform/grants"));
    kubectl_as_admin(&["apply", "--server-side", "--filename=-"], &grant).unwrap();
    sync(&world, &here(build("team/cancellations"))).unwrap();
    // The emulator knows no such operation, as Google does not any more after a while.
    let object = world.finished("stop-agent-import");
    assert_eq!(object.outcome(), "NotFound");
    assert_eq!(object.condition("Ready"), "True/OutcomeAccepted");
    // Who may write cancellations may not write grants.
    let why = world
        .namespace
        .kubectl(&["apply", "--filename=-"], &grant)
        .unwrap_err();
    assert!(why.contains("forbidden"), "{why}");
}
