//! google-api-python-client judges the catalogue: for every method of its documents, its requests and those that our client really
//! sends are equal.

#[path = "../support/raw_http.rs"]
mod raw_http;

use std::{collections::BTreeSet, path::Path, process::Command, time::SystemTime};

use opcancel::google::{
    catalogue::{Target, resolve},
    client::{ClientConfig, OperationsClient},
    endpoint::EndpointOverrides,
    operation_name::OperationName,
    request_reason::RequestReason,
    tls,
    token::Token,
};
use raw_http::{RawHttp, Reply, answer};
use serde::Deserialize;
use xtask::official_clients;

/// The methods that no row covers; `docs/services.md` has the reasons.
const LEFT_OUT: [&str; 12] = [
    "androidmanagement v1 androidmanagement.enterprises.devices.operations.cancel",
    "checks v1alpha checks.accounts.apps.operations.cancel",
    "chromemanagement v1 chromemanagement.operations.cancel",
    "cloudchannel v1 cloudchannel.operations.cancel",
    "datalabeling v1beta1 datalabeling.projects.operations.cancel",
    "firebasehosting v1 firebasehosting.operations.cancel",
    "firebasehosting v1 firebasehosting.projects.sites.customDomains.operations.cancel",
    "firebaseml v1 firebaseml.operations.cancel",
    "remotebuildexecution v1 remotebuildexecution.operations.cancel",
    "runtimeconfig v1 runtimeconfig.operations.cancel",
    "texttospeech v1 texttospeech.operations.cancel",
    "vault v1 vault.operations.cancel",
];

/// The services with a host for each location, which the documents do not have.
const REGIONAL: [&str; 6] = [
    "aiplatform",
    "contactcenterinsights",
    "dialogflow",
    "discoveryengine",
    "documentai",
    "pubsublite",
];

/// A method, with requests for some names.
#[derive(Deserialize)]
struct Method {
    service: String,
    version: String,
    method: String,
    names: Vec<Name>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
    cancel: Built,
    get: Option<Built>,
}

/// A request that the client built, or its refusal to build it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Built {
    Request {
        verb: String,
        uri: String,
        body: Option<String>,
    },
    #[expect(dead_code, reason = "it only tells a refusal from a request")]
    Refused { refused: String },
}

impl Built {
    /// Verb, scheme and host, and path with the suffix. The client adds the query for its own sake.
    fn parts(&self) -> Option<[&str; 3]> {
        let Self::Request { verb, uri, body } = self else {
            return None;
        };
        assert_eq!(*body, None, "{uri}");
        let uri = uri.trim_end_matches("alt=json").trim_end_matches('?');
        let host = uri.match_indices('/').nth(2).unwrap().0;
        Some([verb, &uri[..host], &uri[host..]])
    }
}

fn methods() -> Vec<Method> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let python = official_clients::python(&folder.join("official_clients/python")).unwrap();
    let output = Command::new(python)
        .arg("-B")
        .arg(folder.join("catalogue/discovery_requests.py"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Our client, and a server that keeps what it is asked.
struct Ours {
    client: OperationsClient,
    server: RawHttp,
}

impl Ours {
    async fn start() -> Self {
        tls::install_provider();
        let not_found = answer(
            "404 Not Found",
            r#"{"error":{"code":404,"status":"NOT_FOUND"}}"#,
        );
        Self {
            client: OperationsClient::new(ClientConfig::default()).unwrap(),
            server: RawHttp::start(move |_, _| Reply::Keep(not_found.clone())).await,
        }
    }

    fn target(&self, method: &Method, name: &OperationName) -> Target {
        let to_server = format!("{}={}", method.service, self.server.url());
        let overrides = EndpointOverrides::new([to_server.parse().unwrap()]);
        resolve(&method.service, Some(&method.version), name, &overrides).unwrap()
    }

    async fn ask(&self, target: &Target) {
        let reason = RequestReason::new("prod", "ns", "stop", "uid-1");
        let (token, now) = (Token::new("a-token").unwrap(), SystemTime::now());
        let cancelled = self.client.cancel(target, &reason, &token, now).await;
        let got = self.client.get(target, &reason, &token, now).await;
        assert!(cancelled.is_err() && got.is_err());
    }
}

#[tokio::test]
async fn every_request_is_the_one_that_google_s_discovery_client_builds() {
    let ours = Ours::start().await;
    let none = EndpointOverrides::default();
    let methods = methods();
    let (mut covered, mut left_out, mut expected) = (0, BTreeSet::new(), Vec::new());
    for method in &methods {
        let title = format!("{} {} {}", method.service, method.version, method.method);
        let mut is_covered = false;
        for name in &method.names {
            let get = name.get.as_ref().and_then(Built::parts);
            let parsed = OperationName::parse(&name.name).unwrap();
            let target = resolve(&method.service, Some(&method.version), &parsed, &none);
            // Without a GET, or with a GET for other names, no row covers it.
            let (Some(get), Ok(target)) = (get, target) else {
                continue;
            };
            is_covered = true;
            let cancel = name.cancel.parts().unwrap();
            let has_own_host =
                REGIONAL.contains(&method.service.as_str()) && target.location().is_some();
            assert_eq!(
                target.endpoint != cancel[1],
                has_own_host,
                "{title}: {}",
                target.endpoint
            );
            ours.ask(&ours.target(method, &parsed)).await;
            expected.extend(
                [cancel, get]
                    .map(|[verb, _, path]| (title.clone(), format!("{verb} {path} HTTP/1.1"))),
            );
        }
        if is_covered {
            covered += 1;
        } else {
            left_out.insert(title);
        }
    }
    assert_eq!((methods.len(), covered), (466, 454));
    assert_eq!(left_out, LEFT_OUT.map(str::to_owned).into());
    let sent = ours.server.requests();
    assert_eq!(sent.len(), expected.len());
    for (request, (title, line)) in sent.iter().zip(expected) {
        assert_eq!(request.lines().next(), Some(line.as_str()), "{title}");
        assert!(request.ends_with("\n\n"), "{title} has a body: {request}");
        if line.starts_with("POST ") {
            assert!(request.contains("\ncontent-length: 0\n"), "{request}");
        }
    }
}
