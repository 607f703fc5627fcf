//! With two field managers, what the last applier says of a list is what holds: a namespace that Git has dropped from a grant is
//! no longer granted, even if another manager applied it before. The lists are read from the CRDs, so that none can be forgotten.

use std::fs;

use serde_json::{Value, json};
use xtask::control_plane::{ControlPlane, Options};

use crate::support::{
    cluster::{Namespace, json_of, kubectl_as_admin, root},
    world::operation,
};

/// The CRDs with lists that people apply.
const CRDS: [&str; 2] = ["operationcancellations", "cancellationgrants"];

/// A list as two appliers have it first, and as the second one has it then. A new list has to be added here.
fn values(field: &str) -> (Value, Value) {
    match field {
        "acceptedOutcomes" => (
            json!(["Cancelled", "Completed", "Failed"]),
            json!(["Cancelled"]),
        ),
        "namespaces" => (json!(["a", "b"]), json!(["b"])),
        "projects" => (json!(["p", "q"]), json!(["p"])),
        "parents" => (json!(["projects/p", "folders/1"]), json!(["folders/1"])),
        "operationNames" => (
            json!(["customJobs/7/operations/1", "operations/b"]),
            json!(["operations/b"]),
        ),
        "services" => (json!(["dialogflow", "*"]), json!(["dialogflow"])),
        "identities" => (
            json!(["ServiceAccount", "Operator"]),
            json!(["ServiceAccount"]),
        ),
        other => panic!("say here what two appliers have in spec.{other}"),
    }
}

fn crd(name: &str) -> Value {
    let text = fs::read_to_string(root().join(format!("crds/{name}.yaml"))).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

const PROPERTIES: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";

/// The lists of a CRD's spec.
fn lists(crd: &Value) -> Vec<String> {
    let properties = crd.pointer(PROPERTIES).and_then(Value::as_object).unwrap();
    let lists = properties
        .iter()
        .filter(|(_, schema)| schema["type"] == "array");
    lists.map(|(name, _)| name.clone()).collect()
}

/// An object with one list as given, and all else that is required.
fn object(crd: &str, field: &str, list: &Value) -> Value {
    let mut object = match crd {
        "operationcancellations" => json!({
            "kind": "OperationCancellation",
            "spec": {"service": "dialogflow", "operationName": operation("o")},
        }),
        _ => json!({
            "kind": "CancellationGrant",
            "spec": {"namespaces": ["a"], "projects": ["p"], "services": ["dialogflow"], "identities": ["ServiceAccount"]},
        }),
    };
    if field == "operationNames" || field == "parents" {
        object["spec"].as_object_mut().unwrap().remove("projects");
    }
    if *list == values("identities").0 {
        object["spec"]["projects"] = json!(["p"]);
    }
    object["apiVersion"] = json!("opcancel.github.io/v1alpha1");
    object["spec"][field] = list.clone();
    object
}

/// Both appliers have the same; then each of them in turn has less.
fn check(
    crd: &str,
    field: &str,
    name: &str,
    apply: &dyn Fn(&str, &Value) -> Result<String, String>,
    stored: &dyn Fn(&str) -> Value,
) {
    let (long, short) = values(field);
    let named = |list: &Value| {
        let mut object = object(crd, field, list);
        object["metadata"] = json!({"name": name});
        object
    };
    apply("git", &named(&long)).unwrap();
    apply("somebody", &named(&long)).unwrap();
    for manager in ["git", "somebody"] {
        apply(manager, &named(&short)).unwrap();
        assert_eq!(
            stored(name)["spec"][field],
            short,
            "{crd} {field}, {manager}"
        );
        apply(manager, &named(&long)).unwrap();
        assert_eq!(
            stored(name)["spec"][field],
            long,
            "{crd} {field}, {manager}"
        );
    }
}

fn arguments(manager: &str) -> [String; 5] {
    [
        "apply".to_owned(),
        "--server-side".to_owned(),
        // As Flux, Argo CD and Helm do: Git wins.
        "--force-conflicts".to_owned(),
        format!("--field-manager={manager}"),
        "--filename=-".to_owned(),
    ]
}

#[test]
fn what_the_last_applier_says_of_a_list_holds() {
    let namespace = Namespace::new("lists");
    for kind in CRDS {
        for field in lists(&crd(kind)) {
            let name = format!("{}-{}", namespace.name, field.to_lowercase());
            let apply = |manager: &str, object: &Value| {
                let arguments = arguments(manager);
                let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
                match kind {
                    "cancellationgrants" => kubectl_as_admin(&arguments, &object.to_string()),
                    _ => namespace.kubectl(&arguments, &object.to_string()),
                }
            };
            let stored = |name: &str| {
                let arguments = ["get", kind, name, "--output=json"];
                json_of(&match kind {
                    "cancellationgrants" => kubectl_as_admin(&arguments, "").unwrap(),
                    _ => namespace.kubectl(&arguments, "").unwrap(),
                })
            };
            check(kind, &field, &name, &apply, &stored);
            if kind == "cancellationgrants" {
                kubectl_as_admin(&["delete", kind, &name], "").unwrap();
            }
        }
    }
}

/// Objects that were applied while the lists were sets have managed fields item by item. A cluster of its own, because CRDs belong
/// to the whole cluster.
#[test]
fn objects_of_the_older_schema_have_lists_of_the_last_applier_too() {
    let control_plane = ControlPlane::start(Options::default()).unwrap();
    let older = |kind: &str| {
        let mut crd = crd(kind);
        let properties = crd.pointer_mut(PROPERTIES).unwrap();
        for (_, schema) in properties.as_object_mut().unwrap() {
            if schema["type"] == "array" {
                schema["x-kubernetes-list-type"] = json!("set");
            }
        }
        crd.to_string()
    };
    let apply = |manager: &str, object: &Value| {
        let arguments = arguments(manager);
        let mut command = control_plane.kubectl_command();
        command.args(&arguments);
        xtask::control_plane::fed(&mut command, &object.to_string())
            .map_err(|error| error.to_string())
    };
    let cases: Vec<_> = CRDS
        .iter()
        .flat_map(|kind| {
            lists(&crd(kind))
                .into_iter()
                .map(move |field| (*kind, field))
        })
        .collect();
    for kind in CRDS {
        control_plane.apply_text(&older(kind)).unwrap();
    }
    let named = |kind: &str, field: &str, list: &Value| {
        let mut object = object(kind, field, list);
        object["metadata"] = json!({"name": field.to_lowercase(), "namespace": "default"});
        object
    };
    for (kind, field) in &cases {
        let (long, short) = values(field);
        for manager in ["git", "somebody"] {
            apply(manager, &named(kind, field, &long)).unwrap();
        }
        // Why the lists are not sets: an entry that Git dropped stays, because another manager owns it too.
        apply("git", &named(kind, field, &short)).unwrap();
        let stored = read(&control_plane, kind, field);
        let length = |list: &Value| list.as_array().map(Vec::len);
        assert_eq!(length(&stored), length(&long), "{kind} {field}: {stored}");
    }
    for kind in CRDS {
        control_plane.apply_text(&crd(kind).to_string()).unwrap();
    }
    for (kind, field) in &cases {
        let (_, short) = values(field);
        apply("git", &named(kind, field, &short)).unwrap();
        assert_eq!(read(&control_plane, kind, field), short, "{kind} {field}");
    }
    control_plane.stop().unwrap();
}

fn read(control_plane: &ControlPlane, kind: &str, field: &str) -> Value {
    let name = field.to_lowercase();
    let read = control_plane
        .run_kubectl(&["get", kind, &name, "--namespace=default", "--output=json"])
        .unwrap();
    let object: Value = serde_json::from_str(&read).unwrap();
    object["spec"][field].clone()
}
