//! What is refused, and that each refusal names the field and the right form.

use std::time::Duration;

use opcancel::google::operation_name::OperationName;
use operations_emulator::Script;
use serde_json::{Value, json};

use crate::support::{
    cluster::{Namespace, kubectl_as_admin, root},
    world::{World, manifest, of_operation, operation},
};

fn refused(namespace: &Namespace, spec: &str) -> String {
    let manifest = format!(
        "{{apiVersion: opcancel.github.io/v1alpha1, kind: OperationCancellation, metadata: {{name: bad}}, spec: {spec}}}"
    );
    match namespace.kubectl(&["apply", "--filename=-"], &manifest) {
        Err(why) => why,
        Ok(said) => panic!("{spec} was taken: {said}"),
    }
}

/// The names that the code's own tests read, and what is refused with which words.
#[test]
fn the_api_server_takes_and_refuses_the_same_names_as_the_code() {
    let namespace = Namespace::new("names");
    let names = root().join("tests/names/names.json");
    let names: Value = serde_json::from_str(&std::fs::read_to_string(names).unwrap()).unwrap();
    let names = names.as_array().unwrap();
    let object = |number: usize, name: &Value| {
        json!({
            "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
            "metadata": {"name": format!("name-{number}")},
            "spec": {"service": "dialogflow", "operationName": name["name"]},
        })
    };
    // One apply tries them all, and kubectl tells of each by its object's name.
    let items: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(number, name)| object(number, name))
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let said = namespace
        .kubectl(&["create", "--filename=-"], &list.to_string())
        .unwrap_err();
    let mut refused = 0;
    for (number, name) in names.iter().enumerate() {
        let why = said
            .split("error when creating")
            .find(|why| why.contains(&format!("\"name-{number}\" is invalid")));
        let Some(says) = name["says"].as_str() else {
            assert_eq!(why, None, "{name}");
            continue;
        };
        refused += 1;
        let why = why.unwrap_or_else(|| panic!("{name} was taken: {said}"));
        assert!(why.contains("spec.operationName: "), "{name}: {why}");
        assert!(why.contains(says), "{name}: {why}");
    }
    assert!(
        refused > 60 && names.len() - refused > 20,
        "{refused} of {}",
        names.len()
    );
}

/// Each input of the fuzz target, whatever the fuzzer made of it.
#[test]
fn the_api_server_and_the_code_agree_on_the_corpus_of_names() {
    let namespace = Namespace::new("corpus");
    let files = std::fs::read_dir(root().join("fuzz/corpus/operation_name")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let inputs = files.iter().map(|file| std::fs::read(file).unwrap());
    // A text in JSON is UTF-8.
    let names: Vec<String> = inputs.filter_map(|i| String::from_utf8(i).ok()).collect();
    let items: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(number, name)| {
            json!({
                "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
                "metadata": {"name": format!("name-{number}")},
                "spec": {"service": "dialogflow", "operationName": name},
            })
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let said = namespace
        .kubectl(&["create", "--filename=-"], &list.to_string())
        .unwrap_err();
    let mut accepted = 0;
    for (number, name) in names.iter().enumerate() {
        let created = !said.contains(&format!("\"name-{number}\" is invalid"));
        let parsed = OperationName::parse(name);
        assert_eq!(created, parsed.is_ok(), "{name:?}: {said}");
        accepted += u32::from(created);
    }
    let refused = names.len() - accepted as usize;
    assert!(accepted >= 10 && refused >= 30, "{accepted} and {refused}");
}

#[test]
fn names_that_are_too_long_are_refused_with_the_limit() {
    let namespace = Namespace::new("long");
    let long = |project: usize, location: usize, operation: usize| {
        format!(
            "projects/{}/locations/{}/operations/{}",
            "p".repeat(project),
            "l".repeat(location),
            "o".repeat(operation)
        )
    };
    for (name, limit) in [
        (long(1, 1, 10_000), "1024"),
        (long(64, 1, 1), "at most 63 characters for PROJECT"),
        (long(1, 53, 1), "52 for LOCATION"),
        (long(1, 1, 256), "255 for any other part"),
    ] {
        let why = refused(
            &namespace,
            &format!("{{service: dialogflow, operationName: \"{name}\"}}"),
        );
        assert!(
            why.contains("spec.operationName") && why.contains(limit),
            "{why}"
        );
        assert!(why.len() < 3000, "the message does not repeat 10 kB");
    }
    // The dearest to refuse: no kind of pasted text fits, and every rule reads all of it.
    let dearest = format!("operations/{}!", "a/".repeat(506));
    assert_eq!(dearest.len(), 1024);
    let why = refused(
        &namespace,
        &format!("{{service: dialogflow, operationName: \"{dearest}\"}}"),
    );
    assert!(why.contains("expected the name alone"), "{why}");
}

/// The largest name is stored, and found again by a field selector: the rules cost no more than the API server allows.
#[test]
fn a_name_of_1024_characters_is_stored_and_selected_by() {
    let namespace = Namespace::new("largest");
    let pair = format!("/agents/{}", "a".repeat(200));
    let name = format!("projects/p{}/operations/", pair.repeat(4));
    let name = format!("{name}{}", "o".repeat(1024 - name.len()));
    assert_eq!(name.len(), 1024);
    let object = format!(
        "{{apiVersion: opcancel.github.io/v1alpha1, kind: OperationCancellation, metadata: {{name: largest}}, spec: {{service: dialogflow, operationName: {name}}}}}"
    );
    namespace
        .kubectl(&["create", "--filename=-"], &object)
        .unwrap();
    let selector = format!("--field-selector=spec.operationName={name}");
    let found = namespace
        .kubectl(&["get", "opcancel", &selector, "--output=name"], "")
        .unwrap();
    assert!(found.contains("largest"), "{found}");
}

#[test]
fn wrong_values_are_refused_with_what_is_right() {
    let namespace = Namespace::new("values");
    let name = operation("o");
    for (field, said) in [
        ("service: gke", &["spec.service", "dialogflow"][..]),
        ("service: null", &["spec.service", "Required"]),
        (
            "service: https://evil.example",
            &["spec.service", "dialogflow"],
        ),
        ("version: \"\"", &["spec.version", "at least 1"]),
        (
            "version: v2/../v3",
            &["spec.version", "such as v2 or v2beta1"],
        ),
        (
            "version: latest",
            &["spec.version", "such as v2 or v2beta1"],
        ),
        ("version: V2", &["spec.version", "such as v2 or v2beta1"]),
        ("version: 2", &["spec.version", "string"]),
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
            &["spec.acceptedOutcomes", "name each outcome once"],
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
            &["spec.serviceAccountName", "a Kubernetes ServiceAccount"],
        ),
        (
            "serviceAccountName: tenant@acme-prod.iam.gserviceaccount.com",
            &[
                "spec.serviceAccountName",
                "not the email of a Google service account",
            ],
        ),
        (
            "serviceAccountName: contact-center/tenant",
            &["spec.serviceAccountName", "no namespace before it"],
        ),
        ("operation: x", &["spec.operation", "unknown field"]),
        (
            "endpoint: https://evil.example",
            &["spec.endpoint", "unknown field"],
        ),
    ] {
        let service = if field.starts_with("service:") {
            ""
        } else {
            "service: dialogflow, "
        };
        let why = refused(
            &namespace,
            &format!("{{operationName: {name}, {service}{field}}}"),
        );
        assert!(said.iter().all(|part| why.contains(part)), "{field}: {why}");
    }
    let why = refused(&namespace, "{service: dialogflow}");
    assert!(
        why.contains("spec.operationName") && why.contains("Required"),
        "{why}"
    );
    let why = refused(&namespace, "{service: dialogflow, operationName: null}");
    assert!(why.contains("spec.operationName"), "{why}");
    assert!(refused(&namespace, "null").contains("spec"));
}

#[test]
fn null_fields_count_as_absent() {
    let namespace = Namespace::new("nulls");
    let nulls = [
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

/// A form that the CRD lets through and no row of the catalogue has: a newer release may know it.
#[test]
fn a_name_that_this_controller_does_not_know_stalls_and_makes_no_call() {
    let world = World::new("new-name", [("op", Script::default())]);
    let names = [
        "projects/acme-prod/agents/a/operations/op",
        "operations/op",
        // What people write for the forms that there are.
        "project/acme-prod/operations/op",
        "projects/acme-prod/location/europe-west1/operations/op",
    ];
    for (number, name) in names.iter().enumerate() {
        let object = format!("name-{number}");
        world.apply(&of_operation(&object, name, &[])).unwrap();
        world.wait(&[&object], "condition=Stalled");
    }
    world.let_time_pass(Duration::from_millis(1000));
    for (object, seen) in world.objects() {
        assert_eq!(
            seen.conditions()[1..],
            [
                "False/UnknownName",
                "False/UnknownName",
                "-",
                "True/UnknownName"
            ],
            "{object}"
        );
        let message = seen.message("Stalled");
        assert!(
            message.contains(
                "this release knows projects/*/operations/*, projects/*/locations/*/operations/*"
            ),
            "{message}"
        );
        assert_eq!(
            (
                seen.outcome().as_str(),
                seen.kstatus(),
                world.status_writes(&object).len()
            ),
            ("-", "Failed", 1)
        );
    }
    // The emulator records what it does not serve too.
    let requests = world.emulator.requests().into_iter();
    let asked: Vec<_> = requests
        .map(|request| request.path)
        .filter(|path| path.contains("operations/") && !path.contains("clock-prod"))
        .collect();
    assert!(asked.is_empty(), "{asked:?}");
}

#[test]
fn grants_that_would_not_mean_what_they_look_like_are_refused() {
    let valid = [
        "namespaces: [a]",
        "projects: [p]",
        "identities: [Operator]",
        "services: [dialogflow]",
    ];
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
            &["spec.namespaces[0]", "globs such as team-*"][..],
        ),
        (0, "namespaces: []", &["spec.namespaces", "at least 1"]),
        (0, "namespaces: a", &["spec.namespaces", "array"]),
        (
            0,
            "namespaces: [a, Team]",
            &["spec.namespaces[1]", "the name of a namespace"],
        ),
        (
            0,
            "namespaces: [\"\"]",
            &["spec.namespaces[0]", "the name of a namespace"],
        ),
        // Neither, and both.
        (
            0,
            "operationNames: [operations/x]",
            &["exactly one of spec.namespaces and spec.namespaceSelector"],
        ),
        (
            1,
            "projects: [p], namespaceSelector: {matchLabels: {a: b}}",
            &[
                "exactly one of spec.namespaces and spec.namespaceSelector",
                "use two grants",
            ],
        ),
        (
            0,
            "namespaceSelector: {}",
            &[
                "spec.namespaceSelector",
                "at least one of matchLabels and matchExpressions",
                "namespaces: [\"*\"]",
            ],
        ),
        (
            0,
            "namespaceSelector: {matchLabels: {}}",
            &["spec.namespaceSelector.matchLabels", "at least 1"],
        ),
        (
            0,
            "namespaceSelector: {matchExpressions: []}",
            &["spec.namespaceSelector.matchExpressions", "at least 1"],
        ),
        (
            0,
            "namespaceSelector: {matchNames: [a]}",
            &["unknown field", "spec.namespaceSelector.matchNames"],
        ),
        (
            0,
            "namespaceSelector: {matchLabels: {team: team-*}}",
            &["spec.namespaceSelector.matchLabels[team]", "globs"],
        ),
        (
            0,
            "namespaceSelector: {matchLabels: {-team: a}}",
            &["spec.namespaceSelector.matchLabels", "the key of a label"],
        ),
        (
            0,
            "namespaceSelector: {matchExpressions: [{key: team, operator: In}]}",
            &["matchExpressions[0].values", "required"],
        ),
        (
            0,
            "namespaceSelector: {matchExpressions: [{key: team, operator: In, values: []}]}",
            &["matchExpressions[0].values", "at least 1"],
        ),
        (
            0,
            "namespaceSelector: {matchExpressions: [{key: team, operator: Exists, values: [a]}]}",
            &["matchExpressions[0].values", "not allowed"],
        ),
        (
            0,
            "namespaceSelector: {matchExpressions: [{key: team, operator: Gt, values: [a]}]}",
            &["matchExpressions[0].operator", "DoesNotExist"],
        ),
        (
            0,
            "namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [a/b]}]}",
            &["matchExpressions[0].values[0]", "the value of a label"],
        ),
        (
            1,
            "projects: [acme-*]",
            &["spec.projects[0]", "globs such as acme-*"],
        ),
        (1, "projects: []", &["spec.projects", "at least 1"]),
        (
            1,
            "projects: [p, projects/acme]",
            &["spec.projects[1]", "without projects/"],
        ),
        (1, "projects: [Acme]", &["spec.projects[0]", "acme-prod"]),
        (1, "projects: [acme/]", &["spec.projects[0]", "acme-prod"]),
        (1, "projects: [\"\"]", &["spec.projects[0]", "acme-prod"]),
        (
            1,
            "projects: [123456789012]",
            &["spec.projects[0]", "string"],
        ),
        (
            1,
            "projects: [\"*\"]",
            &[
                "spec.projects",
                "only with identities: [ServiceAccount]",
                "name each project",
            ],
        ),
        (
            1,
            "projects: [p, \"*\"]",
            &["spec.projects", "only with identities: [ServiceAccount]"],
        ),
        (1, "x: y", &["unknown field"]),
        (1, "project: [p]", &["unknown field", "spec.project"]),
        (1, "parents: []", &["spec.parents", "at least 1"]),
        (
            1,
            "operationNames: [\"*\"]",
            &[
                "spec.operationNames",
                "only with identities: [ServiceAccount]",
            ],
        ),
        (
            1,
            "operationNames: []",
            &["spec.operationNames", "at least 1"],
        ),
        (3, "services: []", &["spec.services", "at least 1"]),
        (3, "services: [gke]", &["spec.services", "dialogflow"]),
        (
            3,
            "services: [\"*\"]",
            &["spec.services", "only with identities: [ServiceAccount]"],
        ),
        (2, "identities: []", &["spec.identities", "at least 1"]),
        (
            2,
            "identities: [Everybody]",
            &["spec.identities", "Operator"],
        ),
    ] {
        let mut fields = valid;
        fields[index] = field;
        let why = refused(&fields);
        assert!(said.iter().all(|part| why.contains(part)), "{field}: {why}");
    }
    // An entry that would allow nothing, because no operation stands under it, or not by that list.
    for (list, entries, said) in [
        (
            "parents",
            &[
                "\"*\"",
                "acme",
                "projects",
                "projects/",
                "projects/*",
                "projects/p/",
                "/projects/p",
                "//cloudresourcemanager.googleapis.com/projects/p",
                "projects/P",
                "projects/_",
                "projects/_/buckets",
                "projects/p/locations",
                "projects/p/locations/*",
                "projects/p/locations/EU",
                "projects/p/locations/..",
                "projects/p/operations/o",
                "projects/p/locations/eu/operations/o",
                "organizations/acme.example",
                "folders/acme",
                "billingAccounts/01a2b3-0c0d0e-ffffff",
                "users/u",
                "operations/o",
            ][..],
            "expected a parent of operations: projects/PROJECT",
        ),
        (
            "operationNames",
            &[
                "o",
                "operations",
                "operations/",
                "operations/o/",
                "operations/build/*",
                "operations/..",
                "operations/locations/EU",
                "projects/p/operations/o",
                "organizations/1/operations/o",
                "https://cloudbuild.googleapis.com/v1/operations/o",
            ],
            "expected the full name of an operation without a parent",
        ),
    ] {
        for entry in entries {
            let mut fields = valid;
            let field = format!("{list}: [{entry}]");
            fields[1] = &field;
            let why = refused(&fields);
            let place = format!("spec.{list}[0]");
            assert!(why.contains(&place) && why.contains(said), "{field}: {why}");
            assert!(!why.contains("in body should match"), "{field}: {why}");
        }
    }
    let long = format!("parents: [projects/{}]", "p".repeat(64));
    assert!(refused(&["namespaces: [a]", &long, valid[2], valid[3]]).contains("spec.parents[0]"));
    for (fields, said) in [
        (
            &[
                "namespaces: [a]",
                "projects: [\"*\"]",
                "services: [dialogflow]",
                "identities: [ServiceAccount, Operator]",
            ][..],
            "only with identities: [ServiceAccount]",
        ),
        (
            &[
                "namespaces: [a]",
                "services: [dialogflow]",
                "identities: [Operator]",
            ],
            "at least one of spec.projects, spec.parents and spec.operationNames",
        ),
        (
            &["namespaces: [a]", "projects: [p]", "identities: [Operator]"],
            "spec.services: Required",
        ),
        (
            &["namespaces: [a]", "projects: [p]", "services: [dialogflow]"],
            "spec.identities: Required",
        ),
    ] {
        let why = refused(fields);
        assert!(why.contains(said), "{why}");
    }
}

/// What a grant may say, at its largest: the rules cost no more than the API server allows.
#[test]
fn the_largest_grant_is_taken() {
    let many = |entry: &dyn Fn(usize) -> String| (0..100).map(entry).collect::<Vec<_>>();
    let long = |prefix: &str, number: usize, length: usize| {
        let name = format!("{prefix}{number:03}");
        format!("{name}{}", "a".repeat(length - name.len()))
    };
    let below = format!(
        "projects/p{}",
        format!("/agents/{}", "b".repeat(200)).repeat(4)
    );
    let grant = json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "CancellationGrant",
        "metadata": {"name": "largest-grant"},
        "spec": {
            "namespaces": many(&|n| long("n", n, 63)),
            "projects": many(&|n| long("p", n, 63)),
            "parents": many(&|n| long(&format!("{below}/c/"), n, 1024)),
            "operationNames": many(&|n| long(&format!("operations{}/", format!("/{}", "b".repeat(200)).repeat(4)), n, 1024)),
            "services": ["dialogflow"],
            "identities": ["Operator", "ServiceAccount"],
        },
    });
    kubectl_as_admin(
        &["create", "--dry-run=server", "--filename=-"],
        &grant.to_string(),
    )
    .unwrap();
    // Every entry is wrong, and the error names each.
    let mut wrong = grant.clone();
    let lists = ["namespaces", "projects", "parents", "operationNames"];
    for list in lists {
        for entry in wrong["spec"][list].as_array_mut().unwrap() {
            *entry = format!("{}!", &entry.as_str().unwrap()[1..]).into();
        }
    }
    let why = kubectl_as_admin(
        &["create", "--dry-run=server", "--filename=-"],
        &wrong.to_string(),
    )
    .unwrap_err();
    for list in lists {
        let named = why.matches(&format!("spec.{list}[")).count();
        assert_eq!(named, 100, "{list}: {}", why.get(..2000).unwrap_or(&why));
    }
    assert_eq!(why.matches("expected ").count(), 400);
    let mut more = grant;
    more["spec"]["projects"] = json!((0..101).map(|n| format!("p{n}")).collect::<Vec<_>>());
    let why = kubectl_as_admin(
        &["create", "--dry-run=server", "--filename=-"],
        &more.to_string(),
    )
    .unwrap_err();
    assert!(
        why.contains("spec.projects: Too many") && why.contains("100"),
        "{why}"
    );
}
