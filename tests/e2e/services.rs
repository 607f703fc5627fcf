//! Services of each class, through the real API server: their names, grants, paths, and the ends of their operations.

mod classes;

use std::{collections::BTreeSet, fs};

use classes::{CLASSES, Cell, Class};
use opcancel::api::Outcome;
use operations_emulator::{Call, Scenario, Script};
use serde_json::{Value, json};

use crate::support::{
    cluster::{kubectl_as_admin, root},
    object::Object,
    service_kinds::all_kinds,
    world::World,
};

fn manifest(object: &str, service: &str, operation: &str) -> String {
    of_spec(
        object,
        &json!({"service": service, "operationName": operation}),
    )
}

fn of_spec(object: &str, spec: &Value) -> String {
    let object = json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation", "metadata": {"name": object},
        "spec": spec,
    });
    format!("{object}\n---\n")
}

/// A class that the catalogue gains needs a row, and so does an outcome.
#[test]
fn the_matrix_has_every_class_of_the_catalogue_with_every_outcome() {
    let matrix: BTreeSet<_> = CLASSES.iter().map(Class::kind).collect();
    assert_eq!(matrix, all_kinds());
    for class in &CLASSES {
        let cells = Outcome::ALL.iter().map(|outcome| (class.cells)(*outcome));
        let (reached, never): (Vec<_>, Vec<_>) =
            cells.partition(|cell| matches!(cell, Cell::Ends(..)));
        assert!(reached.len() >= 6, "{}", class.title);
        for cell in never {
            assert!(
                matches!(cell, Cell::Never(reason) if reason.len() > 20),
                "{}",
                class.title
            );
        }
    }
}

#[test]
fn operations_of_each_class_come_to_each_outcome() {
    let cells: Vec<_> = cells().collect();
    let scripted = cells.iter().map(|(class, outcome, script, _)| {
        let script = Script {
            service: Some(class.service.to_owned()),
            ..script.clone()
        };
        (class.name(*outcome), script)
    });
    let scenario = scripted.fold(Scenario::default(), |scenario, (name, script)| {
        scenario.with_operation(name, script)
    });
    let mut world = World::stopped("services", scenario, &[], &[]);
    world.override_endpoints(&CLASSES.each_ref().map(|class| class.service));
    for class in &CLASSES {
        let names: Vec<_> = Outcome::ALL
            .iter()
            .map(|outcome| class.name(*outcome))
            .collect();
        let grant = format!("{}-{}", world.namespace.name, class.title);
        world.grant_spec(&grant, &class.grant(&names));
    }
    world.start();
    let manifests = cells.iter().map(|(class, outcome, ..)| {
        let deadline = (*outcome == Outcome::Unknown).then_some(10);
        let spec = json!({
            "service": class.service, "version": class.version, "operationName": class.name(*outcome),
            "deadlineSeconds": deadline,
        });
        of_spec(&class.object(*outcome), &spec)
    });
    world.apply(&manifests.collect::<String>()).unwrap();
    let objects = world.all_finished();
    assert_eq!(objects.len(), cells.len());
    let wrong: Vec<_> = cells
        .iter()
        .filter_map(|(class, outcome, _, posts)| {
            let title = class.object(*outcome);
            let seen = Seen::of(
                &objects[&title],
                world.emulator.count(&class.name(*outcome), Call::Cancel),
            );
            let expected = Seen::expected(class, *outcome, *posts);
            (seen != expected).then(|| {
                format!(
                    "{title}: {seen:#?}\nexpected {expected:#?}\n{}",
                    objects[&title].0
                )
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The cells that a class can have: how the operation ends, and the number of cancel requests.
fn cells() -> impl Iterator<Item = (&'static Class, Outcome, Script, usize)> {
    let outcomes =
        |class: &'static Class| Outcome::ALL.iter().map(move |outcome| (class, *outcome));
    CLASSES
        .iter()
        .flat_map(outcomes)
        .filter_map(|(class, outcome)| match (class.cells)(outcome) {
            Cell::Ends(script, posts) => Some((class, outcome, *script, posts)),
            Cell::Never(_) => None,
        })
}

/// What must be seen of an object at its end.
#[derive(Debug, PartialEq)]
struct Seen {
    outcome: String,
    finished: String,
    ready: String,
    kstatus: &'static str,
    /// Service, version, parent and id.
    target: [String; 4],
    error: [String; 2],
    posts: usize,
}

impl Seen {
    fn of(object: &Object, posts: usize) -> Self {
        Self {
            outcome: object.outcome(),
            finished: object.condition("Finished"),
            ready: object.condition("Ready"),
            kstatus: object.kstatus(),
            target: ["service", "version", "parent", "operation"]
                .map(|field| object.text(&format!("/status/target/{field}"))),
            error: ["status", "message"]
                .map(|field| object.text(&format!("/status/operation/error/{field}"))),
            posts,
        }
    }

    fn expected(class: &Class, outcome: Outcome, posts: usize) -> Self {
        let accepted = matches!(
            outcome,
            Outcome::Cancelled | Outcome::Completed | Outcome::Failed | Outcome::Ended
        );
        let (ready, kstatus) = if accepted {
            ("True/OutcomeAccepted", "Current")
        } else {
            ("False/OutcomeNotAccepted", "Failed")
        };
        let name = class.name(outcome);
        let id = name.strip_prefix(class.parent).unwrap();
        let (_, id) = id.trim_start_matches('/').split_once("perations/").unwrap();
        Self {
            outcome: outcome.name().to_owned(),
            finished: format!("True/{outcome}"),
            ready: ready.to_owned(),
            kstatus,
            target: [class.service, class.version, or_absent(class.parent), id].map(str::to_owned),
            error: match outcome {
                Outcome::Failed => ["INTERNAL", "boom"],
                Outcome::Cancelled => ["CANCELLED", class.cancelled_message()],
                _ => ["-", "-"],
            }
            .map(str::to_owned),
            posts,
        }
    }
}

/// As [`Object::text`] shows a field that is not there.
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
