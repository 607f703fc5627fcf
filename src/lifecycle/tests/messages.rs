//! What messages ask people to do, tried as people would do it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::simulation::{error, object, spec, target};
use crate::{
    api::Call,
    google::answer::{CallError, ErrorKind},
    lifecycle::{Now, Spec, failure::Failure, message, time::Since},
};

/// The grant in the message, if it has one.
fn grant(namespace: &str, spec: &Spec) -> Option<Value> {
    let mut object = object();
    object.namespace = namespace.to_owned();
    let message = message::no_grant(&object, spec);
    assert!(message.len() <= 256, "{message}");
    let (_, grant) = message.split_once("pply: ")?;
    Some(serde_json::from_str(grant).unwrap())
}

fn of_project(project: &str) -> Spec {
    of(&format!("projects/{project}/locations/eu/operations/o"))
}

fn of(name: &str) -> Spec {
    Spec {
        target: Ok(target(name)),
        ..spec()
    }
}

#[test]
fn the_grant_to_apply_is_json_and_has_a_name_of_its_own() {
    assert_eq!(
        grant("contact-center", &of_project("acme-prod")).unwrap(),
        json!({
            "apiVersion": "opcancel.github.io/v1alpha1",
            "kind": "CancellationGrant",
            "metadata": {"name": "contact-center.6d5aa474"},
            "spec": {"namespaces": ["contact-center"], "projects": ["acme-prod"], "services": ["dialogflow"], "identities": ["Operator"]},
        })
    );
    let mut other_service = of_project("p");
    other_service.target.as_mut().unwrap().service = "speech".into();
    let as_tenant = Spec {
        service_account_name: Some("deployer".into()),
        ..of_project("p")
    };
    // Each would take away what the others grant, if they had one name.
    let grants = [
        ("a", of_project("p")),
        ("a", of_project("b-p")),
        ("a-b", of_project("p")),
        ("a", of_project("example.com:p")),
        ("a", of_project("example.com.p:x")),
        ("a", other_service.clone()),
        ("a", as_tenant.clone()),
    ]
    .map(|(namespace, spec)| grant(namespace, &spec).unwrap());
    let names: BTreeSet<_> = grants
        .iter()
        .map(|grant| grant["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), grants.len(), "{names:?}");
    assert_eq!(
        grant("a", &other_service).unwrap()["spec"]["services"],
        json!(["speech"])
    );
    assert_eq!(
        grant("a", &as_tenant).unwrap()["spec"]["identities"],
        json!(["ServiceAccount"])
    );
    // Names as companies have them.
    for (namespace, project, name) in [
        ("team-a", "acme", "team-a.acme.dialogflow"),
        ("search", "acme-prod", "search.acme-prod.dialogflow"),
        ("customer-care-prod", "acme-prod-1", "67bb7734b18c737d"),
        (
            "customer-care-prod",
            "acme-contact-center-prod",
            "d24805c6263dcadc",
        ),
    ] {
        let grant = grant(namespace, &of_project(project)).unwrap();
        assert_eq!(grant["metadata"]["name"], name);
    }
    assert_eq!(
        grant(&"n".repeat(63), &of_project("acme-prod")),
        None,
        "what is too long to be applied is told in words"
    );
}

proptest! {
    #[test]
    fn a_grant_that_is_shown_can_be_applied(namespace in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", project in "([a-z0-9][a-z0-9.-]{0,9}:)?[a-z0-9][a-z0-9-]{0,28}") {
        let Some(grant) = grant(&namespace, &of_project(&project)) else {
            return Ok(());
        };
        // The rule of Kubernetes for objects' names: DNS subdomains.
        let name = grant["metadata"]["name"].as_str().unwrap();
        let good = name.len() <= 253 && name.split('.').all(|part| {
            let mut ends = [part.chars().next(), part.chars().last()].into_iter();
            ends.all(|end| end.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        });
        prop_assert!(good, "{}", name);
        prop_assert_eq!(&grant["spec"]["projects"], &json!([project]));
    }
}

fn failure_text(error: CallError) -> String {
    let now = Now {
        wall: object().created,
        mono: std::time::Duration::ZERO,
    };
    let now = Since::now(&object(), now);
    let call = Call::Get;
    message::failure(&Failure::next(None, call, error, now), &spec())
}

#[test]
fn a_failure_says_what_to_give_to_whom() {
    let mut denied = error(ErrorKind::PermissionDenied);
    assert_eq!(
        failure_text(denied.clone()),
        "get: PERMISSION_DENIED: Grant a role in project acme-prod to the identity; try roles/dialogflow.admin first. as told"
    );
    denied.metadata = [("permission".into(), "dialogflow.operations.get".into())].into();
    assert_eq!(
        failure_text(denied),
        "get: PERMISSION_DENIED: Grant the permission dialogflow.operations.get in project acme-prod to the identity. as told"
    );
    let token = CallError {
        message: "the metadata server's identity is somebody else's".into(),
        ..error(ErrorKind::Token)
    };
    assert_eq!(
        failure_text(token),
        "token: the metadata server's identity is somebody else's"
    );
}
