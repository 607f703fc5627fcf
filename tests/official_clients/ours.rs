//! The controller's own client, under the same conditions as Google's.

use std::time::SystemTime;

use opcancel::google::{
    catalogue::resolve,
    client::{ClientConfig, OperationsClient},
    endpoint::EndpointOverrides,
    identity::{Environment, IdentityConfig, OperatorIdentity},
    operation_name::OperationName,
    proxy::{HttpsProxy, ProxyUrl},
    request_reason::RequestReason,
    tls,
    token::{FetchObserver, TokenSource},
};
use operations_emulator::Scenario;
use serde_json::Value;

use crate::client::{Google, Run};

/// Operations whose requests are compared, with a version of each.
pub const COMPARED: [(&str, &str); 3] = [
    ("projects/acme-prod/operations/stopped", "v2"),
    (
        "projects/acme-prod/locations/europe-west1/operations/completed-1",
        "v3",
    ),
    ("projects/example.com:acme/operations/of-a-domain", "v2"),
];

/// What it sends: from a process of its own, because proxy and authorities come from the environment.
pub fn run() -> Run {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scenario = Scenario::parse(include_str!("scenario.yaml")).unwrap();
    let mut itself = tokio::process::Command::new(std::env::current_exe().unwrap());
    itself.args(["--ignored", "--exact", "ours::it_asks", "--quiet"]);
    let google = runtime.block_on(Google::start(scenario));
    google.run(&runtime, itself, &Value::Null).1
}

#[tokio::test]
#[ignore = "the comparison runs it, in an environment of its own"]
async fn it_asks() {
    tls::install_provider();
    let proxy = ProxyUrl::from(std::env::var("HTTPS_PROXY").unwrap().as_str());
    let https_proxy = Some(HttpsProxy::new(&proxy).unwrap());
    let identity = IdentityConfig {
        environment: Environment::of_process(),
        https_proxy: https_proxy.clone(),
        ..IdentityConfig::default()
    };
    let identity = OperatorIdentity::new(identity, FetchObserver::default()).unwrap();
    let token = identity.token().await.unwrap();
    let client = OperationsClient::new(ClientConfig {
        https_proxy,
        ..ClientConfig::default()
    })
    .unwrap();
    let reason = RequestReason::new("prod", "ns", "stop", "uid-1");
    for (name, version) in COMPARED {
        let name = OperationName::parse(name).unwrap();
        let none = EndpointOverrides::default();
        let target = resolve("dialogflow", Some(version), &name, &none).unwrap();
        let now = SystemTime::now();
        let operation = client.get(&target, &reason, &token, now).await;
        assert!(!operation.unwrap().done);
        let answer = client.cancel(&target, &reason, &token, now).await;
        answer.unwrap();
    }
}
