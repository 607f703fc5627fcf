//! What callers see of an operation's life over HTTP: the usual answers of all four versions, and the presets of scripts.

mod support;

use std::time::Duration;

use operations_emulator::{
    CancelAnswer, EndResult, Fault, FaultCall, MetadataScript, RpcCode, Scenario, Script,
    UnknownOperations,
};
use serde_json::json;
use support::{NAME, json, rpc_status, start, start_scenario};

#[tokio::test]
async fn each_version_gets_and_cancels_both_forms_of_names() {
    let setup = start_scenario(
        Scenario::default()
            .with_operation("projects/p/operations/*", Script::default())
            .with_operation(
                "projects/p/locations/us-central1/operations/*",
                Script::default(),
            ),
    )
    .await;
    for version in ["v2", "v2beta1", "v3", "v3beta1"] {
        for parent in ["projects/p", "projects/p/locations/us-central1"] {
            let name = format!("{parent}/operations/{version}");
            let url = format!("{}/{version}/{name}", setup.emulator.url());
            let get = || async {
                json(
                    setup
                        .client
                        .get(&url)
                        .bearer_auth(&setup.token)
                        .send()
                        .await
                        .unwrap(),
                )
                .await
            };
            assert_eq!(get().await, (200, json!({"name": name})));
            let cancel = setup
                .client
                .post(format!("{url}:cancel"))
                .bearer_auth(&setup.token)
                .body("{}");
            assert_eq!(json(cancel.send().await.unwrap()).await, (200, json!({})));
            let (status, operation) = get().await;
            assert_eq!(
                (status, &operation["done"], &operation["error"]["code"]),
                (200, &json!(true), &json!(1))
            );
        }
    }
}

#[tokio::test]
async fn the_metadata_follow_the_life() {
    let mut script = Script::cancelled_after(Duration::from_secs(3600));
    script.metadata = Some(MetadataScript {
        type_url: Some("T".into()),
        ..MetadataScript::default()
    });
    let setup = start(script).await;
    assert_eq!(
        setup.get().await.1,
        json!({"name": NAME, "metadata": {"@type": "T", "state": "RUNNING"}})
    );
    assert_eq!(setup.cancel().await, (200, json!({})));
    assert_eq!(
        setup.get().await.1,
        json!({"name": NAME, "metadata": {"@type": "T", "state": "CANCELLING"}})
    );
    setup
        .emulator
        .finish_operation(NAME, EndResult::failed(RpcCode::Internal, "boom"))
        .unwrap();
    assert_eq!(
        setup.get().await.1,
        json!({
            "name": NAME, "done": true, "metadata": {"@type": "T", "state": "FAILED"},
            "error": {"code": 13, "message": "boom"},
        })
    );
}

#[tokio::test]
async fn a_cancel_of_a_finished_operation_answers_what_the_script_says() {
    for (answer, expected) in [
        (CancelAnswer::FailedPrecondition, 400),
        (CancelAnswer::Ok, 200),
    ] {
        let mut script = Script::already_done(EndResult::completed());
        script.cancel.when_done = answer;
        let setup = start(script).await;
        let (status, json) = setup.cancel().await;
        assert_eq!(status, expected);
        assert_eq!(
            rpc_status(&json),
            if expected == 400 {
                "FAILED_PRECONDITION"
            } else {
                ""
            }
        );
        assert_eq!(
            setup.get().await.1["response"]["@type"]
                .as_str()
                .map(str::is_empty),
            Some(false)
        );
    }
}

#[tokio::test]
async fn an_ignored_cancel_leaves_it_running() {
    let setup = start(Script::ignores_cancel()).await;
    assert_eq!(setup.cancel().await, (200, json!({})));
    assert_eq!(setup.get().await, (200, json!({"name": NAME})));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let late = Script::default().appears_after(Duration::from_secs(3600));
    let gone = Script::default().vanishes_after_cancel(Duration::ZERO);
    for (script, first) in [(Script::missing(), 404), (late, 404), (gone, 200)] {
        let setup = start(script).await;
        assert_eq!(setup.cancel().await.0, first);
        let (status, json) = setup.get().await;
        assert_eq!(
            (status, rpc_status(&json), &json["error"]["code"]),
            (404, "NOT_FOUND", &json!(404))
        );
    }
    let setup = start(Script::default()).await;
    assert_eq!(setup.get_name("projects/p/operations/other").await.0, 404);
}

#[tokio::test]
async fn an_unknown_name_can_be_given_a_fate() {
    let unknown = UnknownOperations::Script(Box::new(Script::already_done(EndResult::NoResult)));
    let setup = start_scenario(Scenario {
        unknown_operations: unknown,
        ..Scenario::default()
    })
    .await;
    let name = "projects/any/operations/name";
    assert_eq!(
        setup.get_name(name).await,
        (200, json!({"name": name, "done": true}))
    );
    assert_eq!(setup.emulator.operations().len(), 1);
}

#[tokio::test]
async fn a_cancel_that_is_not_supported_stays_so() {
    let setup = start(Script::cancel_unimplemented()).await;
    for _ in 0..3 {
        let (status, json) = setup.cancel().await;
        assert_eq!((status, rpc_status(&json)), (501, "UNIMPLEMENTED"));
    }
    assert_eq!(setup.get().await.0, 200);
    let setup =
        start(Script::default().with_fault(Fault::refuse(FaultCall::Get, RpcCode::Unimplemented)))
            .await;
    assert_eq!(setup.get().await.0, 501);
}

#[tokio::test]
async fn the_name_in_the_answer_may_be_another() {
    let number = "projects/123/locations/europe-west1/operations/o";
    let setup = start(Script {
        name_in_answer: Some(number.into()),
        ..Script::default()
    })
    .await;
    assert_eq!(setup.get().await.1["name"], number);
}
