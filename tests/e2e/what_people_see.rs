//! What `kubectl get` and `kubectl get events` show.

use operations_emulator::Script;

use crate::support::world::{World, manifest, operation};

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
            "REASON",
            "MESSAGE"
        ]
    );
    assert_eq!(
        lines[1][5..],
        [
            "acme-prod",
            "OutcomeNotAccepted",
            "The",
            "operation",
            "ended",
            "cancelled:",
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
fn the_events_tell_the_end_once() {
    let world = World::new(
        "events",
        [
            ("good", Script::default()),
            ("bad", Script::cancel_unimplemented()),
        ],
    );
    world
        .apply(&format!(
            "{}{}",
            manifest("good", &[]),
            manifest("bad", &[])
        ))
        .unwrap();
    world.all_finished();
    let admin = crate::support::cluster::kubectl_as_admin;
    let namespace = format!("--namespace={}", world.namespace.name);
    for (name, type_, reason) in [
        ("good", "Normal", "Cancelled"),
        ("bad", "Warning", "Unsupported"),
    ] {
        let selector = format!("--field-selector=reason={reason}");
        let jsonpath = format!("--for=jsonpath={{.type}}={type_}");
        admin(
            &[
                "wait",
                "events",
                "--all",
                &namespace,
                &selector,
                &jsonpath,
                "--timeout=20s",
            ],
            "",
        )
        .or_else(|_| {
            admin(
                &[
                    "wait",
                    "events",
                    &namespace,
                    &selector,
                    &jsonpath,
                    "--timeout=20s",
                ],
                "",
            )
        })
        .unwrap();
        let events = crate::support::cluster::json_of(
            &admin(
                &["get", "events", &namespace, &selector, "--output=json"],
                "",
            )
            .unwrap(),
        );
        assert_eq!(events["items"].as_array().unwrap().len(), 1);
        assert_eq!(events["items"][0]["involvedObject"]["name"], name);
    }
}
