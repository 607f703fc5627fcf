//! The services besides Dialogflow: their paths, and the forms of their operations and errors.

#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

mod support;

use operations_emulator::{Call, Scenario, Script};
use serde_json::{Value, json};
use support::{Setup, start_scenario};

/// A service, the name of an operation, and its path without what a cancel adds.
const SERVICES: [(&str, &str, &str, &str); 6] = [
    (
        "container",
        "projects/p/locations/us-central1/operations/operation-1",
        "/v1/projects/p/locations/us-central1/operations/operation-1",
        ":cancel",
    ),
    (
        "sqladmin",
        "projects/p/operations/c0ffee",
        "/sql/v1beta4/projects/p/operations/c0ffee",
        "/cancel",
    ),
    (
        "storage",
        "projects/_/buckets/b.c/operations/o",
        "/storage/v1/b/b.c/operations/o",
        "/cancel",
    ),
    (
        "dns",
        "projects/p/locations/global/operations/o",
        "/dns/v1/projects/p/locations/global/operations/o",
        ":cancel",
    ),
    (
        "cloudbuild",
        "operations/build/acme/NTU4",
        "/v1/operations/build/acme/NTU4",
        ":cancel",
    ),
    (
        "aiplatform",
        "projects/p/locations/eu/tuningJobs/7/operations/o",
        "/v1/projects/p/locations/eu/tuningJobs/7/operations/o",
        ":cancel",
    ),
];

fn script(service: &str) -> Script {
    Script {
        service: Some(service.to_owned()),
        ..Script::default()
    }
}

async fn start() -> Setup {
    let scenario = SERVICES
        .iter()
        .fold(Scenario::default(), |scenario, (service, name, ..)| {
            scenario.with_operation(*name, script(service))
        });
    start_scenario(scenario).await
}

async fn ask(setup: &Setup, method: reqwest::Method, path: &str) -> (u16, String) {
    let request = setup
        .client
        .request(method, format!("{}{path}", setup.emulator.url()));
    let request = request
        .bearer_auth(&setup.token)
        .header("content-length", "0");
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn get(setup: &Setup, path: &str) -> (u16, Value) {
    let (status, text) = ask(setup, reqwest::Method::GET, path).await;
    (status, serde_json::from_str(&text).unwrap_or_default())
}

#[tokio::test]
async fn each_has_its_own_paths_and_its_form_of_an_operation() {
    let setup = start().await;
    for (service, name, path, suffix) in SERVICES {
        let id = name.rsplit('/').next().unwrap();
        let (running, done) = match service {
            "container" | "sqladmin" => (
                json!({"name": id, "status": "RUNNING"}),
                json!({"name": id, "status": "DONE"}),
            ),
            _ => (
                json!({"name": name}),
                json!({"name": name, "done": true, "error": {"code": 1, "message": "The operation was cancelled."}}),
            ),
        };
        assert_eq!(get(&setup, path).await, (200, running), "{service}");
        let cancelled = ask(&setup, reqwest::Method::POST, &format!("{path}{suffix}")).await;
        let expected = match service {
            "storage" => (204, ""),
            _ => (200, "{}\n"),
        };
        assert_eq!((cancelled.0, cancelled.1.as_str()), expected, "{service}");
        assert_eq!(get(&setup, path).await, (200, done), "{service}");
        assert_eq!(setup.emulator.count(name, Call::Cancel), 1, "{service}");
    }
}

#[tokio::test]
async fn the_older_form_of_errors_has_a_reason_and_no_status() {
    let setup = start().await;
    let (status, body) = get(&setup, "/storage/v1/b/b.c/operations/unknown").await;
    let message =
        "Operation with name \"projects/_/buckets/b.c/operations/unknown\" was not found.";
    let error = json!({
        "errors": [{"domain": "global", "reason": "notFound", "message": message}],
        "code": 404, "message": message,
    });
    assert_eq!((status, body), (404, json!({"error": error})));
}

#[tokio::test]
async fn an_operation_of_one_service_is_not_found_by_another() {
    let setup = start().await;
    let path = "/v1beta1/projects/p/locations/us-central1/operations/operation-1";
    assert_eq!(get(&setup, path).await.0, 200, "GKE has it in v1beta1, too");
    // Dialogflow has this path, and the script names GKE.
    let other = "/v3/projects/p/locations/us-central1/operations/operation-1";
    let (status, body) = get(&setup, other).await;
    assert_eq!(
        (status, &body["error"]["status"]),
        (404, &json!("NOT_FOUND"))
    );
    // No service has this path.
    let (status, text) = ask(&setup, reqwest::Method::GET, "/v1/b/b.c/operations/o").await;
    assert!(
        status == 404 && text.starts_with("<!DOCTYPE html>"),
        "{text}"
    );
}

/// GKE, Filestore and others have `v1/projects/*/locations/*/operations`.
#[tokio::test]
async fn a_list_has_the_operations_of_the_host_s_service_in_its_form() {
    let parent = "projects/p/locations/us-central1";
    let scenario = Scenario::default()
        .with_operation(format!("{parent}/operations/of-any"), Script::default())
        .with_operation(format!("{parent}/operations/of-file"), script("file"))
        .with_operation(format!("{parent}/operations/of-gke"), script("container"))
        .with_operation("projects/p/operations/of-sql", script("sqladmin"));
    let setup = start_scenario(scenario).await;
    let name = |id: &str| json!({"name": format!("{parent}/operations/{id}")});
    let running = |id: &str| json!({"name": id, "status": "RUNNING"});
    let locations = format!("/v1/{parent}/operations");
    let projects = "/sql/v1beta4/projects/p/operations".to_owned();
    for (host, path, expected) in [
        (
            "container.googleapis.com",
            &locations,
            json!({"operations": [running("of-any"), running("of-gke")]}),
        ),
        (
            "file.googleapis.com",
            &locations,
            json!({"operations": [name("of-any"), name("of-file")]}),
        ),
        (
            "redis.googleapis.com",
            &locations,
            json!({"operations": [name("of-any")]}),
        ),
        (
            "127.0.0.1",
            &locations,
            json!({"operations": [name("of-any"), name("of-file"), running("of-gke")]}),
        ),
        (
            "sqladmin.googleapis.com",
            &projects,
            json!({"items": [running("of-sql")]}),
        ),
        (
            "127.0.0.1",
            &projects,
            json!({"items": [running("of-sql")]}),
        ),
    ] {
        let request = setup.client.get(format!("{}{path}", setup.emulator.url()));
        let request = request.bearer_auth(&setup.token).header("host", host);
        let answer = support::json(request.send().await.unwrap()).await;
        assert_eq!(answer, (200, expected), "{host}");
    }
}

/// Google's crate for GKE sends the fields from before GKE had locations.
#[tokio::test]
async fn the_parameters_that_a_service_documents_are_accepted() {
    let setup = start().await;
    let path = "/v1/projects/p/locations/us-central1/operations/operation-1";
    let old = "?projectId=&zone=&operationId=";
    assert_eq!(get(&setup, &format!("{path}{old}")).await.0, 200);
    let path = "/v1/projects/p/locations/us-central1/operations/of-another";
    assert_eq!(get(&setup, &format!("{path}{old}&other=1")).await.0, 400);
    let path = "/v1/projects/p/locations/eu/tuningJobs/7/operations/o";
    assert_eq!(get(&setup, &format!("{path}{old}")).await.0, 400);
}
