//! Operations that are valid and that clients choke on: control characters, unknown types, sizes, empty errors.
#![allow(clippy::unwrap_used)]

mod support;

use operations_emulator::Scenario;
use serde_json::json;
use support::{raw, start_scenario};

#[tokio::test]
async fn texts_types_and_sizes_come_as_the_scenario_has_them() {
    let text = r#"
operations:
  projects/p/operations/control:
    ends: {result: {failed: {code: 99, message: "a\nb\tc\u0000\u001b[31m\u2028\"", details: [{"@type": type.googleapis.com/acme.Unheard, x: 1}]}}}
  projects/p/operations/empty: {ends: {result: emptyError}}
  projects/p/operations/none: {ends: {result: noResult}}
  projects/p/operations/any: {ends: {result: {completed: {type: type.googleapis.com/acme.Unheard, fields: {deep: [{}]}}}}}
  projects/p/operations/large: {ends: {result: {completed: {type: type.googleapis.com/acme.Unheard, fields: {a: "}"}, padding: 3000000}}}}
  projects/p/operations/big: {metadata: {type: type.googleapis.com/acme.Unheard, state: none, padding: 2000000}}
"#;
    let setup = start_scenario(Scenario::parse(text).unwrap()).await;
    let unheard = "type.googleapis.com/acme.Unheard";
    let message = "a\nb\tc\u{0}\u{1b}[31m\u{2028}\"";
    for (id, key, expected) in [
        (
            "control",
            "error",
            json!({"code": 99, "message": message, "details": [{"@type": unheard, "x": 1}]}),
        ),
        ("empty", "error", json!({})),
        ("none", "done", json!(true)),
        ("any", "response", json!({"@type": unheard, "deep": [{}]})),
        (
            "large",
            "response",
            json!({"@type": unheard, "a": "}", "padding": "x".repeat(3_000_000)}),
        ),
        (
            "big",
            "metadata",
            json!({"@type": unheard, "padding": "x".repeat(2_000_000)}),
        ),
    ] {
        let (status, json) = setup.get_name(&format!("projects/p/operations/{id}")).await;
        assert_eq!((status, &json[key]), (200, &expected), "{id}");
    }
    // JSON carries them escaped, never as they are.
    let head = format!(
        "GET /v2/projects/p/operations/control HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n",
        setup.token
    );
    let answer = raw(setup.emulator.url(), &head).await;
    assert!(answer.contains(r"a\nb\tc\u0000\u001b[31m"), "{answer}");
}
