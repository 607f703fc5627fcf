//! `ListOperations`: what is below a parent, filtered, page by page.
#![allow(clippy::unwrap_used)]

mod support;

use operations_emulator::{Fault, FaultCall, RpcCode, Scenario};
use serde_json::{Value, json};
use support::{Setup, rpc_status, start_scenario};

const SCENARIO: &str = r#"
operations:
  projects/p/operations/a: {}
  projects/p/operations/b: {ends: {result: {completed: {}}}}
  projects/p/operations/c: {ends: {result: noResult}}
  projects/p/operations/gone: {exists: false}
  projects/p/locations/eu/operations/d: {}
  projects/p/locations/us/operations/e: {}
  projects/pp/operations/f: {}
lists: {partialSuccess: true}
"#;

async fn start() -> Setup {
    start_scenario(Scenario::parse(SCENARIO).unwrap()).await
}

async fn list(setup: &Setup, parent: &str, query: &str) -> (u16, Value) {
    setup.get_name(&format!("{parent}/operations{query}")).await
}

fn ids(json: &Value) -> Vec<&str> {
    let operations = json["operations"].as_array();
    operations
        .into_iter()
        .flatten()
        .map(|operation| {
            operation["name"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
        })
        .collect()
}

#[tokio::test]
async fn shows_what_is_right_below_the_parent_in_every_version() {
    let setup = start().await;
    for (parent, expected) in [
        ("projects/p", vec!["a", "b", "c"]),
        ("projects/p/locations/eu", vec!["d"]),
        ("projects/p/locations/-", vec!["d", "e"]),
        ("projects/none", vec![]),
    ] {
        for version in operations_emulator::VERSIONS {
            let url = format!("{}/{version}/{parent}/operations", setup.emulator.url());
            let answer = setup.client.get(url).bearer_auth(&setup.token).send().await;
            let (status, json) = support::json(answer.unwrap()).await;
            assert_eq!(
                (status, ids(&json)),
                (200, expected.clone()),
                "{version} {parent}"
            );
            assert_eq!(json.get("nextPageToken"), None);
        }
    }
    let (_, json) = list(&setup, "projects/p", "").await;
    let shown = setup.get_name("projects/p/operations/b").await.1;
    assert_eq!(json["operations"][1], shown, "as a GET shows it");
    let seen = setup.emulator.requests().pop().unwrap();
    assert_eq!(seen.operation.as_deref(), Some("projects/p/operations/b"));
    assert!(
        setup
            .emulator
            .requests()
            .iter()
            .any(|request| request.parent.as_deref() == Some("projects/p"))
    );
}

#[tokio::test]
async fn filters_by_done() {
    let setup = start().await;
    for (filter, expected) in [
        ("done=true", vec!["b", "c"]),
        ("done%20%3D%20false", vec!["a"]),
        ("done+%3d+true", vec!["b", "c"]),
    ] {
        let (status, json) = list(&setup, "projects/p", &format!("?filter={filter}")).await;
        assert_eq!((status, ids(&json)), (200, expected), "{filter}");
    }
}

#[tokio::test]
async fn leads_from_page_to_page_and_takes_no_other_token() {
    let setup = start().await;
    let (_, first) = list(&setup, "projects/p", "?pageSize=2").await;
    assert_eq!(ids(&first), ["a", "b"]);
    let token = first["nextPageToken"].as_str().unwrap();
    let (_, second) = list(
        &setup,
        "projects/p",
        &format!("?page_size=2&pageToken={token}"),
    )
    .await;
    assert_eq!(ids(&second), ["c"]);
    assert_eq!(second.get("nextPageToken"), None);
    // Two operations on a page of two: there is no more.
    let (_, whole) = list(&setup, "projects/p", "?pageSize=2&filter=done%3Dtrue").await;
    assert_eq!(whole.get("nextPageToken"), None);
    let mut other = token.to_owned();
    other.replace_range(..1, if other.starts_with('A') { "B" } else { "A" });
    for (parent, query) in [
        ("projects/p", format!("?pageToken={other}")),
        ("projects/p", "?pageToken=x".to_owned()),
        (
            "projects/p",
            format!("?pageToken={token}&filter=done%3Dtrue"),
        ),
        ("projects/pp", format!("?pageToken={token}")),
    ] {
        let (status, json) = list(&setup, parent, &query).await;
        assert_eq!(
            (status, rpc_status(&json)),
            (400, "INVALID_ARGUMENT"),
            "{parent}{query}"
        );
    }
}

#[tokio::test]
async fn refuses_what_it_cannot_read() {
    let setup = start().await;
    for query in [
        "?filter=state%3DRUNNING",
        "?pageSize=-1",
        "?pageSize=many",
        "?pageSize=99999999999",
        "?returnPartialSuccess=maybe",
        "?returnPartialSuccess=true",
        "?orderBy=name",
    ] {
        let (status, json) = list(&setup, "projects/p", query).await;
        assert_eq!(
            (status, rpc_status(&json)),
            (400, "INVALID_ARGUMENT"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn locations_that_cannot_be_reached_are_named_to_those_who_ask() {
    let scenario = SCENARIO.replace(
        "partialSuccess: true",
        "partialSuccess: true, unreachable: [us]",
    );
    let setup = start_scenario(Scenario::parse(&scenario).unwrap()).await;
    let all = "projects/p/locations/-";
    let (status, json) = list(&setup, all, "?returnPartialSuccess=true").await;
    assert_eq!((status, ids(&json)), (200, vec!["d"]));
    assert_eq!(json["unreachable"], json!(["projects/p/locations/us"]));
    assert_eq!(list(&setup, all, "").await.0, 503);
    assert_eq!(list(&setup, "projects/p/locations/eu", "").await.0, 200);

    let unsupported = SCENARIO.replace("partialSuccess: true", "");
    let setup = start_scenario(Scenario::parse(&unsupported).unwrap()).await;
    let (status, json) = list(&setup, all, "?returnPartialSuccess=true").await;
    assert_eq!((status, rpc_status(&json)), (501, "UNIMPLEMENTED"));
}

#[tokio::test]
async fn faults_can_meet_lists_only() {
    let setup = start().await;
    let fault = Fault::refuse(FaultCall::List, RpcCode::Unavailable).times(1);
    setup.emulator.set_faults(vec![fault]).unwrap();
    assert_eq!(setup.get_name("projects/p/operations/a").await.0, 200);
    assert_eq!(list(&setup, "projects/p", "").await.0, 503);
    assert_eq!(list(&setup, "projects/p", "").await.0, 200);
}
