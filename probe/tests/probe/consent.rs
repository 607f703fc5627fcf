//! What a GET must have said before a cancel: of that operation, and not less.

use operations_emulator::{Call, Script};
use serde_json::json;

use crate::{
    harness::{
        FINISHED, FORBIDDEN, Harness, LOCATION, PROJECT, RUNNING, as_expected, flags, scenario,
    },
    relay::{Relay, answer, refusal},
};

/// An answer about another operation, as a gateway gives it that has mixed up its connections.
fn another(done: bool) -> String {
    let name = format!("projects/{PROJECT}/locations/{LOCATION}/operations/another");
    let body = json!({"name": name, "done": done});
    answer(200, "application/json", &body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_another_operation_is_no_leave() {
    // Both run; the answers say what would be leave if they were about them.
    let harness = Harness::plain(scenario(Script::default(), Script::default())).await;
    let relay = Relay::start(harness.emulator.url(), |_, head| {
        if head.contains("opcancel-probe/get-finished ") {
            Some(another(true))
        } else if head.contains("opcancel-probe/get-running ") {
            Some(another(false))
        } else {
            None
        }
    })
    .await;
    let all = [
        format!("--finished={FINISHED}"),
        "--cancel-finished".to_owned(),
        format!("--cancel={RUNNING}"),
        "--output=json".to_owned(),
    ];
    let probed = harness.probe_at(&relay.url, &all).await;
    for name in [FINISHED, RUNNING] {
        assert_eq!(
            harness.emulator.count(name, Call::Cancel),
            0,
            "{name}: {probed:?}"
        );
    }
    assert_eq!(probed.with("differs"), ["get-finished", "get-running"]);
    let rows = probed.rows();
    for (id, why) in [
        (
            "cancel-finished",
            "not cancelled: no GET reported that it is done",
        ),
        ("get-finished-again", "no GET reported that it is done"),
        ("cancel-running", "no GET reported that it is running"),
        ("cancel-again", "no GET reported that it is running"),
        ("end", "no GET reported that it is running"),
        ("cancel-ended", "no GET reported that it is done"),
    ] {
        let row = rows.iter().find(|row| row["id"] == id).unwrap();
        assert_eq!(row["reason"], why, "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_of_ones_own_that_tells_nothing_has_no_random_name_cancelled() {
    let harness = Harness::plain(as_expected()).await;
    let hidden = refusal(403, "PERMISSION_DENIED", "a message");
    let relay = Relay::start(harness.emulator.url(), move |_, head| {
        let missing = head.contains("opcancel-probe/get-missing ");
        missing.then(|| hidden.clone())
    })
    .await;
    let mut all = flags(&["--cancel-missing", "--output=json"]);
    all.push(format!("--forbidden-project={FORBIDDEN}"));
    let probed = harness.probe_at(&relay.url, &all).await;
    assert_eq!(
        probed.with("differs"),
        ["get-missing"],
        "the cancel without rights is as expected: {probed:?}"
    );
    let requests = harness.emulator.requests();
    let posts = requests.iter().filter(|request| request.method != "GET");
    let names: Vec<_> = posts.filter_map(|post| post.operation.as_deref()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(
        names[0].starts_with(&format!("projects/{FORBIDDEN}/")),
        "{names:?}"
    );
    let rows = probed.rows();
    for id in ["cancel-missing", "cancel-without-length"] {
        let row = rows.iter().find(|row| row["id"] == id).unwrap();
        assert_eq!(
            row["reason"],
            "not cancelled: no GET reported that there is no such operation"
        );
    }
}
