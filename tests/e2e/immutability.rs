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
        // There is one service only; leaving it out means the same.
        "service" => (json!("dialogflow"), json!("dialogflow"), Changes::Never),
        "version" => (json!("v2"), json!("v3"), Changes::Never),
        "serviceAccountName" => (json!("one"), json!("two"), Changes::Never),
        "acceptedOutcomes" => (json!(["Cancelled"]), json!(["Failed"]), Changes::UntilTheEnd),
        "deadlineSeconds" => (json!(100), json!(200), Changes::Always),
        "suspend" => (json!(true), json!(false), Changes::Always),
        other => panic!("say here when spec.{other} may be changed"),
    }
}

/// What the API server stores for an absent field.
fn default_of(schema: &Value) -> Value {
    schema.get("default").cloned().unwrap_or(Value::Null)
}

fn spec_schema() -> Value {
    let crd = std::fs::read_to_string(root().join("crds/operationcancellations.yaml")).unwrap();
    let crd: Value = serde_saphyr::from_str(&crd).unwrap();
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap().clone()
}

fn create(namespace: &Namespace, name: &str, spec: &Value) {
    let object = json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation", "metadata": {"name": name}, "spec": spec,
    });
    namespace.kubectl(&["create", "--filename=-"], &object.to_string()).unwrap();
}

fn patch(namespace: &Namespace, name: &str, patch: &Value) -> Result<String, String> {
    namespace.kubectl(&["patch", "opcancel", name, "--type=merge", "--patch", &patch.to_string()], "")
}

fn patch_status(namespace: &Namespace, name: &str, status: &Value) -> Result<String, String> {
    let patch = json!({"status": status}).to_string();
    kubectl_as_admin(
        &["patch", "opcancel", name, "--namespace", &namespace.name, "--subresource=status", "--type=merge", "--patch", &patch],
        "",
    )
}

const END: &str = "2026-01-02T03:04:05Z";

#[test]
fn each_spec_field_changes_exactly_when_it_may() {
    let namespace = Namespace::new("immutable");
    let schema = spec_schema();
    for (field_name, field_schema) in schema["properties"].as_object().unwrap() {
        let (one, other, changes) = field(field_name);
        let required = schema["required"].as_array().unwrap().contains(&json!(field_name));
        let absent = default_of(field_schema);
        let described = field_schema["description"].as_str().unwrap();
        assert_eq!(described.contains("Immutable"), changes != Changes::Always, "kubectl explain tells: {described}");
        let mut base = json!({"operationName": operation("a")});
        let object = |what: &str| format!("{}-{what}", field_name.to_lowercase());
        if !required {
            create(&namespace, &object("absent"), &base);
        }
        base[field_name] = one.clone();
        create(&namespace, &object("present"), &base);

        for ended in [false, true] {
            let may = match changes {
                Changes::Never => false,
                Changes::UntilTheEnd => !ended,
                Changes::Always => true,
            };
            // What was taken is put back, so that the end finds the same objects.
            let mut steps = vec![(object("present"), other.clone(), one.clone()), (object("present"), Value::Null, one.clone())];
            if !required {
                steps.push((object("absent"), one.clone(), absent.clone()));
            }
            for (name, to, before) in steps {
                let becomes = if to.is_null() { &absent } else { &to };
                let said = patch(&namespace, &name, &json!({"spec": {field_name: to}}));
                let context = format!("{name}: {before} to {to}, ended: {ended}: {said:?}");
                if *becomes == before {
                    said.unwrap_or_else(|_| panic!("{context}: it means the same"));
                } else if to.is_null() && required {
                    assert!(said.unwrap_err().contains("Required"), "{context}");
                } else if may {
                    said.unwrap_or_else(|_| panic!("{context}"));
                    patch(&namespace, &name, &json!({"spec": {field_name: before}})).unwrap();
                } else {
                    let why = said.unwrap_err();
                    let says = [format!("spec.{field_name} is immutable"), "another name".to_owned()];
                    assert!(says.iter().all(|part| why.contains(part)), "{context}");
                }
            }
            if !ended {
                let end = json!({"outcome": "Cancelled", "completionTime": END});
                for what in if required { &["present"][..] } else { &["present", "absent"] } {
                    patch_status(&namespace, &object(what), &end).unwrap();
                }
            }
        }
    }
}

#[test]
fn removing_a_defaulted_field_from_an_applied_file_is_no_trap() {
    let namespace = Namespace::new("removed");
    let name = operation("a");
    let apply = |fields: &str| {
        let object = format!(
            "{{apiVersion: opcancel.github.io/v1alpha1, kind: OperationCancellation, metadata: {{name: op}}, spec: {{operationName: {name}{fields}}}}}"
        );
        namespace.kubectl(&["apply", "--filename=-"], &object)
    };
    apply(", service: dialogflow, suspend: true, deadlineSeconds: 60, acceptedOutcomes: [NotFound]").unwrap();
    apply("").unwrap();
    let object = json_of(&namespace.kubectl(&["get", "opcancel", "op", "--output=json"], "").unwrap());
    assert_eq!(object["spec"]["acceptedOutcomes"], json!(["Cancelled", "Completed", "Failed"]));
    assert_eq!((&object["spec"]["service"], &object["spec"]["suspend"]), (&json!("dialogflow"), &json!(false)));
    patch_status(&namespace, "op", &json!({"outcome": "Cancelled", "completionTime": END})).unwrap();
    // The defaults written out mean the same, and what does nothing any more may still be edited.
    apply(", service: dialogflow, suspend: true, deadlineSeconds: 60, acceptedOutcomes: [Cancelled, Completed, Failed]").unwrap();
    apply("").unwrap();
    let why = apply(", acceptedOutcomes: [NotFound]").unwrap_err();
    assert!(why.contains("spec.acceptedOutcomes is immutable once status.outcome is recorded"), "{why}");
}

#[test]
fn an_outcome_cannot_be_changed_or_removed_by_hand() {
    let namespace = Namespace::new("final");
    create(&namespace, "op", &json!({"operationName": operation("a")}));
    for (status, said) in [
        (json!({"outcome": "not an outcome"}), "status.outcome"),
        (json!({"cancelAttempts": -1}), "status.cancelAttempts"),
        (json!({"conditions": [{"type": "Ready"}]}), "status.conditions"),
        (json!({"conditions": [{"type": "Ready", "status": "Maybe", "reason": "R", "message": "", "lastTransitionTime": END}]}), "status"),
    ] {
        let why = patch_status(&namespace, "op", &status).unwrap_err();
        assert!(why.contains(said), "{status}: {why}");
    }
    patch_status(&namespace, "op", &json!({"cancelAttempts": 3})).unwrap();
    for attempts in [json!(2), Value::Null] {
        let why = patch_status(&namespace, "op", &json!({"cancelAttempts": attempts})).unwrap_err();
        assert!(why.contains("status.cancelAttempts never goes back"), "{why}");
    }
    // An outcome of a newer release is stored as it is.
    patch_status(&namespace, "op", &json!({"outcome": "Superseded", "completionTime": END})).unwrap();
    for (status, said) in [
        (json!({"outcome": "Cancelled"}), "status.outcome is immutable once recorded"),
        (json!({"outcome": null}), "status.outcome is immutable once recorded"),
        (json!({"completionTime": "2026-01-02T03:04:06Z"}), "status.completionTime is immutable once recorded"),
        (json!({"completionTime": null}), "status.completionTime is immutable once recorded"),
        (Value::Null, "status.outcome is immutable once recorded"),
    ] {
        let why = patch_status(&namespace, "op", &status).unwrap_err();
        assert!(why.contains(said) && why.contains("another name"), "{status}: {why}");
    }
}
