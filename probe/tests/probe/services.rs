//! The rows for services whose names and answers differ from Dialogflow's.

use operations_emulator::{Config, Emulator, Scenario};
use serde_json::Value;

use crate::harness::{self, Probed, flags};

const GKE: &str = "projects/acme-prod/locations/europe-west1/operations/operation-17";
const SQL: &str = "projects/acme-prod/operations/4d1b0a5e";
const SQL_DONE: &str = "projects/acme-prod/operations/4d1b0a5e-done";
const BUCKET: &str = "projects/_/buckets/acme/operations/4d1b0a5e";
const SPANNER: &str = "projects/acme-prod/instances/i/databases/d/operations/_auto_op_1";
const BUILD: &str = "operations/build/acme-prod/NTU4";

fn scenario() -> Scenario {
    let operations = [
        (GKE, "{service: container}"),
        (SQL, "{service: sqladmin}"),
        (
            SQL_DONE,
            "{service: sqladmin, ends: {result: {completed: {}}}}",
        ),
        (BUCKET, "{service: storage}"),
        (SPANNER, "{service: spanner}"),
        (
            BUILD,
            "{service: cloudbuild, ends: {result: {completed: {}}}}",
        ),
    ];
    let operations = operations.map(|(name, script)| format!("  {name}: {script}\n"));
    Scenario::parse(&format!("operations:\n{}", operations.concat())).unwrap()
}

async fn probe(service: &str, given: &[&str]) -> Probed {
    probe_with(scenario(), service, given).await
}

async fn probe_with(scenario: Scenario, service: &str, given: &[&str]) -> Probed {
    let emulator = Emulator::start(Config::from(scenario)).await.unwrap();
    let mut command = harness::command();
    command
        .env("GCE_METADATA_HOST", emulator.metadata_address())
        .arg(format!("--service={service}"))
        .arg(format!("--endpoint-override={service}={}", emulator.url()))
        .args([
            "--project=acme-prod",
            "--pace=0s",
            "--wait=2s",
            "--output=json",
        ])
        .args(flags(given));
    harness::run(command).await
}

fn row(probed: &Probed, id: &str) -> Value {
    let rows = probed.rows();
    let found = rows.iter().find(|row| row["id"] == id);
    found.unwrap_or_else(|| panic!("{id}: {rows:?}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_class_of_services_is_read_and_cancelled() {
    for (service, given, suffix) in [
        (
            "container",
            vec!["--location=europe-west1", "--cancel", GKE],
            ":cancel",
        ),
        ("sqladmin", vec!["--cancel", SQL], "/cancel"),
        ("storage", vec!["--cancel", BUCKET], "/cancel"),
        ("spanner", vec!["--cancel", SPANNER], ":cancel"),
    ] {
        let probed = probe(service, &given).await;
        for id in [
            "get-missing",
            "get-running",
            "cancel-running",
            "end",
            "end-stays",
        ] {
            let row = row(&probed, id);
            assert_eq!(row["verdict"], "as expected", "{service} {row}");
        }
        let request = row(&probed, "cancel-running")["request"].clone();
        assert!(request.as_str().unwrap().ends_with(suffix), "{request}");
    }
}

/// Whether Cloud Storage answers 200 or 204 is not known.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_may_be_answered_without_a_body() {
    let cancelled = row(
        &probe("storage", &["--cancel", BUCKET]).await,
        "cancel-running",
    );
    assert_eq!(cancelled["expected"], "200 {} or 200 or 204 without a body");
    assert_eq!(cancelled["observed"]["noBody"], true, "{cancelled}");
    assert_eq!(cancelled["verdict"], "as expected", "{cancelled}");
}

/// What a cancelled operation of GKE or Cloud SQL looks like is not known: the row accepts both, and shows it.
#[tokio::test(flavor = "multi_thread")]
async fn an_operation_with_status_may_not_say_how_it_ended() {
    for (service, given) in [
        (
            "container",
            vec!["--location=europe-west1", "--cancel", GKE],
        ),
        ("sqladmin", vec!["--cancel", SQL]),
    ] {
        let end = row(&probe(service, &given).await, "end");
        assert_eq!(end["expected"], "200 done, error.code 1 or 200 done");
        let operation = &end["observed"]["operation"];
        assert_eq!(operation["name"], "idAlone", "{end}");
        let keys = operation["keys"].as_array().unwrap();
        assert!(keys.contains(&Value::from("status")), "{end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_a_project_is_read_with_oauth() {
    let without = row(
        &probe("aiplatform", &["--location=europe-west1"]).await,
        "get-without-parent",
    );
    assert_eq!(without["verdict"], "as expected", "{without}");
    let request = without["request"].as_str().unwrap();
    assert!(request.contains("/v1/operations/"), "{request}");
    let probed = probe("spanner", &[]).await;
    let ids: Vec<_> = probed
        .rows()
        .into_iter()
        .map(|row| row["id"].clone())
        .collect();
    assert!(!ids.contains(&Value::from("get-without-parent")), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_project_in_the_id_is_asked_for() {
    let other = row(
        &probe(
            "cloudbuild",
            &["--location=europe-west1", "--finished", BUILD],
        )
        .await,
        "other-project-in-id",
    );
    assert_eq!(other["verdict"], "as expected", "{other}");
    let request = other["request"].as_str().unwrap();
    assert!(
        request.ends_with("/v1/operations/build/opcancel-probe-other-project/NTU4"),
        "{request}"
    );
    let without = row(
        &probe("cloudbuild", &["--location=europe-west1"]).await,
        "other-project-in-id",
    );
    assert_eq!(without["verdict"], "not tried", "{without}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_cancel_of_an_operation_with_status_changes_nothing() {
    let given = ["--finished", SQL_DONE, "--cancel-finished"];
    let probed = probe("sqladmin", &given).await;
    for id in ["get-finished", "get-finished-again"] {
        let row = row(&probed, id);
        assert_eq!(row["verdict"], "as expected", "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_location_that_a_service_needs_is_asked_for() {
    for (service, given, said) in [
        ("container", &[][..], "set --location"),
        (
            "spanner",
            &["--location=europe-west1"],
            "leave out --location",
        ),
    ] {
        let probed = probe(service, given).await;
        assert_ne!(probed.code, Some(0));
        assert!(probed.err.contains(said), "{probed:?}");
    }
}

/// The metadata server says which universe its tokens are of.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_universe_is_not_used() {
    let in_universe = |domain: &str| {
        let mut scenario = scenario();
        scenario.identity.universe_domain = domain.to_owned();
        scenario
    };
    const OTHER: &str = "apis-tpczero.goog";
    let flag = format!("--universe-domain={OTHER}");
    for (domain, given, refused) in [
        ("googleapis.com", &[][..], None),
        (OTHER, &[flag.as_str()], None),
        (
            OTHER,
            &[],
            Some("is apis-tpczero.goog, but --universe-domain is googleapis.com"),
        ),
        (
            "googleapis.com",
            &[flag.as_str()],
            Some("is googleapis.com, but --universe-domain is apis-tpczero.goog"),
        ),
    ] {
        let probed = probe_with(in_universe(domain), "spanner", given).await;
        match refused {
            None => {
                let missing = row(&probed, "get-missing");
                assert_eq!(missing["verdict"], "as expected", "{missing}");
            }
            Some(said) => {
                assert_eq!(probed.code, Some(3), "{probed:?}");
                assert!(probed.err.contains(said), "{probed:?}");
            }
        }
    }
    // Without an override, the hosts follow the universe.
    let mut command = harness::command();
    command.args([
        "--service=spanner",
        "--project=acme-prod",
        "--dry-run",
        &flag,
    ]);
    let planned = harness::run(command).await;
    assert!(
        planned
            .out
            .contains("GET https://spanner.apis-tpczero.goog/v1/"),
        "{planned:?}"
    );
}
