//! The controller uses every right that its roles give it, and needs no other: by the audit log of a full run.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use operations_emulator::{
    Answer,
    Call::{Cancel, Get},
    Emulator, Latency, RequestRecord, Scenario, Script,
};
use serde_json::json;
use xtask::control_plane::{ControlPlane, audit};

use crate::{
    applied::{Cluster, apply, declare, empty_cluster, grant, wait},
    rendered::Rendered,
    replicas::wait_for_leader,
    support::{
        cluster::runtime,
        controller_process::ControllerProcess,
        world::{PATIENCE, manifest, of_operation, operation},
    },
};

/// How many cancellations are under way when somebody else writes to all of them.
const CONTESTED: usize = 8;

#[test]
fn the_base_gives_exactly_what_is_used() {
    // A controller of all namespaces lists them. The right to get one is for --watch-namespace.
    full_run("base", &[("get", "", "namespaces")]);
}

#[test]
fn the_namespaced_overlay_gives_exactly_what_is_used() {
    let control_plane = full_run("overlays/namespaced", &[]);
    let account = "--as=system:serviceaccount:opcancel-system:opcancel-controller";
    for place in ["--namespace=default", "--all-namespaces"] {
        let arguments = ["auth", "can-i", "list", "opcancel", account, place];
        let output = control_plane
            .kubectl_command()
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            "no",
            "{place}"
        );
    }
}

/// Runs the rendered controller through all that it does at the API server, and compares that with its roles, but for the rights
/// that another configuration needs.
fn full_run(folder: &str, not_used: &[(&str, &str, &str)]) -> Cluster {
    let rendered = Rendered::kustomization(folder);
    let control_plane = empty_cluster();
    apply(&control_plane, &rendered);
    // What most clusters let every client do, and hardened ones do not.
    let bindings = ["discovery", "basic-user", "public-info-viewer"];
    for binding in bindings.map(|name| format!("clusterrolebinding/system:{name}")) {
        control_plane.run_kubectl(&["delete", &binding]).unwrap();
    }
    let kubeconfig = control_plane
        .service_account_kubeconfig("opcancel-system", "opcancel-controller")
        .unwrap();
    let emulator = runtime().block_on(Emulator::start(scenario())).unwrap();
    let start = |pod: &str| {
        let mut command = rendered.controller_command();
        command
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .arg(format!("--endpoint-override=dialogflow={}", emulator.url()))
            .arg(format!("--observe-budget={}s", FIRST_LOOK.as_secs() + 1))
            .env("GCE_METADATA_HOST", emulator.metadata_address())
            .env("HOSTNAME", pod);
        let mut controller = ControllerProcess::spawn(command);
        controller.wait_until_ready();
        controller
    };
    let mut controller = start("first");
    wait_for_leader(&control_plane, "first");
    let mut standby = start("second");

    grant(&control_plane);
    // No grant but this one selects by labels, so namespaces are read for it.
    control_plane.apply_text(&by_label("acme-test")).unwrap();
    declare(&control_plane, &[manifest("suspended", &["suspend: true"])]);
    wait(
        &control_plane,
        "suspended",
        "jsonpath={.status.conditions[?(@.type==\"CancelRequested\")].reason}=Suspended",
    );
    declare(&control_plane, &[manifest("plain", &[])]);
    wait(&control_plane, "plain", "condition=Finished");
    declare(&control_plane, &[of_operation("labelled", LABELLED, &[])]);
    wait(&control_plane, "labelled", "condition=Finished");
    lose_a_race(&control_plane, &controller, &emulator);

    controller.terminate();
    assert!(controller.wait().success());
    wait_for_leader(&control_plane, "second");
    standby.terminate();
    assert!(standby.wait().success());
    let mut given: BTreeSet<_> = rendered.rights().into_keys().collect();
    for (verb, group, resource) in not_used {
        let right = (*verb, *group, *resource);
        let right = (right.0.to_owned(), right.1.to_owned(), right.2.to_owned());
        assert!(given.remove(&right), "{right:?}");
    }
    let watches = given.iter().filter(|(verb, ..)| verb == "watch").count();
    let used = used(&control_plane.audit_log(), watches);
    assert_eq!(
        used, given,
        "{folder}: left is what was used, right what is given"
    );
    control_plane
}

/// How long the first look at a contested operation takes; the controller waits a second longer for it before its intent, so that
/// somebody else has this long to write.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// Two operations that are cancelled at once; those of [`lose_a_race`] come later.
fn scenario() -> Scenario {
    ["suspended", "plain"]
        .into_iter()
        .fold(Scenario::default(), |scenario, name| {
            scenario.with_operation(operation(name), Script::default())
        })
        .with_operation(LABELLED, Script::default())
}

/// Has somebody else write to objects between the controller's look at them and its intent, so that it must read them live.
/// The controller is stopped from the last look's arrival until its answer; whether it reads the news of the write or the answer
/// first when it goes on is up to its scheduler, so this goes on until it has happened.
fn lose_a_race(control_plane: &ControlPlane, controller: &ControllerProcess, emulator: &Emulator) {
    let begun = Instant::now();
    for round in 0.. {
        let names: Vec<_> = (0..CONTESTED)
            .map(|n| format!("contested-{round}-{n}"))
            .collect();
        for name in &names {
            let script = Script {
                latency: Some(Latency {
                    get: FIRST_LOOK,
                    cancel: Duration::ZERO,
                }),
                ..Script::default()
            };
            emulator.set_operation(&operation(name), script).unwrap();
        }
        let manifests: Vec<_> = names.iter().map(|name| manifest(name, &[])).collect();
        declare(control_plane, &manifests);
        let last = operation(names.last().unwrap());
        let looked = |answered: bool| {
            let seen = |requests: &[RequestRecord]| {
                requests.iter().any(|request| {
                    request.call == Some(Get)
                        && request.operation.as_deref() == Some(&last)
                        && (!answered || request.answer != Answer::Pending)
                })
            };
            runtime()
                .block_on(emulator.wait_for(seen, PATIENCE))
                .unwrap();
        };
        looked(false);
        controller.signal("STOP");
        let mut annotate = vec!["annotate", "--namespace=contact-center", "opcancel"];
        annotate.extend(names.iter().map(String::as_str));
        annotate.push("seen=yes");
        control_plane.run_kubectl(&annotate).unwrap();
        looked(true);
        controller.signal("CONT");
        for name in &names {
            wait(control_plane, name, "condition=Finished");
            assert_eq!(emulator.count(&operation(name), Cancel), 1, "{name}");
        }
        let live = ("get", "operationcancellations");
        let requests = own_requests(&control_plane.audit_log());
        if requests
            .iter()
            .any(|request| (request.verb.as_str(), request.resource.as_str()) == live)
        {
            return;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "no race was lost in {round} rounds"
        );
    }
}

/// The operation that a grant allows to the namespaces with a label.
const LABELLED: &str = "projects/acme-test/operations/labelled";

/// Grants a project to the namespace of the tests by its label.
fn by_label(project: &str) -> String {
    json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "CancellationGrant",
        "metadata": {"name": "by-label"},
        "spec": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "contact-center"}},
            "projects": [project], "services": ["dialogflow"], "identities": ["Operator"],
        },
    })
    .to_string()
}

/// Every right that the controller used, once the log has the ends of its watches of this many resources.
fn used(log: &Path, resources: usize) -> BTreeSet<(String, String, String)> {
    let begun = Instant::now();
    loop {
        let requests = own_requests(log);
        for request in &requests {
            assert!(!matches!(request.code, 401 | 403), "refused: {request:?}");
        }
        let watches = requests.iter().filter(|request| request.verb == "watch");
        let watched: BTreeSet<_> = watches.map(|request| &request.resource).collect();
        if watched.len() >= resources || begun.elapsed() > Duration::from_secs(10) {
            let right = |request: &audit::Request| {
                if request.resource.is_empty() {
                    return (request.verb.clone(), String::new(), request.uri.clone());
                }
                let resource = format!("{}/{}", request.resource, request.subresource);
                let mut resource = resource.trim_end_matches('/').to_owned();
                // Only the Lease's right is for one name, and the right to create cannot be.
                if request.resource == "leases" && request.verb != "create" {
                    resource = format!("{resource} {}", request.name);
                }
                (request.verb.clone(), request.group.clone(), resource)
            };
            return requests.iter().map(right).collect();
        }
        // A file announces nothing.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the controller asked for.
fn own_requests(log: &Path) -> Vec<audit::Request> {
    let mut requests = audit::requests(log).unwrap();
    requests.retain(|request| request.is_from("opcancel-system", "opcancel-controller"));
    requests
}
