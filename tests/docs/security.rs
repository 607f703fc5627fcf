//! `docs/security.md`: each attack has a test that exists, and each permission of the controller is explained.

use std::{collections::BTreeSet, fs};

use regex::Regex;
use serde_json::Value;

use crate::support::cluster::root;

const PAGE: &str = "docs/security.md";

/// The files with roles of the controller.
const ROLES: [&str; 4] = [
    "deploy/base/controller-role.yaml",
    "deploy/base/leader-election-role.yaml",
    "deploy/overlays/service-accounts/namespace/role.yaml",
    "deploy/overlays/service-accounts/all-namespaces/role.yaml",
];

/// The rows of the table below a heading, without its head, each as its cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join(PAGE)).unwrap();
    let start = format!("\n## {heading}\n");
    let (_, section) = text.split_once(&start).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let cells = |row: &str| {
        let row = row.trim_start_matches('|').trim_end_matches('|');
        row.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    rows.skip(1).map(cells).collect()
}

#[test]
fn each_attack_names_tests_that_exist() {
    let named =
        Regex::new("`((?:src|tests|fuzz)/[A-Za-z0-9_/]+[.]rs)(?:::([a-z0-9_]+))?`").unwrap();
    let rows = table("Attacks and their tests");
    assert!(rows.len() >= 20, "{}", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let [_, attack, _, tests] = row.as_slice() else {
            panic!("a row has other cells: {row:?}");
        };
        let tests: Vec<_> = named.captures_iter(tests).collect();
        if tests.is_empty() {
            wrong.push(format!("{attack}: no test"));
        }
        for test in tests {
            let file = &test[1];
            let text = fs::read_to_string(root().join(file)).unwrap_or_default();
            let is_there = match test.get(2) {
                Some(name) => text.contains(&format!("fn {}(", name.as_str())),
                None => !text.is_empty(),
            };
            if !is_there {
                wrong.push(format!("{attack}: {}", &test[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn each_permission_of_the_controller_is_explained() {
    let explained: BTreeSet<_> = table("Permissions in the cluster")
        .into_iter()
        .map(|row| {
            let [file, resource, verbs, why] = row.as_slice() else {
                panic!("a row has other cells: {row:?}");
            };
            assert!(why.len() > 8, "{file} {resource}: {why}");
            let plain = |cell: &str| cell.replace('`', "");
            (plain(file), plain(resource), plain(verbs))
        })
        .collect();
    let given: BTreeSet<_> = ROLES.into_iter().flat_map(permissions).collect();
    assert_eq!(explained, given, "left is {PAGE}, right the files");
}

/// File, resource and verbs of each rule.
fn permissions(file: &str) -> Vec<(String, String, String)> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let mut found = Vec::new();
    for document in text.split("\n---\n") {
        let role: Value = serde_saphyr::from_str(document).unwrap();
        for rule in role["rules"].as_array().into_iter().flatten() {
            let words = |key: &str| -> Vec<String> {
                let list = rule[key].as_array().into_iter().flatten();
                list.map(|word| word.as_str().unwrap().to_owned()).collect()
            };
            let names = words("resourceNames");
            let named = match names.is_empty() {
                true => String::new(),
                false => format!(" named {}", names.join(", ")),
            };
            let mut resources = words("nonResourceURLs");
            for group in words("apiGroups") {
                for resource in words("resources") {
                    resources.push(with_group(&resource, &group));
                }
            }
            for resource in resources {
                let verbs = words("verbs").join(", ");
                found.push((file.to_owned(), format!("{resource}{named}"), verbs));
            }
        }
    }
    found
}

/// A resource as `kubectl auth can-i` takes it: `RESOURCE.GROUP/SUBRESOURCE`.
fn with_group(resource: &str, group: &str) -> String {
    let (plural, sub) = match resource.split_once('/') {
        Some((plural, sub)) => (plural, format!("/{sub}")),
        None => (resource, String::new()),
    };
    match group {
        "" => resource.to_owned(),
        group => format!("{plural}.{group}{sub}"),
    }
}
