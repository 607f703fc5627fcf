//! Who lets the controller act as ServiceAccounts: not the base, one overlay name by name, and another for the whole cluster. The chart
//! has the same rules.

use serde_json::Value;
use xtask::control_plane::ControlPlane;

use crate::{
    applied::{apply, empty_cluster},
    rendered::Rendered,
};

const NAMESPACE: &str = "overlays/service-accounts/namespace";
const ALL_NAMESPACES: &str = "overlays/service-accounts/all-namespaces";

const NAMED: &str = r#"--set-json=workloadIdentity.serviceAccounts=[{"namespace":"contact-center","names":["deployer"]}]"#;
const ALL: &str = "--set=workloadIdentity.allServiceAccounts=true";

#[test]
fn chart_and_overlays_have_the_same_rules() {
    for (folder, argument) in [(NAMESPACE, NAMED), (ALL_NAMESPACES, ALL)] {
        let chart = Rendered::chart(&[argument]).by_name();
        let without = Rendered::chart(&[]).by_name();
        let overlay = Rendered::kustomization(folder).by_name();
        assert_eq!(overlay.len(), 2, "a role and its binding");
        for (name, object) in &overlay {
            assert!(!without.contains_key(name), "{name} by default");
            for field in ["rules", "roleRef", "subjects"] {
                assert_eq!(chart[name].get(field), object.get(field), "{name} {field}");
            }
        }
        assert_eq!(chart.len(), without.len() + 2, "{argument}");
    }
}

#[test]
fn no_other_role_names_service_accounts() {
    for folder in crate::rendered::KUSTOMIZATIONS {
        for object in Rendered::kustomization(folder).objects {
            let rules = object.get("rules").and_then(Value::as_array);
            for rule in rules.into_iter().flatten() {
                let text = rule.to_string();
                assert!(!text.contains("serviceaccounts"), "{folder}: {text}");
                assert!(!text.contains('*'), "{folder}: {text}");
            }
        }
    }
}

#[test]
fn the_controller_creates_tokens_only_of_those_that_are_named() {
    let control_plane = empty_cluster();
    apply(&control_plane, &Rendered::kustomization("base"));
    let everybody = [
        ("contact-center", "deployer"),
        ("contact-center", "default"),
        ("default", "deployer"),
        ("kube-system", "default"),
        ("opcancel-system", "opcancel-controller"),
    ];
    let allowed = |control_plane: &ControlPlane| -> Vec<_> {
        let mut found = Vec::new();
        for (namespace, name) in everybody {
            let can = [
                "get serviceaccounts",
                "create serviceaccounts --subresource=token",
            ]
            .map(|right| can(control_plane, right, namespace, name));
            assert_eq!(can[0], can[1], "{namespace}/{name}");
            if can[0] {
                found.push((namespace, name));
            }
        }
        found
    };
    assert_eq!(allowed(&control_plane), []);
    apply(&control_plane, &Rendered::kustomization(NAMESPACE));
    until(|| {
        can(
            &control_plane,
            "get serviceaccounts",
            "contact-center",
            "deployer",
        )
    });
    assert_eq!(allowed(&control_plane), [("contact-center", "deployer")]);
    apply(&control_plane, &Rendered::kustomization(ALL_NAMESPACES));
    until(|| can(&control_plane, "get serviceaccounts", "default", "deployer"));
    assert_eq!(allowed(&control_plane), everybody);
    for right in [
        "list serviceaccounts",
        "update serviceaccounts",
        "impersonate serviceaccounts",
        "get secrets",
    ] {
        assert!(
            !can(&control_plane, right, "contact-center", "deployer"),
            "{right}"
        );
    }
}

/// The API server's authorizer learns of a new binding a moment after its creation.
fn until(is_so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < crate::support::world::PATIENCE);
    }
}

/// Whether the controller has a right to this object.
fn can(control_plane: &ControlPlane, right: &str, namespace: &str, name: &str) -> bool {
    let (verb, resource) = right.split_once(' ').unwrap();
    let (resource, subresource) = resource.split_once(' ').unwrap_or((resource, ""));
    let object = format!("{resource}/{name}");
    let in_namespace = format!("--namespace={namespace}");
    let mut arguments = vec![
        "auth",
        "can-i",
        verb,
        &object,
        &in_namespace,
        "--as=system:serviceaccount:opcancel-system:opcancel-controller",
    ];
    arguments.extend(Some(subresource).filter(|subresource| !subresource.is_empty()));
    let output = control_plane
        .kubectl_command()
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim() == "yes"
}
