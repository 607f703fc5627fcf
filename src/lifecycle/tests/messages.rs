//! What messages ask people to do, tried as people would do it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::simulation::{error, object, spec, target};
use crate::{
    api::{Call, Outcome, Reason},
    google::{
        answer::{CallError, ErrorKind},
        catalogue::{self, Service, read},
        endpoint::EndpointOverrides,
    },
    lifecycle::{
        Now, Spec,
        ending::Ending,
        failure::Failure,
        message::{self, Sent},
        time::Since,
    },
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

fn failure(call: Call, error: CallError) -> Failure {
    let now = Now {
        wall: object().created,
        mono: std::time::Duration::ZERO,
    };
    Failure::next(None, call, error, Since::now(&object(), now))
}

fn failure_text(error: CallError) -> String {
    message::failure(&failure(Call::Get, error), &spec())
}

#[test]
fn a_failure_says_what_to_give_to_whom() {
    let mut denied = error(ErrorKind::PermissionDenied);
    assert_eq!(
        failure_text(denied.clone()),
        "Dialogflow API: get: PERMISSION_DENIED: Grant a role that can get and cancel operations in project acme-prod to the identity; \
         try roles/dialogflow.admin first. as told"
    );
    denied.metadata = [("permission".into(), "dialogflow.operations.get".into())].into();
    assert_eq!(
        failure_text(denied),
        "Dialogflow API: get: PERMISSION_DENIED: Grant the permission dialogflow.operations.get in project acme-prod to the identity. as told"
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

/// A specification with a name of the service's first form.
fn of_service(service: &Service) -> Spec {
    let form = service.versions[0].patterns[0].segments;
    let name = form
        .replace("organizations/*", "organizations/1")
        .replace("folders/*", "folders/1")
        .replace("billingAccounts/*", "billingAccounts/012345-6789AB-CDEF01")
        .replace("**", "o")
        .replace('*', "o");
    let version = Some(service.versions[0].name);
    let target = read(service.name, version, &name, &EndpointOverrides::default());
    Spec {
        target: Ok(target.unwrap_or_else(|error| panic!("{}: {error}", service.name))),
        ..spec()
    }
}

/// All messages about a call or about how the operation ended.
fn messages(spec: &Spec) -> Vec<String> {
    let target = spec.target.as_ref().ok();
    let phases = [
        Reason::Observing,
        Reason::Sending,
        Reason::Polling,
        Reason::Refused,
        Reason::Unsupported,
        Reason::Throttled,
    ];
    let mut all = vec![message::suspended(target)];
    all.extend(phases.map(|reason| message::phase(reason, target)));
    let asked = [
        Reason::Accepted,
        Reason::Refused,
        Reason::Unsupported,
        Reason::Sending,
    ];
    all.extend(asked.map(|reason| message::cancel_requested(reason, target)));
    for kind in ErrorKind::ALL.iter().copied() {
        for call in [Call::Get, Call::Cancel] {
            if kind == ErrorKind::Token {
                continue;
            }
            let failed = failure(call, error(kind));
            all.push(message::failure(&failed, spec));
            for outcome in Outcome::ALL.iter().copied() {
                for sent in [Sent::Yes, Sent::No, Sent::NotAccepted, Sent::Perhaps] {
                    let ending = Ending::without_result(outcome);
                    all.push(message::ending(
                        ending,
                        None,
                        sent,
                        Some(&failed),
                        Some(spec),
                    ));
                }
            }
        }
    }
    all
}

#[test]
fn every_message_about_a_call_names_the_service_as_people_know_it() {
    for service in catalogue::services() {
        for message in messages(&of_service(service)) {
            assert!(message.contains(service.product), "{message}");
            assert!(message.len() <= 256, "{message}");
            assert!(!message.contains(['{', '}']), "{message}");
            assert!(!message.contains("(none)"), "{message}");
        }
    }
}

#[test]
fn messages_of_services_read_as_sentences() {
    let say = |service: &str| of_service(catalogue::service(service).unwrap());
    let container = say("container");
    let target = container.target.as_ref().ok();
    assert_eq!(
        message::phase(Reason::Polling, target),
        "The Kubernetes Engine API accepted the cancel request; waiting for the operation to end"
    );
    assert_eq!(
        message::ending(
            Ending::without_result(Outcome::Ended),
            None,
            Sent::Yes,
            None,
            Some(&container)
        ),
        "The Kubernetes Engine operation is done; the API does not say how it ended"
    );
    let disabled = CallError {
        reason: Some("SERVICE_DISABLED".into()),
        metadata: [("consumer".into(), "projects/1".into())].into(),
        message: String::new(),
        ..error(ErrorKind::PermissionDenied)
    };
    for (service, kind, said) in [
        (
            "spanner",
            ErrorKind::NotServed,
            "Cloud Spanner API: get: NOT_SERVED: https://spanner.googleapis.com does not serve this path; check the name, version v1 and \
             the endpoint. as told",
        ),
        (
            "file",
            ErrorKind::NotFound,
            "Cloud Filestore API: get: NOT_FOUND: The API does not know the operation (a new one can take minutes to appear); check the \
             name, location o. as told",
        ),
        (
            "storage",
            ErrorKind::PermissionDenied,
            "Cloud Storage JSON API: get: PERMISSION_DENIED: Grant a role with storage.bucketOperations.cancel in projects/_/buckets/o to \
             the identity. as told",
        ),
        (
            "container",
            ErrorKind::PermissionDenied,
            "Kubernetes Engine API: get: PERMISSION_DENIED: Grant a role that can get and cancel operations in project o to the \
             identity. as told",
        ),
    ] {
        let failed = failure(Call::Get, error(kind));
        assert_eq!(message::failure(&failed, &say(service)), said);
    }
    assert_eq!(
        message::failure(&failure(Call::Get, disabled), &container),
        "Kubernetes Engine API: get: PERMISSION_DENIED (SERVICE_DISABLED): Enable container.googleapis.com in projects/1"
    );
}
