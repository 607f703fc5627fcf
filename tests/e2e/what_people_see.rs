//! What `kubectl get` and `kubectl get events` show.

use std::time::Instant;

use operations_emulator::Script;
use serde_json::{Value, json};

use crate::support::{
    cluster::{json_of, kubectl_as_admin},
    world::{PATIENCE, World, manifest, operation},
};

#[test]
fn columns_and_field_selectors_tell_what_became_of_each() {
    let names = ["cancelled", "not-accepted", "unsupported", "suspended"];
    let script = |name| {
        if name == "unsupported" {
            Script::cancel_unimplemented()
        } else {
            Script::default()
        }
    };
    let world = World::new("columns", names.map(|name| (name, script(name))));
    let spec = |name| match name {
        "not-accepted" => &["acceptedOutcomes: [Completed]"][..],
        "suspended" => &["suspend: true"],
        _ => &[],
    };
    world
        .apply(&names.map(|name| manifest(name, spec(name))).concat())
        .unwrap();
    world.wait(&names[..3], "condition=Finished");
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let table = world
        .namespace
        .kubectl(&["get", "opcancel", "cancelled", "not-accepted"], "")
        .unwrap();
    let lines: Vec<_> = table.lines().map(words).collect();
    assert_eq!(lines[0], ["NAME", "OPERATION", "OUTCOME", "READY", "AGE"]);
    assert_eq!(
        lines[1][..4],
        ["cancelled", "cancelled", "Cancelled", "True"]
    );
    assert_eq!(
        lines[2][..4],
        ["not-accepted", "not-accepted", "Cancelled", "False"]
    );
    let wide = world
        .namespace
        .kubectl(&["get", "opcancel", "not-accepted", "--output=wide"], "")
        .unwrap();
    let lines: Vec<_> = wide.lines().map(words).collect();
    assert_eq!(
        lines[0],
        [
            "NAME",
            "OPERATION",
            "OUTCOME",
            "READY",
            "AGE",
            "PROJECT",
            "SERVICE",
            "PARENT",
            "REASON",
            "MESSAGE"
        ]
    );
    assert_eq!(
        lines[1][5..],
        [
            "acme-prod",
            "dialogflow",
            "projects/acme-prod/locations/europe-west1",
            "OutcomeNotAccepted",
            "The",
            "Dialogflow",
            "operation",
            "ended",
            "with",
            "CANCELLED:",
            "The",
            "operation",
            "was",
            "cancelled."
        ]
    );

    let selected = |selector: &str| {
        let names = [
            "get",
            "opcancel",
            "--output=name",
            "--field-selector",
            selector,
        ];
        words(&world.namespace.kubectl(&names, "").unwrap())
            .iter()
            .map(|name| name.rsplit('/').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(selected("status.outcome=Unsupported"), ["unsupported"]);
    assert_eq!(selected("status.outcome="), ["suspended"]);
    assert_eq!(
        selected(&format!("spec.operationName={}", operation("not-accepted"))),
        ["not-accepted"]
    );
}

#[test]
fn describe_and_get_events_tell_the_end_and_the_stall_once() {
    let world = World::without_grant(
        "events",
        [
            ("good", Script::default()),
            ("bad", Script::cancel_unimplemented()),
        ],
    );
    let both = json!({"projects": ["acme-prod"], "identities": ["Operator", "ServiceAccount"]});
    world.grant_spec(&world.namespace.name, &both);
    world
        .apply(&format!(
            "{}{}{}",
            manifest("good", &[]),
            manifest("bad", &[]),
            manifest("stalled", &["serviceAccountName: tenant"]),
        ))
        .unwrap();
    world.wait(&["good", "bad"], "condition=Finished");
    world.wait(&["stalled"], "condition=Stalled");
    let namespace = format!("--namespace={}", world.namespace.name);
    let expected = [
        ("bad", "Warning", "Unsupported"),
        ("good", "Normal", "Cancelled"),
        ("stalled", "Warning", "IdentityNotSupported"),
    ];
    let begun = Instant::now();
    let events = loop {
        let events = kubectl_as_admin(&["get", "events", &namespace, "--output=json"], "").unwrap();
        let events = json_of(&events)["items"].as_array().unwrap().clone();
        if events.len() >= expected.len() {
            break events;
        }
        // kubectl cannot wait for what does not exist yet.
        assert!(begun.elapsed() < PATIENCE, "{events:?}");
    };
    let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    let mut seen: Vec<_> = events
        .iter()
        .map(|event| {
            (
                text(&event["involvedObject"], "name"),
                text(event, "type"),
                text(event, "reason"),
            )
        })
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        expected.map(|(name, type_, reason)| (name.into(), type_.into(), reason.into()))
    );

    let listed = kubectl_as_admin(&["get", "events", &namespace], "").unwrap();
    for (name, type_, reason) in expected {
        let said = kubectl_as_admin(&["describe", "opcancel", name, &namespace], "").unwrap();
        let (_, table) = said
            .split_once("\nEvents:\n")
            .unwrap_or_else(|| panic!("{said}"));
        let line = table.lines().nth(2).unwrap_or_else(|| panic!("{table}"));
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[..2], [type_, reason], "{table}");
        // Not `<unknown>`, which older kubectls make of an event without its time.
        assert!(
            words[2].starts_with(|c: char| c.is_ascii_digit()),
            "{table}"
        );
        assert_eq!(words[3], "opcancel.github.io/controller", "{table}");
        let object = world.object(name);
        let messages = [object.message("Ready"), object.message("Stalled")];
        assert!(
            messages
                .iter()
                .any(|message| line.ends_with(message) && !message.is_empty()),
            "{table}"
        );
        assert_eq!(table.trim_end().lines().count(), 3, "{table}");

        let about = format!("operationcancellation/{name} ");
        let line = listed
            .lines()
            .find(|line| line.contains(&about))
            .unwrap_or_else(|| panic!("{listed}"));
        assert!(
            line.contains(type_) && line.contains(reason) && !line.contains("<unknown>"),
            "{listed}"
        );
    }
}
