//! The resources themselves: how they are applied, explained, listed and defaulted.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{
    cluster::{Namespace, json_of, kubectl_as_admin, root},
    world::{PATIENCE, manifest, operation},
};

#[test]
fn each_crd_applies_with_plain_and_with_server_side_apply() {
    for file in [
        "crds/cancellationgrants.yaml",
        "crds/operationcancellations.yaml",
    ] {
        let path = root().join(file).display().to_string();
        for more in [
            &["--filename", &path][..],
            &["--server-side", "--force-conflicts", "--filename", &path],
        ] {
            let said =
                kubectl_as_admin(&[&["apply", "--dry-run=server"], more].concat(), "").unwrap();
            assert!(said.contains(".opcancel.github.io"), "{said}");
        }
    }
}

#[test]
fn explain_reads_like_documentation() {
    let explain = |what: &str| {
        let begun = Instant::now();
        loop {
            // The API server publishes the schema of a CRD a moment after the CRD is established.
            match kubectl_as_admin(&["explain", what], "") {
                Err(why) if why.contains("couldn't find resource") => {
                    assert!(begun.elapsed() < PATIENCE, "{why}");
                }
                said => {
                    let said = said.unwrap();
                    return said.split_whitespace().collect::<Vec<_>>().join(" ");
                }
            }
        }
    };
    let spec = explain("operationcancellation.spec");
    for sentence in [
        "The operation to stop, as the API that started it named it:",
        "The Google API that runs the operation.",
        "Default: the service's default (dialogflow: v2). Immutable.",
        "Act as this ServiceAccount of the object's own namespace instead of the operator's identity.",
        "The outcomes that count as success.",
        "How long to keep trying, in seconds from status.startTime; then the outcome is Unknown.",
        "Read the operation and report what would happen, but do not cancel it.",
    ] {
        assert!(spec.contains(sentence), "{sentence:?} is not in {spec}");
    }
    assert!(explain("operationcancellation").contains("Stops one Google long-running operation"));
    assert!(
        explain("cancellationgrant")
            .contains("Without a grant no OperationCancellation makes any call")
    );
    assert!(
        explain("cancellationgrant.spec.projects").contains("ids or numbers as in operation names")
    );
    assert!(
        explain("cancellationgrant.spec.namespaceSelector")
            .contains("A user who can label a namespace can give it the grant.")
    );
    assert!(
        explain("cancellationgrant.spec.namespaceSelector.matchExpressions.operator")
            .contains("also match namespaces without the label")
    );
    assert!(
        explain("operationcancellation.status.outcome").contains("it never changes afterwards")
    );
}

#[test]
fn every_field_has_a_description() {
    for file in [
        "crds/cancellationgrants.yaml",
        "crds/operationcancellations.yaml",
    ] {
        let crd: Value =
            serde_saphyr::from_str(&std::fs::read_to_string(root().join(file)).unwrap()).unwrap();
        let schema = crd
            .pointer("/spec/versions/0/schema/openAPIV3Schema")
            .unwrap();
        let mut lacking = Vec::new();
        undocumented(schema, "", &mut lacking);
        assert!(lacking.is_empty(), "{file}: {lacking:?}");
    }
}

fn undocumented(schema: &Value, path: &str, lacking: &mut Vec<String>) {
    if schema["description"]
        .as_str()
        .is_none_or(|text| text.len() < 10)
    {
        lacking.push(path.to_owned());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        undocumented(field, &format!("{path}.{name}"), lacking);
    }
    for (name, field) in schema["items"]["properties"]
        .as_object()
        .into_iter()
        .flatten()
    {
        undocumented(field, &format!("{path}[].{name}"), lacking);
    }
}

#[test]
fn a_new_object_has_the_defaults_and_does_not_read_as_done() {
    let namespace = Namespace::new("defaults");
    namespace
        .kubectl(&["apply", "--filename=-"], &manifest("op", &[]))
        .unwrap();
    let object = json_of(
        &namespace
            .kubectl(&["get", "opcancel", "op", "--output=json"], "")
            .unwrap(),
    );
    assert_eq!(
        object["spec"],
        json!({
            "operationName": operation("op"),
            "service": "dialogflow",
            "acceptedOutcomes": ["Cancelled", "Completed", "Failed"],
            "deadlineSeconds": 86400,
            "suspend": false,
        })
    );
    assert_eq!(object["status"], json!({"observedGeneration": -1}));
    assert_eq!(
        crate::support::object::Object(object).kstatus(),
        "InProgress"
    );

    let grant = format!(
        "{{apiVersion: opcancel.github.io/v1alpha1, kind: CancellationGrant, metadata: {{name: {0}}}, spec: {{namespaces: [{0}], projects: [p], services: [dialogflow], identities: [Operator]}}}}",
        namespace.name
    );
    kubectl_as_admin(&["apply", "--filename=-"], &grant).unwrap();
    let read = json_of(
        &kubectl_as_admin(
            &["get", "cancellationgrant", &namespace.name, "--output=json"],
            "",
        )
        .unwrap(),
    );
    assert_eq!(read["spec"]["services"], json!(["dialogflow"]));
    let table = kubectl_as_admin(&["get", "cancellationgrants", &namespace.name], "").unwrap();
    for word in [
        "NAMESPACES",
        "SELECTOR",
        "PROJECTS",
        "SERVICES",
        "IDENTITIES",
        "AGE",
        "[\"p\"]",
        "[\"Operator\"]",
    ] {
        assert!(table.contains(word), "{table}");
    }
}

#[test]
fn a_name_of_the_short_form_reaches_one_object() {
    let namespace = Namespace::new("short");
    namespace
        .kubectl(&["apply", "--filename=-"], &manifest("one", &[]))
        .unwrap();
    for word in [
        "opcancel",
        "operationcancellation",
        "operationcancellations",
        "operationcancellations.opcancel.github.io",
    ] {
        let said = namespace
            .kubectl(&["get", word, "one", "--output=name"], "")
            .unwrap();
        assert_eq!(
            said.trim(),
            "operationcancellation.opcancel.github.io/one",
            "{word}"
        );
    }
}

#[test]
fn server_side_apply_and_a_dry_run_work_as_usual() {
    let namespace = Namespace::new("ssa");
    let apply = ["apply", "--server-side", "--filename=-"];
    for _ in 0..2 {
        namespace
            .kubectl(
                &apply,
                &manifest("op", &["acceptedOutcomes: [NotFound, Cancelled]"]),
            )
            .unwrap();
    }
    let diff = namespace
        .kubectl(
            &["apply", "--dry-run=server", "--filename=-"],
            &manifest("op2", &[]),
        )
        .unwrap();
    assert!(diff.contains("created (server dry run)"), "{diff}");
}
