//! Grants: which of them allow what, and what happens when they change.

use std::time::Duration;

use operations_emulator::{
    Call::{Cancel, Get},
    EndResult, Scenario, Script,
};
use serde_json::json;

use crate::support::{
    cluster::{json_of, kubectl_as_admin, kubectl_of, kubectls},
    world::{World, of_operation, operation},
};

#[test]
fn only_a_grant_of_this_namespace_project_service_and_identity_allows_it() {
    let mut world = World::without_grant("which", [("op", Script::default())]);
    let own = world.namespace.name.clone();
    let other = |what: &str| format!("{own}-{what}");
    world.grant_spec(
        &other("project"),
        &json!({"projects": ["other-prod"], "identities": ["Operator"]}),
    );
    world.grant_spec(&other("namespace"), &json!({"namespaces": ["elsewhere"], "projects": ["acme-prod"], "identities": ["Operator"]}));
    world.grant_spec(
        &other("identity"),
        &json!({"projects": ["acme-prod"], "identities": ["ServiceAccount"]}),
    );
    world.grant_spec(
        &other("number"),
        &json!({"projects": ["123456789012"], "identities": ["Operator"]}),
    );
    world.grant_spec(
        &other("all"),
        &json!({"projects": ["*"], "identities": ["ServiceAccount"]}),
    );
    world.cancel("op", &[]);
    world.wait(&["op"], "condition=Authorized=False");
    world.let_time_pass(Duration::from_millis(1000));
    assert!(world.calls("op").is_empty(), "four halves make no whole");
    assert!(
        world
            .object("op")
            .message("Ready")
            .contains(r#""projects":["acme-prod"]"#)
    );

    // One that names other namespaces and projects besides does.
    world.grant_spec(&own, &json!({"namespaces": ["elsewhere", own], "projects": ["other-prod", "acme-prod"], "identities": ["ServiceAccount", "Operator"]}));
    assert_eq!(world.finished("op").outcome(), "Cancelled");
    assert!(
        !world.controller().log().contains("ERROR"),
        "{}",
        world.controller().log()
    );
}

#[test]
fn a_grant_of_all_namespaces_and_grants_by_number_work() {
    let (by_number, by_star) = (
        "projects/123456789012/operations/number",
        "projects/star-prod/operations/star",
    );
    let scenario = Scenario::default()
        .with_operation(by_number, Script::default())
        .with_operation(by_star, Script::default());
    let mut world = World::stopped("star", scenario, &[], &[]);
    world.start();
    let own = world.namespace.name.clone();
    world.grant_spec(
        &format!("{own}-all"),
        &json!({"namespaces": ["*"], "projects": ["star-prod"], "identities": ["Operator"]}),
    );
    world.grant_spec(
        &own,
        &json!({"projects": ["123456789012"], "identities": ["Operator"]}),
    );
    world
        .apply(&format!(
            "{}{}",
            of_operation("number", by_number, &[]),
            of_operation("star", by_star, &[])
        ))
        .unwrap();
    let objects = world.all_finished();
    assert_eq!(
        (objects["number"].outcome(), objects["star"].outcome()),
        ("Cancelled".into(), "Cancelled".into())
    );
    assert_eq!(
        objects["number"].text("/status/target/project"),
        "123456789012"
    );
}

#[test]
fn revoked_before_the_request_it_waits_again_and_nothing_is_sent() {
    let world = World::new("revoked", [("op", Script::missing())]);
    world.cancel("op", &[]);
    world.wait(&["op"], "jsonpath={.status.lastError.status}=NOT_FOUND");
    world.revoke(&world.namespace.name);
    world.wait(&["op"], "condition=Authorized=False");
    let before = world.calls("op");
    world
        .emulator
        .set_operation(&operation("op"), Script::default())
        .unwrap();
    world.let_time_pass(Duration::from_millis(2000));
    assert_eq!(world.calls("op"), before, "no call without a grant");
    let object = world.object("op");
    assert_eq!(
        (
            object.condition("Ready").as_str(),
            object.condition("Reconciling").as_str()
        ),
        ("Unknown/NoGrant", "True/NoGrant")
    );
    assert_ne!(
        object.text("/status/startTime"),
        "-",
        "once started, time runs on"
    );

    world.grant();
    let object = world.finished("op");
    assert_eq!(
        (object.outcome().as_str(), world.posts("op")),
        ("Cancelled", 1)
    );
    assert_eq!(
        world.calls("op")[before.len()..],
        [Get, Cancel, Get],
        "it looks again before it cancels"
    );
}

#[test]
fn revoked_while_polling_it_waits_and_asks_nobody_until_granted_again() {
    let world = World::new(
        "revoked-later",
        [("op", Script::cancelled_after(Duration::from_secs(2)))],
    );
    world.cancel("op", &[]);
    world.wait(&["op"], "condition=CancelRequested");
    world.revoke(&world.namespace.name);
    world.wait(&["op"], "condition=Authorized=False");
    let before = world.calls("op").len();
    world.let_time_pass(Duration::from_millis(2500));
    assert_eq!(world.calls("op").len(), before);
    assert_eq!(
        world.object("op").condition("CancelRequested"),
        "True/Accepted",
        "what was sent was sent"
    );
    world.grant();
    let object = world.finished("op");
    assert_eq!(
        (object.outcome().as_str(), world.posts("op")),
        ("Cancelled", 1)
    );
}

#[test]
fn not_granted_any_more_at_the_deadline_ends_without_a_call() {
    let world = World::new("no-last-look", [("op", Script::ignores_cancel())]);
    world.cancel("op", &["deadlineSeconds: 10"]);
    world.wait(&["op"], "condition=CancelRequested");
    world.revoke(&world.namespace.name);
    world.wait(&["op"], "condition=Authorized=False");
    let before = world.calls("op").len();
    let object = world.finished("op");
    assert_eq!(
        (object.outcome().as_str(), world.calls("op").len()),
        ("Unknown", before)
    );
    assert_eq!(object.condition("Authorized"), "False/NoGrant");
    assert_eq!(object.condition("Stalled"), "True/DeadlineExceeded");
}

#[test]
fn not_granted_asks_for_no_token_and_makes_no_call_until_the_grant_is_there() {
    // A short name: a grant that is too long for the message is described in words.
    let world = World::without_grant("none", [("op", Script::default())]);
    let own = world.namespace.name.clone();
    let elsewhere = json!({"projects": ["other-prod"], "identities": ["Operator"]});
    world.grant_spec(&own, &elsewhere);
    let tokens = world.emulator.metadata_requests().len();
    world.cancel("op", &[]);
    world.wait(&["op"], "condition=Authorized=False");
    world.let_time_pass(Duration::from_millis(1500));
    let object = world.object("op");
    assert_eq!(object.condition("Authorized"), "False/NoGrant");
    assert_eq!(
        object.conditions(),
        [
            "Unknown/NoGrant",
            "False/NoGrant",
            "Unknown/NoGrant",
            "True/NoGrant",
            "-"
        ]
    );
    assert_eq!(object.text("/status/startTime"), "-");
    assert_eq!(
        (
            world.calls("op").len(),
            world.emulator.metadata_requests().len()
        ),
        (0, tokens),
        "{:#?}",
        world.emulator.metadata_requests()
    );
    assert_eq!(world.status_writes("op").len(), 1);

    // The message holds the grant, ready to be applied with any kubectl, and applying it takes nothing away.
    let message = object.message("Ready");
    let (_, manifest) = message
        .split_once("pply: ")
        .unwrap_or_else(|| panic!("{message}"));
    for kubectl in kubectls() {
        kubectl_of(&kubectl, &["apply", "--filename=-"], manifest).unwrap();
    }
    let before = kubectl_as_admin(&["get", "cancellationgrant", &own, "-o=json"], "").unwrap();
    assert_eq!(
        json_of(&before)["spec"]["projects"],
        elsewhere["projects"],
        "the other grant is still there"
    );
    let object = world.finished("op");
    assert_eq!(
        (object.outcome().as_str(), world.posts("op")),
        ("Cancelled", 1)
    );
    assert_eq!(object.condition("Authorized"), "True/Granted");
    assert_eq!(world.status_writes("op").len(), 3);
}

/// A namespace is granted by its label, which a test sets and removes. The key is the test's own: the tests share a cluster.
#[test]
fn a_selector_grants_a_namespace_for_as_long_as_it_has_the_label() {
    let world = World::without_grant(
        "labelled",
        [
            ("early", Script::default()),
            ("polled", Script::ignores_cancel()),
            ("late", Script::default()),
        ],
    );
    let own = world.namespace.name.clone();
    let key = format!("{own}.example/environment");
    let selector = json!({"matchExpressions": [
        {"key": key, "operator": "In", "values": ["preview", "test"]},
        {"key": format!("{own}.example/frozen"), "operator": "DoesNotExist"},
    ]});
    let spec = json!({"namespaceSelector": selector, "projects": ["acme-prod"], "identities": ["Operator"]});
    world.grant_spec(&own, &spec);
    world.label_namespace(&format!("{key}=production"));
    world.cancel("early", &[]);
    world.wait(&["early"], "condition=Authorized=False");
    world.let_time_pass(Duration::from_millis(1000));
    assert!(world.calls("early").is_empty());
    assert_eq!(world.object("early").condition("Ready"), "Unknown/NoGrant");

    world.label_namespace(&format!("{key}=preview"));
    assert_eq!(world.finished("early").outcome(), "Cancelled");
    world.cancel("polled", &[]);
    world.wait(&["polled"], "condition=CancelRequested");

    // Another label takes the grant away: no call is made any more.
    world.label_namespace(&format!("{own}.example/frozen=true"));
    world.wait(&["polled"], "condition=Authorized=False");
    let before = world.calls("polled").len();
    world.cancel("late", &[]);
    world.wait(&["late"], "condition=Authorized=False");
    world.let_time_pass(Duration::from_millis(2000));
    assert_eq!(world.calls("polled").len(), before);
    assert!(world.calls("late").is_empty());

    world.label_namespace(&format!("{own}.example/frozen-"));
    assert_eq!(world.finished("late").outcome(), "Cancelled");
    world
        .emulator
        .finish_operation(&operation("polled"), EndResult::completed())
        .unwrap();
    assert_eq!(world.finished("polled").outcome(), "Completed");
    assert_eq!(world.posts("polled"), 1);
}
