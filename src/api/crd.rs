//! The two CustomResourceDefinitions: what the derive macros make, and the few things that they cannot say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use super::{CancellationGrant, OperationCancellation, label_rules, name_rules};

/// The CRD of `OperationCancellation`. `services` are the names of the service catalogue: the enum of `spec.service`.
pub fn cancellation_crd(services: &[&str]) -> Result<CustomResourceDefinition, serde_json::Error> {
    edit(OperationCancellation::crd(), |schema| {
        set(
            schema,
            "/properties/spec/properties/service",
            "enum",
            json!(services),
        );
        // On the object itself: a default inside `properties` is not applied while `status` is absent, and without any
        // status kstatus calls a new object done.
        set(
            schema,
            "/properties/status",
            "default",
            json!({"observedGeneration": -1}),
        );
        set(
            schema,
            "/properties/status/properties/lastError/properties/metadata/additionalProperties",
            "maxLength",
            json!(1024),
        );
    })
}

/// The CRD of `CancellationGrant`. `services` as for [`cancellation_crd`]; a grant may name all of them by `*`.
pub fn grant_crd(services: &[&str]) -> Result<CustomResourceDefinition, serde_json::Error> {
    let services: Vec<_> = services.iter().chain(&["*"]).collect();
    edit(CancellationGrant::crd(), |schema| {
        set(
            schema,
            "/properties/spec/properties/services/items",
            "enum",
            json!(services),
        );
        for entries in &name_rules::GRANT_ENTRIES {
            set(
                schema,
                &format!("/properties/spec/properties/{}/items", entries.list),
                "x-kubernetes-validations",
                json!([{"rule": entries.rule(), "message": entries.message}]),
            );
        }
        // As label selectors in Kubernetes are: an apply replaces the selector as a whole.
        set(
            schema,
            "/properties/spec/properties/namespaceSelector",
            "x-kubernetes-map-type",
            json!("atomic"),
        );
        for rule in label_rules::selector_rules() {
            let pointer = format!(
                "/properties/spec/properties/namespaceSelector/properties/{}",
                rule.pointer
            );
            set(
                schema,
                &pointer,
                "x-kubernetes-validations",
                json!([{"rule": rule.rule, "message": rule.message}]),
            );
        }
        set(
            schema,
            "/properties/spec/properties/namespaceSelector/properties/matchLabels/additionalProperties",
            "maxLength",
            json!(label_rules::LONGEST_VALUE),
        );
    })
}

fn edit(
    crd: CustomResourceDefinition,
    change: impl FnOnce(&mut Value),
) -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut value = serde_json::to_value(crd)?;
    if let Some(schema) = value.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        tidy(schema);
        change(schema);
    }
    serde_json::from_value(value)
}

fn set(schema: &mut Value, pointer: &str, key: &str, value: Value) {
    if let Some(Value::Object(at)) = schema.pointer_mut(pointer) {
        at.insert(key.to_owned(), value);
    }
}

/// Takes out what schemars says and Kubernetes has no use for: `nullable` (an explicit null would be stored, and `has()`
/// in CEL would call it present), and the numeric formats that the API server warns of.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            tidy_object(map);
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn tidy_object(map: &mut Map<String, Value>) {
    if map.get("nullable") == Some(&Value::Bool(true)) {
        map.remove("nullable");
    }
    if map.get("uniqueItems").is_some_and(Value::is_boolean) {
        // Refused by structural schemas. A name that stands twice in a grant does no harm; in spec.acceptedOutcomes a rule
        // refuses it.
        map.remove("uniqueItems");
    }
    // A doc comment is wrapped where its source is; `kubectl explain` wraps for the reader's window.
    if let Some(Value::String(description)) = map.get_mut("description") {
        *description = description
            .split("\n\n")
            .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
            .join("\n\n");
    }
}
