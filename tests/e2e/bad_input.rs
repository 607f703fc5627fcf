//! What is refused, and that each refusal names the field and the right form.

use std::time::Duration;

use operations_emulator::Script;

use crate::support::{
    cluster::{Namespace, kubectl_as_admin},
    world::{World, manifest, operation},
};

const FORM: &str = "projects/PROJECT/operations/OPERATION or projects/PROJECT/locations/LOCATION/operations/OPERATION";

fn refused(namespace: &Namespace, spec: &str) -> String {
    let manifest = format!(
        "{{apiVersion: opcancel.github.io/v1alpha1, kind: OperationCancellation, metadata: {{name: bad}}, spec: {spec}}}"
    );
    match namespace.kubectl(&["apply", "--filename=-"], &manifest) {
        Err(why) => why,
        Ok(said) => panic!("{spec} was taken: {said}"),
    }
}

#[test]
fn names_that_are_none_are_refused_with_the_form() {
    let namespace = Namespace::new("names");
    let long = format!("projects/p/operations/{}", "a".repeat(10_000));
    let names = [
        "projects/p/operations/..",
        "projects/p/operations/../../secret",
        "projects/p/locations/../operations/o",
        "projects/p/operations/%2e%2e",
        "projects/p/operations/o%2f..",
        r"projects/allowed\\..\\victim/operations/o",
        "projects/p/operations/o?x=1",
        "projects/p/operations/o#x",
        r"projects/p/operations/o\n",
        r"projects/p/operations/o\nX-Evil: 1",
        "projects/a:b:c/operations/o",
        "projects/p/operations/o:cancel",
        "projects/p/locations/evil.example/operations/o",
        "projects/p/locations/evil.example//operations/o",
        "projects/p/locations/@evil/operations/o",
        "projects/p/operations/",
        "/projects/p/operations/o",
        "projects/p/operations/o/",
        "v2/projects/p/operations/o",
        "https://dialogflow.googleapis.com/v2/projects/p/operations/o",
        "projects/P/operations/o",
        "operations/o",
        r"projects/p/operations/\u00f6",
        r"projects/p/operations/o\u0000",
        "",
        " projects/p/operations/o",
    ];
    // One apply tries them all, and kubectl tells of each by its object's name.
    let manifests = names.iter().enumerate().map(|(number, name)| {
        format!(
            "{{apiVersion: opcancel.github.io/v1alpha1, kind: OperationCancellation, metadata: {{name: bad-{number}}}, spec: {{operationName: \"{name}\"}}}}\n---\n"
        )
    });
    let said = namespace
        .kubectl(&["apply", "--filename=-"], &manifests.collect::<String>())
        .unwrap_err();
    let refusals: Vec<_> = said.split("error when creating").collect();
    for (number, name) in names.iter().enumerate() {
        let why = refusals
            .iter()
            .find(|why| why.contains(&format!("\"bad-{number}\" is invalid")));
        let why = why.unwrap_or_else(|| panic!("{name:?} was taken: {said}"));
        assert!(why.contains("spec.operationName"), "{name:?}: {why}");
        assert!(why.contains(FORM) || name.is_empty(), "{name:?}: {why}");
    }
    for (name, limit) in [
        (long, "402"),
        (
            format!("projects/{}/operations/o", "p".repeat(64)),
            "PROJECT must have at most 63",
        ),
        (
            format!("projects/p/locations/{}/operations/o", "l".repeat(53)),
            "LOCATION must have at most 52",
        ),
        (
            format!("projects/p/operations/{}", "o".repeat(256)),
            "OPERATION must have at most 255",
        ),
    ] {
        let why = refused(&namespace, &format!("{{operationName: \"{name}\"}}"));
        assert!(
            why.contains("spec.operationName") && why.contains(limit),
            "{why}"
        );
        assert!(why.len() < 3000, "the message does not repeat 10 kB");
    }
}

#[test]
fn wrong_values_are_refused_with_what_is_right() {
    let namespace = Namespace::new("values");
    let name = operation("o");
    for (field, said) in [
        ("service: speech", &["spec.service", "dialogflow"][..]),
        (
            "service: https://evil.example",
            &["spec.service", "dialogflow"],
        ),
        ("version: \"\"", &["spec.version", "at least 1"]),
        ("version: v2/../v3", &["spec.version", "v[0-9]"]),
        ("version: latest", &["spec.version", "v[0-9]"]),
        (
            "acceptedOutcomes: []",
            &["spec.acceptedOutcomes", "at least 1"],
        ),
        (
            "acceptedOutcomes: [Unknown]",
            &["spec.acceptedOutcomes", "NotFound"],
        ),
        (
            "acceptedOutcomes: [Cancelled, Cancelled]",
            &["spec.acceptedOutcomes", "Duplicate"],
        ),
        ("deadlineSeconds: 0", &["spec.deadlineSeconds", "10"]),
        ("deadlineSeconds: 9", &["spec.deadlineSeconds", "10"]),
        (
            "deadlineSeconds: 2592001",
            &["spec.deadlineSeconds", "2592000"],
        ),
        ("deadlineSeconds: 10m", &["spec.deadlineSeconds", "integer"]),
        (
            "deadlineSeconds: 10.5",
            &["spec.deadlineSeconds", "integer"],
        ),
        ("suspend: \"true\"", &["spec.suspend", "boolean"]),
        (
            "serviceAccountName: \"\"",
            &["spec.serviceAccountName", "at least 1"],
        ),
        (
            "serviceAccountName: ../other",
            &["spec.serviceAccountName", "a-z0-9"],
        ),
        ("operation: x", &["spec.operation", "unknown field"]),
        (
            "endpoint: https://evil.example",
            &["spec.endpoint", "unknown field"],
        ),
    ] {
        let why = refused(&namespace, &format!("{{operationName: {name}, {field}}}"));
        assert!(said.iter().all(|part| why.contains(part)), "{field}: {why}");
    }
    let why = refused(&namespace, "{service: dialogflow}");
    assert!(
        why.contains("spec.operationName") && why.contains("Required"),
        "{why}"
    );
    let why = refused(&namespace, "{operationName: null}");
    assert!(why.contains("spec.operationName"), "{why}");
    assert!(refused(&namespace, "null").contains("spec"));
}

#[test]
fn null_fields_count_as_absent() {
    let namespace = Namespace::new("nulls");
    let nulls = [
        "service: null",
        "version: null",
        "serviceAccountName: null",
        "acceptedOutcomes: null",
        "deadlineSeconds: null",
        "suspend: null",
    ];
    namespace
        .kubectl(&["create", "--filename=-"], &manifest("op", &nulls))
        .unwrap();
    let spec = namespace
        .kubectl(&["get", "opcancel", "op", "--output=jsonpath={.spec}"], "")
        .unwrap();
    let spec = crate::support::cluster::json_of(&spec);
    assert_eq!(
        (
            &spec["service"],
            &spec["deadlineSeconds"],
            &spec["suspend"],
            spec.get("version"),
            spec.get("serviceAccountName")
        ),
        (
            &"dialogflow".into(),
            &86400.into(),
            &false.into(),
            None,
            None
        )
    );
}

#[test]
fn a_version_that_this_controller_does_not_know_stalls_and_makes_no_call() {
    let world = World::new("version", [("op", Script::default())]);
    world.cancel("op", &["version: v99"]);
    world.wait(&["op"], "condition=Stalled");
    world.let_time_pass(Duration::from_millis(1000));
    let object = world.object("op");
    assert_eq!(
        object.conditions()[1..],
        [
            "False/UnknownVersion",
            "False/UnknownVersion",
            "-",
            "True/UnknownVersion"
        ]
    );
    let message = object.message("Stalled");
    assert!(
        message.contains("v99") && message.contains("v2") && message.contains("v3beta1"),
        "{message}"
    );
    assert_eq!(
        (
            object.outcome().as_str(),
            world.calls("op").len(),
            object.kstatus()
        ),
        ("-", 0, "Failed")
    );
    assert_eq!(world.status_writes("op").len(), 1);
}

#[test]
fn grants_that_would_not_mean_what_they_look_like_are_refused() {
    let valid = ["namespaces: [a]", "projects: [p]", "identities: [Operator]"];
    let refused = |fields: &[&str]| {
        let spec = format!("{{{}}}", fields.join(", "));
        let manifest = format!(
            "{{apiVersion: opcancel.github.io/v1alpha1, kind: CancellationGrant, metadata: {{name: bad-grant}}, spec: {spec}}}"
        );
        match kubectl_as_admin(&["apply", "--dry-run=server", "--filename=-"], &manifest) {
            Err(why) => why,
            Ok(_) => panic!("{spec} was taken"),
        }
    };
    for (index, field, said) in [
        (
            0,
            "namespaces: [team-*]",
            &["spec.namespaces", "exactly \"*\"", "globs"][..],
        ),
        (0, "namespaces: []", &["spec.namespaces", "at least 1"]),
        (
            0,
            "namespaces: [Team]",
            &["spec.namespaces", "namespace's name"],
        ),
        (
            0,
            "namespaces: [\"\"]",
            &["spec.namespaces", "namespace's name"],
        ),
        (
            1,
            "projects: [acme-*]",
            &["spec.projects", "exactly \"*\"", "globs"],
        ),
        (1, "projects: []", &["spec.projects", "at least 1"]),
        (
            1,
            "projects: [projects/acme]",
            &["spec.projects", "project's id or number"],
        ),
        (
            1,
            "projects: [\"*\"]",
            &[
                "spec.projects",
                "only with identities: [ServiceAccount]",
                "name the projects",
            ],
        ),
        (
            1,
            "projects: [p, \"*\"]",
            &["spec.projects", "only with identities: [ServiceAccount]"],
        ),
        (
            1,
            "projects: [\"*\"], services: []",
            &["spec.services", "at least 1"],
        ),
        (
            1,
            "projects: [p], services: [speech]",
            &["spec.services", "dialogflow"],
        ),
        (2, "identities: []", &["spec.identities", "at least 1"]),
        (
            2,
            "identities: [Everybody]",
            &["spec.identities", "Operator"],
        ),
        (
            2,
            "services: [dialogflow]",
            &["spec.identities", "Required"],
        ),
    ] {
        let mut fields = valid;
        fields[index] = field;
        let why = refused(&fields);
        assert!(said.iter().all(|part| why.contains(part)), "{field}: {why}");
    }
    let why = refused(&[
        "namespaces: [a]",
        "projects: [\"*\"]",
        "identities: [ServiceAccount, Operator]",
    ]);
    assert!(
        why.contains("only with identities: [ServiceAccount]"),
        "{why}"
    );
}
