//! A caller that the rules refuse changes nothing: neither with a fault that says that the cancel is applied, nor by
//! naming an operation that a template would make.
#![allow(clippy::unwrap_used)]

mod support;

use operations_emulator::Scenario;
use serde_json::{Value, json};
use support::{Setup, rpc_status, start_scenario};

const NAME: &str = "projects/p/operations/o";

async fn start(more: &str) -> Setup {
    let scenario = format!(
        r#"
tokens:
  - {{token: may, principal: may@example.com}}
  - {{token: viewer, principal: viewer@example.com}}
permissions:
  - {{principal: may@example.com, calls: [get, list, cancel]}}
  - {{principal: viewer@example.com, calls: [list]}}
{more}
"#
    );
    start_scenario(Scenario::parse(&scenario).unwrap()).await
}

async fn ask(setup: &Setup, token: &str, method: &str, path: &str) -> (u16, Value) {
    let url = format!("{}/v2/{path}", setup.emulator.url());
    let request = setup.client.request(method.parse().unwrap(), url);
    let request = request.bearer_auth(token).header("content-length", "0");
    support::json(request.send().await.unwrap()).await
}

#[tokio::test]
async fn an_applied_fault_applies_only_what_the_caller_may() {
    let fault = "{on: cancel, applied: true, answer: {refuse: {code: UNAVAILABLE}}}";
    let cancel = format!("{NAME}:cancel");
    for more in [
        format!("operations: {{{NAME}: {{faults: [{fault}]}}}}"),
        format!("operations: {{{NAME}: {{}}}}\nfaults: [{fault}]"),
    ] {
        let setup = start(&more).await;
        for (token, cancelled) in [("viewer", false), ("may", true)] {
            let (status, json) = ask(&setup, token, "POST", &cancel).await;
            assert_eq!((status, rpc_status(&json)), (503, "UNAVAILABLE"), "{token}");
            let shown = &setup.emulator.operations()[0];
            assert_eq!(shown.cancel_accepted, cancelled, "{token}: {more}");
        }
    }
}

#[tokio::test]
async fn what_a_template_makes_begins_when_somebody_asks_who_may() {
    let setup = start("operations: {projects/p/operations/*: {}}").await;
    let cancel = format!("{NAME}:cancel");
    for (method, path) in [("GET", NAME), ("POST", cancel.as_str())] {
        let (status, _) = ask(&setup, "viewer", method, path).await;
        assert_eq!(status, 403, "{method}");
        assert!(setup.emulator.operations().is_empty(), "{method}");
        let list = ask(&setup, "viewer", "GET", "projects/p/operations").await;
        assert_eq!(list, (200, json!({})), "{method}");
    }
    let (status, json) = ask(&setup, "may", "GET", NAME).await;
    assert_eq!((status, json), (200, json!({"name": NAME})));
    let shown = &setup.emulator.operations()[0];
    assert_eq!((shown.gets, shown.cancels), (2, 1), "the refused ones too");
    assert!(!shown.cancel_accepted);
}

#[tokio::test]
async fn faults_are_counted_by_name_also_before_a_template_has_made_the_operation() {
    let setup = start(
        "operations: {projects/p/operations/*: {faults: [{on: get, times: 2, answer: {refuse: {code: UNAVAILABLE}}}]}}",
    )
    .await;
    for _ in 0..2 {
        assert_eq!(ask(&setup, "viewer", "GET", NAME).await.0, 503);
        assert!(setup.emulator.operations().is_empty());
    }
    assert_eq!(ask(&setup, "may", "GET", NAME).await.0, 200);
    // Who may ask has it begin, even if a fault answers.
    let other = "projects/p/operations/other";
    assert_eq!(ask(&setup, "may", "GET", other).await.0, 503);
    let shown = setup.emulator.operations();
    let counts: Vec<_> = shown
        .iter()
        .map(|shown| (shown.name.as_str(), shown.gets))
        .collect();
    assert_eq!(counts, [(NAME, 3), (other, 1)]);
}

#[tokio::test]
async fn a_template_that_is_replaced_or_removed_makes_nothing_of_what_was_refused_before() {
    let setup = start("operations: {projects/p/operations/*: {}}").await;
    assert_eq!(ask(&setup, "viewer", "GET", NAME).await.0, 403);
    let done = serde_json::from_value(json!({"ends": {"result": "noResult"}})).unwrap();
    let template = "projects/p/operations/*";
    setup.emulator.set_operation(template, done).unwrap();
    assert_eq!(ask(&setup, "may", "GET", NAME).await.1["done"], true);

    let other = "projects/p/operations/other";
    assert_eq!(ask(&setup, "viewer", "GET", other).await.0, 403);
    let url = format!(
        "{}/admin/operations?name={template}",
        setup.emulator.admin_url()
    );
    let removed = setup.client.delete(url).send().await.unwrap();
    assert_eq!(removed.status(), 200);
    assert_eq!(ask(&setup, "may", "GET", other).await.0, 404);
}
