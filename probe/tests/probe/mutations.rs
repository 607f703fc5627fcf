//! Each row can fail: with one answer changed, its row differs and no other.

use serde_json::Value;

use crate::{
    harness::{Harness, as_expected, everything, flags},
    relay::{Relay, answer, refusal},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_another_makes_its_row_differ_and_no_other() {
    let json = [everything(), flags(&["--output=json", "--wait=100ms"])].concat();
    let harness = Harness::plain(as_expected()).await;
    let untouched = harness.probe(&json).await;
    assert_eq!(untouched.code, Some(0), "{untouched:?}");
    // CancelSubject request each is.
    let owners: Vec<String> = untouched
        .rows()
        .iter()
        .flat_map(|row| {
            let count = row["requests"].as_u64().unwrap();
            (0..count)
                .map(|_| row["id"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(
        owners.len(),
        untouched.rows().len(),
        "each row has one request here"
    );
    for others in [
        refusal(400, "OUT_OF_RANGE", "a message"),
        answer(
            200,
            "application/json",
            r#"{"name":"projects/q/operations/x","done":"true"}"#,
        ),
        answer(302, "text/html", "<html>"),
    ] {
        for owner in &owners {
            let harness = Harness::plain(as_expected()).await;
            let instead = others.clone();
            // The end is looked for more than once.
            let row = format!("opcancel-probe/{owner} ");
            let changed = move |_, head: &str| head.contains(&row).then(|| instead.clone());
            let relay = Relay::start(harness.emulator.url(), changed).await;
            let probed = harness.probe_at(&relay.url, &json).await;
            assert_eq!(
                probed.with("differs"),
                [owner.as_str()],
                "{others}: {probed:?}"
            );
            assert_eq!(probed.code, Some(1), "{owner}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_no_answer_and_no_difference() {
    let json = vec!["--output=json".to_owned()];
    let harness = Harness::plain(as_expected()).await;
    let relay = Relay::start(harness.emulator.url(), |number, _| {
        (number == 1).then(String::new)
    })
    .await;
    let probed = harness.probe_at(&relay.url, &json).await;
    assert_eq!(probed.with("no answer"), ["version-v2beta1"], "{probed:?}");
    assert_eq!(probed.with("differs"), Vec::<String>::new(), "{probed:?}");
    assert_eq!(probed.code, Some(3), "not everything could be asked");
    let row: &Value = &probed.rows()[1];
    assert_eq!(row["observed"]["status"], "NETWORK", "{row}");
    assert_eq!(row["requests"], 1, "no row is tried twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_ends_the_questions_in_json_or_html() {
    for exhausted in [
        refusal(429, "RESOURCE_EXHAUSTED", "Quota exceeded"),
        answer(429, "text/html", "<html>Too Many Requests</html>"),
    ] {
        let harness = Harness::plain(as_expected()).await;
        let answer = exhausted.clone();
        let relay = Relay::start(harness.emulator.url(), move |number, _| {
            (number >= 3).then(|| answer.clone())
        })
        .await;
        let json = [everything(), vec!["--output=json".to_owned()]].concat();
        let probed = harness.probe_at(&relay.url, &json).await;
        assert_eq!(probed.with("differs").len(), 1, "{exhausted}: {probed:?}");
        let rows = probed.rows();
        let asked: u64 = rows
            .iter()
            .map(|row| row["requests"].as_u64().unwrap())
            .sum();
        assert_eq!(asked, 4);
        assert_eq!(rows.last().unwrap()["reason"], "a quota is used up");
    }
}
