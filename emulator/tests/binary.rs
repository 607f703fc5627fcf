//! The program: how it tells its addresses, what it refuses, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

const PATIENCE: Duration = Duration::from_secs(30);

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operations-emulator"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn addresses(child: &mut Child) -> Value {
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    tokio::time::timeout(PATIENCE, out.read_line(&mut line))
        .await
        .expect("ready in time")
        .unwrap();
    serde_json::from_str(&line).expect("a JSON line")
}

async fn ends(child: Child) -> Output {
    tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("ends in time")
        .unwrap()
}

async fn refused(command: &mut Command) -> String {
    let output = ends(command.spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn writes_its_authority_before_it_tells_its_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let mut child = program()
        .args(["--tls", "--tls-host", "emulator.internal", "--ca-file"])
        .arg(&file)
        .spawn()
        .unwrap();
    let addresses = addresses(&mut child).await;
    let pem = std::fs::read(&file).unwrap();
    // Installs the TLS provider.
    drop(support::client());
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .build()
        .unwrap();
    for key in ["url", "credentialsUrl"] {
        let answer = client.get(addresses[key].as_str().unwrap()).send().await;
        assert_eq!(answer.unwrap().status(), 404, "{key}");
    }
    child.kill().await.unwrap();
}

#[tokio::test]
async fn tells_its_addresses_serves_and_ends_with_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("addresses.json");
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/examples.yaml");
    let mut child = program()
        .args([
            "--exit-with-parent",
            "--latency",
            "0",
            "--log-format",
            "json",
            "--scenario",
        ])
        .arg(scenario)
        .arg("--addresses-file")
        .arg(&file)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let addresses = addresses(&mut child).await;
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(written, addresses);

    let client = support::client();
    let health = format!("{}/healthz", addresses["adminUrl"].as_str().unwrap());
    assert_eq!(client.get(health).send().await.unwrap().status(), 200);
    let url = format!(
        "{}/v2/projects/acme-prod/operations/already-done",
        addresses["url"].as_str().unwrap()
    );
    let operation = client
        .get(url)
        .bearer_auth("curl-token")
        .send()
        .await
        .unwrap();
    assert_eq!(operation.json::<Value>().await.unwrap()["done"], true);

    drop(child.stdin.take());
    let output = ends(child).await;
    assert!(output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(!log.contains("curl-token"), "{log}");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let request = lines
        .iter()
        .find(|line| line["message"] == "request")
        .expect("a line for the request");
    assert_eq!(request["status"], 200);
    assert_eq!(
        request["path"],
        "/v2/projects/acme-prod/operations/already-done"
    );
}

#[tokio::test]
async fn ends_on_sigterm_and_sigint() {
    for signal in ["TERM", "INT"] {
        let mut child = program().spawn().unwrap();
        addresses(&mut child).await;
        let id = child.id().unwrap().to_string();
        assert!(
            std::process::Command::new("kill")
                .args(["-s", signal, &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(ends(child).await.status.success(), "{signal}");
    }
}

#[tokio::test]
async fn refuses_addresses_that_others_reach() {
    for flag in ["--listen", "--metadata-listen", "--admin-listen"] {
        let message = refused(program().args([flag, "0.0.0.0:0"])).await;
        assert!(
            message.contains("0.0.0.0:0") && message.contains("--allow-non-loopback"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn says_what_is_wrong_with_a_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.yaml");
    std::fs::write(
        &file,
        "operations:\n  projects/p/operations/o:\n    fautls: []\n",
    )
    .unwrap();
    let message = refused(program().arg("--scenario").arg(&file)).await;
    for part in ["wrong.yaml", "fautls", "faults", "3"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let message = refused(program().args(["--scenario", "/nonexistent/s.yaml"])).await;
    assert!(message.contains("/nonexistent/s.yaml"), "{message}");
}
