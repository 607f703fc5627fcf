//! How the end of an operation that was really cancelled is waited for: it cannot be asked for again.

use std::{
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use operations_emulator::{Call, EndResult, RequestRecord, Script};
use serde_json::Value;

use crate::{
    harness::{Harness, Probed, RUNNING, as_expected, done, scenario},
    relay::{Relay, answer, refusal},
};

fn cancel() -> String {
    format!("--cancel={RUNNING}")
}

fn row(probed: &Probed, id: &str) -> Value {
    let rows = probed.rows();
    rows.iter().find(|row| row["id"] == id).unwrap().clone()
}

/// Runs the probe with the first looks for the end answered otherwise.
async fn with_looks(many: u64, instead: &str) -> Probed {
    let harness = Harness::plain(as_expected()).await;
    let (looks, instead) = (AtomicU64::new(0), instead.to_owned());
    let relay = Relay::start(harness.emulator.url(), move |_, head| {
        let look =
            head.contains("opcancel-probe/end ") && looks.fetch_add(1, Ordering::SeqCst) < many;
        look.then(|| instead.clone())
    })
    .await;
    let json = [cancel(), "--output=json".to_owned()];
    harness.probe_at(&relay.url, &json).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_looked_for_again_after_whatever_may_pass() {
    for passing in [
        refusal(503, "UNAVAILABLE", "a message"),
        refusal(500, "UNKNOWN", "a message"),
        refusal(504, "DEADLINE_EXCEEDED", "a message"),
        refusal(409, "ABORTED", "a message"),
        refusal(404, "NOT_FOUND", "a message"),
        answer(502, "text/html", "<html>Bad Gateway</html>"),
        answer(200, "application/json", "{"),
        // Not ours: its end says nothing about the one that was cancelled.
        answer(
            200,
            "application/json",
            r#"{"name": "projects/acme-prod/locations/europe-west1/operations/another", "done": true}"#,
        ),
        String::new(),
    ] {
        let probed = with_looks(1, &passing).await;
        let end = row(&probed, "end");
        assert_eq!(end["verdict"], "as expected", "{passing}: {end}");
        assert_eq!(end["requests"], 2, "{passing}");
        assert_eq!(row(&probed, "end-stays")["verdict"], "as expected");
        assert_eq!(probed.code, Some(0), "{passing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_not_looked_for_where_nobody_may_look() {
    for lasting in [
        refusal(429, "RESOURCE_EXHAUSTED", "a message"),
        answer(429, "text/html", "<html>Too Many Requests</html>"),
        refusal(401, "UNAUTHENTICATED", "a message"),
        refusal(403, "PERMISSION_DENIED", "a message"),
    ] {
        let end = row(&with_looks(u64::MAX, &lasting).await, "end");
        assert_eq!(
            (&end["verdict"], &end["requests"]),
            (&"differs".into(), &1.into()),
            "{lasting}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_is_gone_is_believed_to_be_after_some_looks() {
    let gone = refusal(404, "NOT_FOUND", "a message");
    let end = row(&with_looks(u64::MAX, &gone).await, "end");
    assert_eq!(end["verdict"], "differs", "{end}");
    assert_eq!(end["requests"], 5, "{end}");
    let back = row(&with_looks(4, &gone).await, "end");
    assert_eq!(back["verdict"], "as expected", "{back}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_does_not_come_is_waited_for_no_longer_than_the_flag_says() {
    let harness = Harness::plain(scenario(done(), Script::ignores_cancel())).await;
    let all = [
        cancel(),
        "--output=json".to_owned(),
        "--wait=100ms".to_owned(),
    ];
    let probed = harness.probe(&all).await;
    assert_eq!(probed.with("differs"), ["end"], "{probed:?}");
    let rows = probed.rows();
    let end = rows.iter().find(|row| row["id"] == "end").unwrap();
    assert!(
        (2..=20).contains(&end["requests"].as_u64().unwrap()),
        "{end}"
    );
    assert_eq!(
        harness.emulator.count(RUNNING, Call::Cancel),
        2,
        "not again: it did not end"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_no_cancellation_is_shown() {
    let running = Script::cancel_ends_as(EndResult::completed(), Duration::ZERO);
    let harness = Harness::plain(scenario(done(), running)).await;
    let probed = harness.probe(&[cancel(), "--output=json".to_owned()]).await;
    assert_eq!(probed.with("differs"), ["end"], "{probed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_loses_nothing_that_was_learnt() {
    for signal in ["-INT", "-TERM"] {
        interrupted_by(signal).await;
    }
}

async fn interrupted_by(signal: &str) {
    let harness = Harness::plain(scenario(done(), Script::ignores_cancel())).await;
    let all = [
        cancel(),
        "--output=json".to_owned(),
        "--wait=10m".to_owned(),
    ];
    let mut command = harness.command(harness.emulator.url(), &all);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id().to_string();
    let waits = |requests: &[RequestRecord]| {
        let ends = requests
            .iter()
            .filter_map(|request| request.request_reason.as_ref());
        ends.filter(|reason| reason.contains("/end ")).count() == 1
    };
    harness
        .emulator
        .wait_for(waits, Duration::from_secs(20))
        .await
        .unwrap();
    let killed = Command::new("kill").args([signal, &id]).status().unwrap();
    assert!(killed.success());
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let probed = Probed::new(&output.await.unwrap());
    assert_eq!(probed.code, Some(3), "{signal}: {probed:?}");
    let rows = probed.rows();
    let row = |id: &str| rows.iter().find(|row| row["id"] == id).unwrap().clone();
    assert_eq!(row("cancel-running")["verdict"], "as expected");
    assert_eq!(
        (
            row("end")["reason"].as_str(),
            row("end")["requests"].as_u64()
        ),
        (Some("interrupted"), Some(1))
    );
    assert_eq!(row("cancel-ended")["requests"], 0);
}
