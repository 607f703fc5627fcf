//! Which fields may change, when, and what the refusal says. The fields are read from the CRD, so that none can be forgotten.

use serde_json::{Value, json};

use crate::support::{
    cluster::{Namespace, json_of, kubectl_as_admin, root},
    world::operation,
};

/// When a field of the spec may be changed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Changes {
    Never,
    UntilTheEnd,
    Always,
}

/// Two values of a field, and when it may be changed. A new field has to be added here.
fn field(name: &str) -> (Value, Value, Changes) {
    match name {
        "operationName" => (json!(operation("a")), json!(operation("b")), Changes::Never),
        // There is one service only.
        "service" => (json!("dialogflow"), json!("dialogflow"), Changes::Never),
        "version" => (json!("v2"), json!("v3"), Changes::Never),
        "serviceAccountName" => (json!("one"), json!("two"), Changes::Never),
        "acceptedOutcomes" => (
            json!(["Cancelled"]),
            json!(["Failed"]),
            Changes::UntilTheEnd,
        ),
        "deadlineSeconds" => (json!(100), json!(200), Changes::Always),
        "suspend" => (json!(true), json!(false), Changes::Always),
        other => panic!("say here when spec.{other} may be changed"),
    }
}

fn spec_schema() -> Value {
    let crd = std::fs::read_to_string(root().join("crds/operationcancellations.yaml")).unwrap();
    let crd: Value = serde_saphyr::from_str(&crd).unwrap();
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .unwrap()
        .clone()
}

fn create(namespace: &Namespace, objects: &[(String, Value)]) {
    let objects: Vec<_> = objects
        .iter()
        .map(|(name, spec)| {
            json!({"apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation", "metadata": {"name": name}, "spec": spec})
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    namespace
        .kubectl(&["create", "--filename=-"], &list.to_string())
        .unwrap();
}

fn patch_status(namespace: &Namespace, names: &[&str], status: &Value) -> Result<String, String> {
    let patch = json!({"status": status}).to_string();
    let mut arguments = vec![
        "patch",
        "opcancel",
        "--namespace",
        &namespace.name,
        "--subresource=status",
        "--type=merge",
        "--patch",
        &patch,
    ];
    arguments.extend(names);
    kubectl_as_admin(&arguments, "")
}

const END: &str = "2026-01-02T03:04:05Z";

/// A change of one field, from what an object of this name has to something else.
struct Change {
    object: String,
    field: String,
    from: Value,
    to: Value,
    /// What it means for the stored object: the default, if it is removed.
    becomes: Value,
    removes_required: bool,
    changes: Changes,
}

impl Change {
    fn check(&self, namespace: &Namespace, ended: bool) {
        let Self {
            object,
            field,
            from,
            to,
            ..
        } = self;
        let patch = json!({"spec": {field: to}}).to_string();
        let said = namespace.kubectl(
            &[
                "patch",
                "opcancel",
                object,
                "--type=merge",
                "--dry-run=server",
                "--patch",
                &patch,
            ],
            "",
        );
        let context = format!("{object}: {from} to {to}, ended: {ended}: {said:?}");
        let may = match self.changes {
            Changes::Never => false,
            Changes::UntilTheEnd => !ended,
            Changes::Always => true,
        };
        if self.removes_required {
            assert!(said.is_err_and(|why| why.contains("Required")), "{context}");
        } else if may || self.becomes == *from {
            assert!(said.is_ok(), "{context}");
        } else {
            let says = [
                format!("spec.{field} is immutable"),
                "another name".to_owned(),
            ];
            assert!(
                said.is_err_and(|why| says.iter().all(|part| why.contains(part))),
                "{context}"
            );
        }
    }
}

#[test]
fn each_spec_field_changes_exactly_when_it_may() {
    let namespace = Namespace::new("immutable");
    let schema = spec_schema();
    let (mut objects, mut changes) = (Vec::new(), Vec::new());
    for (name, field_schema) in schema["properties"].as_object().unwrap() {
        let (one, other, when) = field(name);
        let required = schema["required"]
            .as_array()
            .unwrap()
            .contains(&json!(name));
        let absent = field_schema.get("default").cloned().unwrap_or(Value::Null);
        let described = field_schema["description"].as_str().unwrap();
        assert_eq!(
            described.contains("Immutable"),
            when != Changes::Always,
            "kubectl explain tells: {described}"
        );
        let object = |what: &str| format!("{}-{what}", name.to_lowercase());
        let change = |what: &str, from: &Value, to: &Value| Change {
            object: object(what),
            field: name.clone(),
            from: from.clone(),
            to: to.clone(),
            becomes: if to.is_null() {
                absent.clone()
            } else {
                to.clone()
            },
            removes_required: required && to.is_null(),
            changes: when,
        };
        let mut spec = json!({"operationName": operation("a"), "service": "dialogflow"});
        if !required {
            objects.push((object("absent"), spec.clone()));
            changes.push(change("absent", &absent, &one));
        }
        spec[name] = one.clone();
        objects.push((object("present"), spec));
        changes.extend([
            change("present", &one, &other),
            change("present", &one, &Value::Null),
        ]);
    }
    create(&namespace, &objects);
    changes
        .iter()
        .for_each(|change| change.check(&namespace, false));
    let names: Vec<_> = objects.iter().map(|(name, _)| name.as_str()).collect();
    patch_status(
        &namespace,
        &names,
        &json!({"outcome": "Cancelled", "completionTime": END}),
    )
    .unwrap();
    changes
        .iter()
        .for_each(|change| change.check(&namespace, true));
}

#[test]
fn removing_a_defaulted_field_from_an_applied_file_is_no_trap() {
    let namespace = Namespace::new("removed");
    let name = operation("a");
    let apply = |fields: &str| {
        let object = format!(
            "{{apiVersion: opcancel.github.io/v1alpha1, kind: OperationCancellation, metadata: {{name: op}}, spec: {{service: dialogflow, operationName: {name}{fields}}}}}"
        );
        namespace.kubectl(&["apply", "--filename=-"], &object)
    };
    apply(", suspend: true, deadlineSeconds: 60, acceptedOutcomes: [NotFound]").unwrap();
    apply("").unwrap();
    let object = json_of(
        &namespace
            .kubectl(&["get", "opcancel", "op", "--output=json"], "")
            .unwrap(),
    );
    assert_eq!(
        object["spec"]["acceptedOutcomes"],
        json!(["Cancelled", "Completed", "Failed"])
    );
    assert_eq!(
        (&object["spec"]["service"], &object["spec"]["suspend"]),
        (&json!("dialogflow"), &json!(false))
    );
    patch_status(
        &namespace,
        &["op"],
        &json!({"outcome": "Cancelled", "completionTime": END}),
    )
    .unwrap();
    // The defaults written out mean the same, and what does nothing any more may still be edited.
    apply(", service: dialogflow, suspend: true, deadlineSeconds: 60, acceptedOutcomes: [Cancelled, Completed, Failed]").unwrap();
    apply("").unwrap();
    let why = apply(", acceptedOutcomes: [NotFound]").unwrap_err();
    assert!(
        why.contains("spec.acceptedOutcomes is immutable once status.outcome is recorded"),
        "{why}"
    );
}

#[test]
fn an_outcome_cannot_be_changed_or_removed_by_hand() {
    let namespace = Namespace::new("final");
    create(
        &namespace,
        &[(
            "op".to_owned(),
            json!({"operationName": operation("a"), "service": "dialogflow"}),
        )],
    );
    for (status, said) in [
        (json!({"outcome": "not an outcome"}), "status.outcome"),
        (json!({"cancelAttempts": -1}), "status.cancelAttempts"),
        (
            json!({"cancelAttemptedBy": "two words"}),
            "status.cancelAttemptedBy",
        ),
        (
            json!({"cancelAttemptedBy": "a".repeat(64)}),
            "status.cancelAttemptedBy",
        ),
        (
            json!({"conditions": [{"type": "Ready"}]}),
            "status.conditions",
        ),
        (
            json!({"conditions": [{"type": "Ready", "status": "Maybe", "reason": "R", "message": "", "lastTransitionTime": END}]}),
            "status",
        ),
    ] {
        let why = patch_status(&namespace, &["op"], &status).unwrap_err();
        assert!(why.contains(said), "{status}: {why}");
    }
    patch_status(&namespace, &["op"], &json!({"cancelAttempts": 3})).unwrap();
    for attempts in [json!(2), Value::Null] {
        let why =
            patch_status(&namespace, &["op"], &json!({"cancelAttempts": attempts})).unwrap_err();
        assert!(
            why.contains("status.cancelAttempts never goes back"),
            "{why}"
        );
    }
    // An outcome of a newer release is stored as it is.
    patch_status(
        &namespace,
        &["op"],
        &json!({"outcome": "Superseded", "completionTime": END}),
    )
    .unwrap();
    for (status, said) in [
        (
            json!({"outcome": "Cancelled"}),
            "status.outcome is immutable once recorded",
        ),
        (
            json!({"outcome": null}),
            "status.outcome is immutable once recorded",
        ),
        (
            json!({"completionTime": "2026-01-02T03:04:06Z"}),
            "status.completionTime is immutable once recorded",
        ),
        (
            json!({"completionTime": null}),
            "status.completionTime is immutable once recorded",
        ),
        (Value::Null, "status.outcome is immutable once recorded"),
    ] {
        let why = patch_status(&namespace, &["op"], &status).unwrap_err();
        assert!(
            why.contains(said) && why.contains("another name"),
            "{status}: {why}"
        );
    }
}
