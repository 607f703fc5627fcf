//! The data of the service catalogue: it is what `cargo xtask catalogue` makes of Google's discovery documents, it covers what it
//! covered before, and default versions stay.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic anywhere"
)]

#[path = "../support/raw_http.rs"]
mod raw_http;

mod discovery_client;
mod go_client;
mod no_names_in_code;
mod requests;

use std::{collections::BTreeMap, fs, path::Path, sync::OnceLock};

use xtask::catalogue::{self, Coverage, Generated};

fn generated() -> &'static Generated {
    static GENERATED: OnceLock<Generated> = OnceLock::new();
    GENERATED.get_or_init(|| catalogue::generate(root()).unwrap())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn coverage(methods: usize, covered: usize, left_out: &[(&str, usize)]) -> Coverage {
    let left_out = left_out
        .iter()
        .map(|(reason, count)| ((*reason).to_owned(), *count));
    Coverage {
        methods,
        covered,
        left_out: left_out.collect(),
    }
}

#[test]
fn the_generated_files_are_what_the_documents_say() {
    let generated = generated();
    for (path, text) in [
        (catalogue::DATA, &generated.text),
        (catalogue::PAGE, &generated.page),
        (catalogue::BINDINGS, &generated.bindings),
    ] {
        let found = fs::read_to_string(root().join(path)).unwrap();
        assert!(
            found == *text,
            "{path} is stale: run `cargo xtask catalogue`"
        );
    }
}

#[test]
fn every_method_is_covered_or_left_out_for_a_reason() {
    let generated = generated();
    assert_eq!(
        generated.discovery,
        coverage(
            466,
            454,
            &[
                ("no GET", 7),
                ("cancel by GET", 1),
                ("cloud-platform is not enough", 4)
            ]
        )
    );
    assert_eq!(
        generated.beyond_discovery,
        coverage(
            144,
            130,
            &[
                ("no GET", 1),
                ("cloud-platform is not enough", 5),
                ("no scopes documented", 3),
                ("only in a document of 2020", 5),
            ]
        )
    );
}

/// Objects in clusters depend on it.
#[test]
fn default_versions_stay() {
    let kept = include_str!("default_versions.tsv").lines();
    let kept: BTreeMap<&str, &str> = kept
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once('\t').unwrap())
        .collect();
    let services = generated()
        .text
        .lines()
        .filter(|line| line.starts_with("service\t"));
    let defaults: BTreeMap<&str, &str> = services
        .map(|line| {
            let cells: Vec<_> = line.split('\t').collect();
            (cells[1], cells[7])
        })
        .collect();
    for (service, version) in &kept {
        assert_eq!(
            defaults.get(service),
            Some(version),
            "{service}: a default version must not change"
        );
    }
    let new: Vec<_> = defaults
        .keys()
        .filter(|service| !kept.contains_key(*service))
        .collect();
    assert!(
        new.is_empty(),
        "add these to tests/catalogue/default_versions.tsv: {new:?}"
    );
}

/// The permissions that a page names in a command.
fn permissions(page: &str) -> Vec<&str> {
    page.lines()
        .filter_map(|line| line.split_once("--permissions="))
        .flat_map(|(_, rest)| rest.split_whitespace().next().unwrap().split(','))
        .collect()
}

#[test]
fn every_permission_in_a_command_has_its_evidence_in_the_catalogue() {
    let kept = fs::read_to_string(root().join("catalogue/services.yaml")).unwrap();
    let pages = fs::read_dir(root().join("docs")).unwrap();
    let mut commands = 0;
    for page in pages.map(|page| page.unwrap().path()) {
        let Ok(text) = fs::read_to_string(&page) else {
            continue;
        };
        for permission in permissions(&text) {
            let row = format!("        {permission}: ");
            let rows: Vec<_> = kept.lines().filter(|line| line.starts_with(&row)).collect();
            assert_eq!(rows.len(), 1, "{}: {permission}", page.display());
            commands += 1;
        }
    }
    assert!(commands > 0);
}

#[test]
fn ten_services_have_a_role_and_all_its_commands() {
    let page = &generated().page;
    let (_, roles) = page.split_once("\n## Custom roles\n").unwrap();
    let (roles, _) = roles.split_once("\n## ").unwrap();
    let roles: Vec<_> = roles.split("\n### ").skip(1).collect();
    assert_eq!(roles.len(), 10);
    for role in roles {
        for command in [
            "gcloud services enable ",
            "gcloud projects add-iam-policy-binding acme-prod --role=",
        ] {
            assert_eq!(role.matches(command).count(), 1, "{role}");
        }
        let is_predefined = role.contains("Predefined role: `roles/");
        let created = role.matches("gcloud iam roles create opcancel.").count();
        assert_eq!(created, usize::from(!is_predefined), "{role}");
        let table = role.matches("\n| `").count();
        assert_eq!(permissions(role).len(), table, "{role}");
    }
}
