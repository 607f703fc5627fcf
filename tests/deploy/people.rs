//! What holders of the cluster's own roles view, edit and admin may do, once our roles have joined them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::control_plane::ControlPlane;

use crate::{
    applied::{apply, empty_cluster, kubectl},
    rendered::Rendered,
};

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// Who asks for what: user, verb, resource, subresource.
type Question = (String, &'static str, &'static str, &'static str);

#[test]
fn view_reads_edit_declares_and_nobody_writes_a_status_or_grants() {
    let control_plane = empty_cluster();
    apply(&control_plane, &Rendered::kustomization("base"));
    let bindings = ["view", "edit", "admin"].map(|role| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": "contact-center"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": role}],
        })
    });
    let grants = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "lenders"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "opcancel-grant-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "lender"}],
    });
    let items: Vec<_> = bindings.into_iter().chain([grants]).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    control_plane.apply_text(&list.to_string()).unwrap();

    let mut expected: Vec<(Question, bool)> = Vec::new();
    for user in ["view", "edit", "admin", "lender"] {
        let lender = user == "lender";
        let writer = matches!(user, "edit" | "admin");
        for verb in READ.into_iter().chain(WRITE) {
            let read = READ.contains(&verb);
            for (resource, subresource, allowed) in [
                ("operationcancellations", "", !lender && (read || writer)),
                ("operationcancellations", "status", false),
                ("cancellationgrants", "", lender),
            ] {
                expected.push(((user.to_owned(), verb, resource, subresource), allowed));
            }
        }
    }
    // Roles are joined, and learned of by the authorizer, a moment later: every refusal is final once all that is given is there.
    let begun = Instant::now();
    let answers = loop {
        let answers = ask(&control_plane, &expected);
        let missing = expected
            .iter()
            .zip(&answers)
            .any(|((_, allowed), answer)| *allowed && !answer);
        if !missing || begun.elapsed() > Duration::from_secs(30) {
            break answers;
        }
    };
    for ((question, allowed), answer) in expected.iter().zip(answers) {
        assert_eq!(answer, *allowed, "{question:?}");
    }
}

/// The API server's answers to all questions, by one kubectl.
fn ask(control_plane: &ControlPlane, questions: &[(Question, bool)]) -> Vec<bool> {
    let reviews = questions.iter().map(|((user, verb, resource, subresource), _)| {
        let mut attributes = json!({
            "group": "opcancel.github.io", "verb": verb, "resource": resource, "subresource": subresource,
        });
        if *resource == "operationcancellations" {
            attributes["namespace"] = json!("contact-center");
        }
        json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},
        })
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": reviews.collect::<Vec<_>>()});
    let text = kubectl(
        control_plane,
        &["create", "--output=json"],
        &list.to_string(),
    )
    .unwrap();
    // One answer after the other, not a list.
    let answers = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let answers: Vec<_> = answers
        .map(|answer| answer.unwrap()["status"]["allowed"] == true)
        .collect();
    assert_eq!(answers.len(), questions.len());
    answers
}
