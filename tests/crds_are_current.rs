//! `crds/` and `docs/api.md` are generated from the Rust types: `cargo xtask crds` writes them (by running this test with
//! `OPCANCEL_UPDATE_CRDS=1`), and this test fails when they are stale.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may panic anywhere"
)]

use std::{fs, path::Path};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use opcancel::{
    api::{cancellation_crd, grant_crd},
    google::catalogue,
};

#[path = "support/api_reference.rs"]
mod api_reference;

fn crds() -> [(&'static str, CustomResourceDefinition); 2] {
    let services: Vec<&str> = catalogue::service_names().collect();
    [
        (
            "crds/operationcancellations.yaml",
            cancellation_crd(&services).expect("a schema"),
        ),
        (
            "crds/cancellationgrants.yaml",
            grant_crd(&services).expect("a schema"),
        ),
    ]
}

fn generated() -> Vec<(&'static str, String)> {
    crds()
        .iter()
        .map(|(path, crd)| (*path, yaml(crd)))
        .collect()
}

fn yaml(crd: &CustomResourceDefinition) -> String {
    let body = serde_saphyr::to_string(crd).expect("plain data");
    format!("# Generated from src/api by `cargo xtask crds`; do not edit.\n{body}")
}

#[test]
fn the_generated_files_are_what_the_types_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reference = api_reference::page(&crds().map(|(_, crd)| crd));
    assert!(!reference.contains("\n\n\n"), "no part of it is empty");
    for (name, expected) in generated().into_iter().chain([("docs/api.md", reference)]) {
        let path = root.join(name);
        if std::env::var_os("OPCANCEL_UPDATE_CRDS").is_some() {
            fs::write(&path, &expected).expect("the folder is writable");
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{name} is stale: run `cargo xtask crds`");
    }
}

#[test]
fn group_and_version_are_the_constants() {
    for (_, text) in generated() {
        let crd: CustomResourceDefinition =
            serde_saphyr::from_str(&text).expect("what was written");
        assert_eq!(crd.spec.group, opcancel::api::GROUP);
        assert_eq!(crd.spec.versions[0].name, opcancel::api::VERSION);
    }
}

/// Every string that a user or an endpoint may fill has a limit: etcd's is 1.5 MB for the whole object.
#[test]
fn every_string_has_a_longest_length() {
    for (name, text) in generated() {
        let crd: serde_json::Value = serde_saphyr::from_str(&text).expect("what was written");
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            let mut unlimited = Vec::new();
            unlimited_strings(&schema["properties"][part], part, &mut unlimited);
            assert!(unlimited.is_empty(), "{name}: {unlimited:?}");
        }
    }
}

fn unlimited_strings(schema: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    if schema["type"] == "string"
        && schema.get("enum").is_none()
        && schema.get("maxLength").is_none()
    {
        found.push(path.to_owned());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        unlimited_strings(property, &format!("{path}.{name}"), found);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(key) {
            unlimited_strings(inner, &format!("{path}.{key}"), found);
        }
    }
}
