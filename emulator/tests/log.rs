//! The program's log: a line for each request, whatever becomes of its record, and for what else a person looks for there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::process::Stdio;

use serde_json::Value;
use support::PATIENCE;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

const SCENARIO: &str = "
recordLimit: 1
tokens: [{token: t, principal: p@example.com}]
operations:
  projects/p/operations/hangs: {faults: [{answer: {hang: 1h}}]}
  projects/p/operations/quick: {}
";

/// The program, with the URLs of the Operations API and of the admin API.
async fn start(folder: &tempfile::TempDir) -> (Child, String, String) {
    let file = folder.path().join("scenario.yaml");
    std::fs::write(&file, SCENARIO).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_operations-emulator"))
        .args(["--exit-with-parent", "--log-format", "json", "--scenario"])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let told = tokio::time::timeout(PATIENCE, out.read_line(&mut line)).await;
    told.expect("ready in time").unwrap();
    let addresses: Value = serde_json::from_str(&line).unwrap();
    let address = |key: &str| addresses[key].as_str().unwrap().to_owned();
    (child, address("url"), address("adminUrl"))
}

/// Ends it and returns its log.
async fn log(mut child: Child) -> Vec<Value> {
    drop(child.stdin.take());
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let log = String::from_utf8(output.expect("ends in time").unwrap().stderr).unwrap();
    log.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

#[tokio::test]
async fn every_request_has_its_line_whatever_is_kept_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (child, url, admin) = start(&folder).await;
    let client = support::client();
    let get = |name: &str| client.get(format!("{url}/v2/projects/p/operations/{name}"));
    for forget in [false, true] {
        let hanging = tokio::spawn(get("hangs").bearer_auth("t").send());
        let path = "/admin/requests?operation=projects/p/operations/hangs&wait=20s";
        let seen: Value = client
            .get(format!("{admin}{path}"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(seen["requests"][0]["answer"], "pending");
        // Either takes the hanging one out of the list.
        if forget {
            let request = client.delete(format!("{admin}/admin/requests"));
            assert_eq!(request.send().await.unwrap().status(), 200);
        } else {
            let quick = get("quick").bearer_auth("t").send().await.unwrap();
            assert_eq!(quick.status(), 200);
        }
        hanging.abort();
    }
    let large = client.post(format!("{url}/v2/projects/p/operations/quick:cancel"));
    let large = large.body("x".repeat(70_000)).send().await.unwrap();
    assert_eq!(large.status(), 413);

    let lines = log(child).await;
    let requests = lines.iter().filter(|line| line["method"] != Value::Null);
    let mut found: Vec<_> = requests
        .filter(|line| line["surface"] == "Operations")
        .map(|line| {
            let id = line["path"].as_str().unwrap().rsplit('/').next().unwrap();
            format!("{id} {} {}", line["message"], line["status"])
        })
        .collect();
    found.sort();
    let abandoned = "hangs \"request: Abandoned\" null";
    assert_eq!(
        found,
        [
            abandoned,
            abandoned,
            "quick \"request\" 200",
            "quick:cancel \"request\" 413"
        ]
    );
}

#[tokio::test]
async fn connections_that_meet_a_fault_and_changes_by_the_admin_address_have_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let (child, url, admin) = start(&folder).await;
    let client = support::client();
    let faults = client.put(format!("{admin}/admin/connections"));
    let faults = faults.body("[{times: 1, answer: reset}]").send().await;
    assert_eq!(faults.unwrap().status(), 200);
    // A client of its own: no connection is left from before.
    support::client().get(url).send().await.unwrap_err();

    let lines = log(child).await;
    let line = |message: &str| {
        let found = lines.iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("{message}: {lines:?}"))
    };
    let fault = line("a fault of the scenario applies to a connection");
    assert_eq!(fault["answer"], "Reset");
    let change = line("admin request");
    assert_eq!(
        (&change["method"], &change["path"], &change["status"]),
        (&"PUT".into(), &"/admin/connections".into(), &200.into())
    );
}
