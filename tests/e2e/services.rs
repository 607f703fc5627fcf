//! Services of each class, through the real API server: their names, grants, paths, and the ends of their operations.

use std::fs;

use operations_emulator::{Call, EndResult, RpcCode, Scenario, Script};
use serde_json::{Value, json};

use crate::support::{
    cluster::{kubectl_as_admin, root},
    world::World,
};

/// One service of a class.
struct Class {
    service: &'static str,
    /// The parent of the operations; empty if the names have none.
    parent: &'static str,
    /// The name up to the operation's id.
    before_id: &'static str,
    /// What a grant must have.
    allowed: fn(&[String]) -> Value,
    /// The outcome of an operation that was cancelled.
    cancelled: &'static str,
    /// The status of an operation's error.
    error: &'static str,
}

const PROJECT: fn(&[String]) -> Value = |_| json!({"projects": ["acme-prod"]});

/// A service with a form of its own for paths, operations or names.
const CLASSES: [Class; 7] = [
    Class {
        service: "container",
        parent: "projects/acme-prod/locations/us-central1",
        before_id: "projects/acme-prod/locations/us-central1/operations/",
        allowed: PROJECT,
        // The API does not say whether it was cancelled.
        cancelled: "Ended",
        error: "INTERNAL",
    },
    Class {
        service: "sqladmin",
        parent: "projects/acme-prod",
        before_id: "projects/acme-prod/operations/",
        allowed: PROJECT,
        cancelled: "Ended",
        error: "INTERNAL",
    },
    Class {
        service: "storage",
        parent: "projects/_/buckets/acme.media",
        before_id: "projects/_/buckets/acme.media/operations/",
        allowed: |_| json!({"parents": ["projects/_/buckets/acme.media"]}),
        cancelled: "Cancelled",
        error: "INTERNAL",
    },
    Class {
        service: "firestore",
        parent: "projects/acme-prod/databases/(default)",
        before_id: "projects/acme-prod/databases/(default)/operations/",
        allowed: PROJECT,
        cancelled: "Cancelled",
        error: "INTERNAL",
    },
    Class {
        service: "logging",
        parent: "organizations/123456789012/locations/global",
        before_id: "organizations/123456789012/locations/global/operations/",
        allowed: |_| json!({"parents": ["organizations/123456789012"]}),
        cancelled: "Cancelled",
        error: "INTERNAL",
    },
    Class {
        service: "cloudbuild",
        parent: "",
        before_id: "operations/build/acme-prod/",
        allowed: |names| json!({"operationNames": names}),
        cancelled: "Cancelled",
        error: "INTERNAL",
    },
    Class {
        service: "aiplatform",
        parent: "projects/acme-prod/locations/us-central1/tuningJobs/7",
        before_id: "projects/acme-prod/locations/us-central1/tuningJobs/7/operations/",
        allowed: |_| json!({"parents": ["projects/acme-prod/locations/us-central1"]}),
        cancelled: "Cancelled",
        error: "INTERNAL",
    },
];

impl Class {
    fn name(&self, id: &str) -> String {
        format!("{}{}-{id}", self.before_id, self.service)
    }

    fn object(&self, id: &str) -> String {
        format!("{}-{id}", self.service)
    }
}

fn manifest(object: &str, service: &str, operation: &str) -> String {
    let object = json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation", "metadata": {"name": object},
        "spec": {"service": service, "operationName": operation},
    });
    format!("{object}\n---\n")
}

#[test]
fn operations_of_each_class_end_as_the_api_says() {
    let scripts = [
        ("running", Script::default()),
        ("done", Script::already_done(EndResult::completed())),
        (
            "failed",
            Script::already_done(EndResult::failed(RpcCode::Internal, "boom")),
        ),
        ("refused", Script::cancel_unimplemented()),
    ];
    let mut scenario = Scenario::default();
    for class in &CLASSES {
        for (id, script) in &scripts {
            let script = Script {
                service: Some(class.service.to_owned()),
                ..script.clone()
            };
            scenario = scenario.with_operation(class.name(id), script);
        }
    }
    let mut world = World::stopped("services", scenario, &[], &[]);
    world.override_endpoints(&CLASSES.each_ref().map(|class| class.service));
    let ids = ["running", "done", "failed", "refused", "missing"];
    let mut manifests = String::new();
    for class in &CLASSES {
        let names = ids.map(|id| class.name(id));
        let mut grant = (class.allowed)(&names);
        grant["services"] = json!([class.service]);
        grant["identities"] = json!(["Operator"]);
        world.grant_spec(
            &format!("{}-{}", world.namespace.name, class.service),
            &grant,
        );
        for (id, name) in ids.iter().zip(&names) {
            manifests += &manifest(&class.object(id), class.service, name);
        }
    }
    world.start();
    world.apply(&manifests).unwrap();
    let objects = world.all_finished();
    for class in &CLASSES {
        let done = if class.cancelled == "Ended" {
            "Ended"
        } else {
            "Completed"
        };
        for (id, outcome, posts) in [
            ("running", class.cancelled, 1),
            ("done", done, 0),
            ("failed", "Failed", 0),
            ("refused", "Unsupported", 1),
            ("missing", "NotFound", 0),
        ] {
            let object = &objects[&class.object(id)];
            assert_eq!(
                object.outcome(),
                outcome,
                "{} {id}: {}",
                class.service,
                object.0
            );
            assert_eq!(
                world.emulator.count(&class.name(id), Call::Cancel),
                posts,
                "{} {id}",
                class.service
            );
            assert_eq!(
                object.text("/status/target/parent"),
                or_absent(class.parent),
                "{}",
                class.service
            );
            assert_eq!(object.text("/status/target/service"), class.service);
            let ready = !["Unsupported", "NotFound"].contains(&outcome);
            assert_eq!(
                object.condition("Ready").starts_with("True"),
                ready,
                "{} {id}",
                class.service
            );
        }
        let failed = &objects[&class.object("failed")];
        assert_eq!(
            failed.text("/status/operation/error/status"),
            class.error,
            "{}",
            class.service
        );
        assert_eq!(failed.text("/status/operation/error/message"), "boom");
    }
}

/// As [`crate::support::object::Object::text`] shows a field that is not there.
fn or_absent(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// The message has the grant for this name's own parent, or for the name itself if it has none.
#[test]
fn without_a_grant_the_message_has_the_grant_for_its_own_parent() {
    let world = World::without_grant("n", []);
    for (object, service, name, spec) in [
        (
            "bucket",
            "storage",
            "projects/_/buckets/acme/operations/o",
            r#""parents":["projects/_/buckets/acme"],"services":["storage"]"#,
        ),
        (
            "folder",
            "logging",
            "folders/7/locations/eu/operations/o",
            r#""parents":["folders/7/locations/eu"],"services":["logging"]"#,
        ),
        (
            "build",
            "cloudbuild",
            "operations/build/x1",
            r#""operationNames":["operations/build/x1"],"services":["cloudbuild"]"#,
        ),
        (
            "express",
            "aiplatform",
            "customJobs/7/operations/o",
            r#""operationNames":["customJobs/7/operations/o"],"services":["aiplatform"]"#,
        ),
    ] {
        world.apply(&manifest(object, service, name)).unwrap();
        world.wait(
            &[object],
            "jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}=NoGrant",
        );
        let message = world.object(object).message("Ready");
        assert!(message.contains(spec), "{message}");
        let (_, grant) = message.split_once("pply: ").unwrap();
        kubectl_as_admin(&["create", "--dry-run=server", "--filename=-"], grant).unwrap();
    }
    assert!(
        world
            .emulator
            .requests()
            .iter()
            .all(|request| request.call.is_none())
    );
}

/// What people copy from `examples/services/`.
#[test]
fn the_examples_of_services_end_as_they_say() {
    let folder = root().join("examples/services");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<Value> = files
        .map(|path| serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap())
        .collect();
    let is_grant = |file: &Value| file["kind"] == "CancellationGrant";
    let grant = files.iter().position(is_grant).unwrap();
    let grant = files.swap_remove(grant);
    let mut scenario = Scenario::default();
    for file in &files {
        let script = Script {
            service: Some(file["spec"]["service"].as_str().unwrap().to_owned()),
            ..Script::default()
        };
        scenario = scenario.with_operation(file["spec"]["operationName"].as_str().unwrap(), script);
    }
    let mut world = World::stopped("examples", scenario, &[], &[]);
    let services: Vec<_> = files
        .iter()
        .map(|file| file["spec"]["service"].as_str().unwrap())
        .collect();
    assert_eq!(services.len(), 6);
    world.override_endpoints(&services);
    let mut spec = grant["spec"].clone();
    spec["namespaces"] = json!([world.namespace.name]);
    world.grant_spec(&format!("{}-examples", world.namespace.name), &spec);
    world.start();
    let manifests = files.iter().map(|file| {
        let mut file = file.clone();
        file["metadata"]["namespace"] = json!(world.namespace.name);
        format!("{file}\n---\n")
    });
    world.apply(&manifests.collect::<String>()).unwrap();
    for file in &files {
        let name = file["metadata"]["name"].as_str().unwrap();
        let expected = &file["metadata"]["annotations"]["examples.opcancel.github.io/ends-as"];
        assert_eq!(json!(world.finished(name).outcome()), *expected, "{name}");
    }
}
