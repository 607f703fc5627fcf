//! Scenarios are read whole or refused with a message that names the field, what is wrong and what would be right.

use operations_emulator::{Latency, Scenario};
use std::time::Duration;

#[test]
fn the_documented_example_is_valid_and_shows_ten_different_scripts_or_more() {
    let text = include_str!("../scenarios/examples.yaml");
    let scenario = Scenario::parse(text).unwrap();
    assert!(scenario.operations.len() >= 10);
    let mut scripts: Vec<_> = scenario
        .operations
        .values()
        .map(|script| {
            format!(
                "{:?}",
                operations_emulator::Script {
                    description: None,
                    ..script.clone()
                }
            )
        })
        .collect();
    scripts.sort();
    scripts.dedup();
    assert_eq!(
        scripts.len(),
        scenario.operations.len(),
        "two operations have the same script"
    );
}

#[test]
fn json_is_read_too_and_what_is_written_reads_back() {
    let scenario = Scenario::parse(include_str!("../scenarios/examples.yaml")).unwrap();
    let json = serde_json::to_string(&scenario).unwrap();
    assert_eq!(Scenario::parse(&json).unwrap(), scenario);
    assert_eq!(Scenario::parse("").unwrap(), Scenario::default());
    assert_eq!(Scenario::parse("# nothing\n").unwrap(), Scenario::default());
}

#[test]
fn a_latency_is_one_for_all_or_one_a_method() {
    let latency = |text: &str| Scenario::parse(text).unwrap().latency;
    assert_eq!(
        latency("latency: 100ms"),
        Latency::both(Duration::from_millis(100))
    );
    let expected = Latency {
        get: Duration::ZERO,
        cancel: Duration::from_secs(1),
    };
    assert_eq!(latency("latency: {cancel: 1s}"), expected);
}

#[test]
fn what_is_wrong_is_named() {
    let script = |script: &str| format!("operations: {{projects/p/operations/o: {script}}}");
    for (text, wanted) in [
        ("latencey: 1s".to_owned(), ["latencey", "latency"]),
        ("latency: 5".to_owned(), ["\"5\"", "200ms"]),
        (
            "operations: {projects/p: {}}".to_owned(),
            ["operations[\"projects/p\"]", "projects/P/operations/O"],
        ),
        (
            "operations: {projects/p/operations/o*x: {}}".to_owned(),
            ["o*x", "a * at the end"],
        ),
        (
            "identity: {email: nobody}".to_owned(),
            ["identity.email", "e-mail"],
        ),
        (
            "identity: {expiresIn: 1500ms}".to_owned(),
            ["identity.expiresIn", "whole seconds"],
        ),
        (
            "identity: {notReady: {requests: 1, status: 99}}".to_owned(),
            ["identity.notReady.status", "200 to 599"],
        ),
        (
            "tokens: [{token: a b, principal: x}]".to_owned(),
            ["tokens[0].token", "without spaces"],
        ),
        (
            "endpoints: [{host: 'https://x/', locations: []}]".to_owned(),
            ["endpoints[0].host", "europe-west1-"],
        ),
        (
            "permissions: [{principal: '', calls: [get]}]".to_owned(),
            ["permissions[0].principal", "everybody"],
        ),
        (
            "lists: {pageSize: 0}".to_owned(),
            ["lists.pageSize", "at least 1"],
        ),
        (
            "connections: [{answer: reset, from: 0}]".to_owned(),
            ["connections[0].from", "from 1"],
        ),
        ("recordLimit: 0".to_owned(), ["recordLimit", "at least 1"]),
        ("unknownOperations: maybe".to_owned(), ["maybe", "notFound"]),
        (
            "recordLimit: many".to_owned(),
            ["recordLimit: ", "a whole number"],
        ),
        ("permissions: {}".to_owned(), ["permissions: ", "a list"]),
        (
            script("soon"),
            ["operations.projects/p/operations/o: ", "an object"],
        ),
        (
            script("{exists: maybe}"),
            [
                "operations.projects/p/operations/o.exists: ",
                "true or false",
            ],
        ),
        (
            script("{faults: [{answer: {late: soon}}]}"),
            ["o.faults[0].answer.late: ", "for example 200ms"],
        ),
        (
            "operations: {projects/p/operations/o: {}, projects/p/operations/o: {}}".to_owned(),
            ["operations: ", "duplicate mapping key"],
        ),
        (
            "operations: {".to_owned(),
            ["line 1 column 13", "unclosed bracket"],
        ),
        (script("{ends: {after: 1s}}"), ["result", "missing"]),
        (
            script("{ends: {result: {failed: {code: OK}}}}"),
            ["OK", "UNAVAILABLE"],
        ),
        (
            script("{ends: {result: {failed: {code: CANCELLED}}}}"),
            ["ends.result.failed.code", "cancelledElsewhere"],
        ),
        (
            script("{cancel: {effect: {ends: {failed: {code: 1}}}}}"),
            ["cancel.effect.ends.failed", "cancelledElsewhere"],
        ),
        (
            script("{cancel: {effect: explodes}}"),
            ["explodes", "cancels"],
        ),
        (script("{vanishes: {}}"), ["vanishes", "afterCancel"]),
        (
            script("{faults: [{answer: close, from: 0}]}"),
            ["faults[0].from", "from 1"],
        ),
        (
            script("{faults: [{answer: close, times: 0}]}"),
            ["faults[0].times", "\"always\""],
        ),
        (
            script("{faults: [{answer: close, on: get, applied: true}]}"),
            ["faults[0].applied", "cancel"],
        ),
        (
            script("{faults: [{answer: {raw: {status: 100}}}]}"),
            ["faults[0].answer.raw.status", "200 to 599"],
        ),
        (
            script("{faults: [{answer: {raw: {status: 200, headers: {'a b': c}}}}]}"),
            ["headers[\"a b\"]", "header name"],
        ),
        (
            script("{faults: [{answer: {raw: {status: 200, body: abc, contentLength: 2}}}]}"),
            ["contentLength", "at least 3"],
        ),
        (script("{faults: [{on: get}]}"), ["answer", "missing"]),
        (
            script("{metadata: {padding: 999999999999999}}"),
            ["o\"].metadata.padding", "16777216"],
        ),
        (
            script("{ends: {result: {completed: {padding: 999999999999999}}}}"),
            ["o\"].ends.result.completed.padding", "268435456"],
        ),
        (
            script("{faults: [{answer: {deep: {depth: 999999999999999}}}]}"),
            ["o\"].faults[0].answer.deep.depth", "1000000"],
        ),
    ] {
        let message = Scenario::parse(&text).expect_err(&text).to_string();
        for part in wanted {
            assert!(
                message.contains(part),
                "{text}\n  lacks {part:?}: {message}"
            );
        }
    }
}

#[test]
fn all_invalid_values_are_reported_at_once() {
    let message = Scenario::parse("{recordLimit: 0, identity: {email: x}}")
        .expect_err("two errors")
        .to_string();
    assert!(
        message.contains("recordLimit") && message.contains("identity.email"),
        "{message}"
    );
}
