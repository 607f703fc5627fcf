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
    let mut crd = serde_json::to_value(crd).expect("plain data");
    whole_numbers(&mut crd);
    let body = serde_saphyr::to_string(&crd).expect("plain data");
    format!("# Generated from src/api by `cargo xtask crds`; do not edit.\n{body}")
}

/// The Rust type has limits as floating-point numbers; those of integers are integers.
fn whole_numbers(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            let whole = text
                .strip_suffix(".0")
                .and_then(|text| text.parse::<i64>().ok());
            if let Some(whole) = whole {
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
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

/// Some clients make floating-point fields of a limit like `10.0`, or of a format that they do not know.
#[test]
fn every_number_is_an_integer() {
    for (name, text) in generated() {
        let crd: serde_json::Value = serde_saphyr::from_str(&text).expect("what was written");
        let mut wrong = Vec::new();
        fractions(&crd["spec"]["versions"][0]["schema"], "", &mut wrong);
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
}

fn fractions(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    use serde_json::Value;
    let fraction = value.as_f64().is_some() && value.as_i64().is_none();
    let format = value["format"].as_str();
    let number = value["type"] == "number"
        || format.is_some_and(|format| !["int32", "int64", "date-time"].contains(&format));
    if fraction || number {
        found.push(path.to_owned());
    }
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                fractions(inner, &format!("{path}.{key}"), found);
            }
        }
        Value::Array(items) => {
            for item in items {
                fractions(item, path, found);
            }
        }
        _ => {}
    }
}

/// With any other type a value stays that the last one who applied the object has taken out, if a second field manager owns it.
#[test]
fn every_list_of_a_spec_is_replaced_as_a_whole() {
    let mut lists = 0;
    for (name, text) in generated() {
        let crd: serde_json::Value = serde_saphyr::from_str(&text).expect("what was written");
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        for (field, schema) in spec["properties"].as_object().expect("fields") {
            if schema["type"] == "array" {
                assert_eq!(
                    schema["x-kubernetes-list-type"], "atomic",
                    "{name}: {field}"
                );
                assert!(schema["maxItems"].is_u64(), "{name}: {field}");
                lists += 1;
            }
        }
    }
    assert_eq!(lists, 7);
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
