//! Each name of the fuzz target's corpus, and of `tests/names/names.json`, that is accepted: the request arrives at the endpoint of its
//! service, with exactly the path of its name.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic anywhere"
)]

#[path = "support/raw_http.rs"]
mod raw_http;

use std::{fs, path::Path, time::SystemTime};

use opcancel::google::{
    catalogue::{Version, resolve, services},
    client::{ClientConfig, OperationsClient},
    endpoint::EndpointOverrides,
    operation_name::OperationName,
    request_reason::RequestReason,
    tls,
    token::Token,
};
use raw_http::{RawHttp, Reply, answer};
use serde_json::Value;

fn accepted_names() -> Vec<OperationName> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = fs::read_dir(root.join("fuzz/corpus/operation_name")).unwrap();
    let inputs = corpus.map(|file| fs::read(file.unwrap().path()).unwrap());
    let mut texts: Vec<String> = inputs.filter_map(|i| String::from_utf8(i).ok()).collect();
    let table = fs::read_to_string(root.join("tests/names/names.json")).unwrap();
    let table: Value = serde_json::from_str(&table).unwrap();
    let rows = table.as_array().unwrap().iter();
    texts.extend(rows.map(|row| row["name"].as_str().unwrap().to_owned()));
    texts.sort();
    texts.dedup();
    let names = texts.iter().map(|text| OperationName::parse(text));
    names.filter_map(Result::ok).collect()
}

/// The path that a name must have: each byte but these is percent-encoded (google/api/http.proto).
fn path(version: &Version, name: &OperationName) -> String {
    let encoded = version.in_path(name).replace(':', "%3A");
    let encoded = encoded.replace('(', "%28").replace(')', "%29");
    format!("/{}{encoded}", version.prefix)
}

#[tokio::test]
async fn each_accepted_name_arrives_as_exactly_its_path() {
    tls::install_provider();
    let server = RawHttp::start(|_, _| Reply::Keep(answer("200 OK", "{}"))).await;
    let client = OperationsClient::new(ClientConfig::default()).unwrap();
    let token = Token::new("ya29.token").unwrap();
    let reason = RequestReason::new("", "n", "n", "u");
    let mut expected = Vec::new();
    let names = accepted_names();
    assert!(names.len() > 30, "{}", names.len());
    for name in &names {
        let mut forms = services().iter().flat_map(|service| {
            let versions = service.versions.iter();
            versions.map(move |version| (service.name, version))
        });
        // Names that no service has are never sent.
        let Some((service, version)) = forms.find(|(service, version)| {
            let target = resolve(
                service,
                Some(version.name),
                name,
                &EndpointOverrides::default(),
            );
            target.is_ok()
        }) else {
            continue;
        };
        let overriding = format!("{service}={}", server.url()).parse().unwrap();
        let overrides = EndpointOverrides::new([overriding]);
        let target = resolve(service, Some(version.name), name, &overrides).unwrap();
        let now = SystemTime::now();
        // `{}` is not an operation, but the request was sent.
        let _ = client.get(&target, &reason, &token, now).await;
        client.cancel(&target, &reason, &token, now).await.unwrap();
        let path = path(version, name);
        expected.push(format!("GET {path} HTTP/1.1"));
        expected.push(format!("POST {path}{} HTTP/1.1", version.suffix));
    }
    assert!(expected.len() > 40, "{expected:?}");
    let requests = server.requests();
    let lines: Vec<&str> = requests
        .iter()
        .filter_map(|text| text.lines().next())
        .collect();
    assert_eq!(lines, expected);
    let host = format!("host: {}", server.address);
    for request in &requests {
        assert_eq!(request.matches("host: ").count(), 1, "{request}");
        assert!(request.contains(&host), "{request}");
    }
}
