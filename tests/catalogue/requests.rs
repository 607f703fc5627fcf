//! Compares the requests that a client of Google's builds with those that our client really sends, for every method that the client has.
//!
//! A program prints the methods with their requests, and finds them without our catalogue.

use std::{collections::BTreeSet, process::Command, time::SystemTime};

use opcancel::google::{
    catalogue::{Target, resolve, services},
    client::{ClientConfig, OperationsClient},
    endpoint::EndpointOverrides,
    operation_name::OperationName,
    request_reason::RequestReason,
    tls,
    token::Token,
};
use serde::Deserialize;

use crate::raw_http::{RawHttp, Reply, answer};

/// The services with a host for each location, which clients that Google generates from discovery documents do not have.
pub const REGIONAL: [&str; 6] = [
    "aiplatform",
    "contactcenterinsights",
    "dialogflow",
    "discoveryengine",
    "documentai",
    "pubsublite",
];

/// A method, with requests for some names.
#[derive(Deserialize)]
pub struct Method {
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

struct Parts<'a> {
    verb: &'a str,
    host: &'a str,
    path: &'a str,
    has_empty_object: bool,
}

impl Built {
    /// Verb, scheme and host, path with the suffix, and whether the body is an empty object. The clients add the query for their own sake.
    fn parts(&self) -> Option<Parts<'_>> {
        let Self::Request { verb, uri, body } = self else {
            return None;
        };
        assert!(
            matches!(body.as_deref(), None | Some("{}")),
            "{uri} has the body {body:?}"
        );
        let (uri, query) = uri.split_once('?').unwrap_or((uri, ""));
        assert!(
            ["", "alt=json", "alt=json&prettyPrint=false"].contains(&query),
            "{uri} has the query {query}"
        );
        let host = uri.match_indices('/').nth(2).unwrap().0;
        Some(Parts {
            verb,
            host: &uri[..host],
            path: &uri[host..],
            has_empty_object: body.is_some(),
        })
    }
}

/// The methods that a program prints, a line of JSON each.
pub fn methods(program: &mut Command) -> Vec<Method> {
    let output = program.output().unwrap();
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

/// How the requests of a client and ours compare. None of those that both have differs.
#[derive(Debug, Default)]
pub struct Compared {
    /// The number of methods that a row covers.
    pub covered: usize,
    /// The methods that no row covers: service, version and id.
    pub left_out: BTreeSet<String>,
    /// The rows whose names the client has: service, version and form.
    pub rows: BTreeSet<String>,
    /// The number of covered methods whose body is an empty object, where ours is empty.
    pub with_empty_object: usize,
    /// The services whose host depends on the location, which the client does not do.
    pub regional: BTreeSet<String>,
}

/// Sends our requests for all names, and compares them.
pub async fn compare(methods: &[Method]) -> Compared {
    let ours = Ours::start().await;
    let none = EndpointOverrides::default();
    let (mut compared, mut expected) = (Compared::default(), Vec::new());
    for method in methods {
        let title = format!("{} {} {}", method.service, method.version, method.method);
        let (mut is_covered, mut has_empty_object) = (false, false);
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
            has_empty_object |= cancel.has_empty_object;
            if target.endpoint != cancel.host {
                assert!(target.location().is_some(), "{title}: {}", target.endpoint);
                compared.regional.insert(method.service.clone());
            }
            compared.rows.insert(row(method, &parsed));
            ours.ask(&ours.target(method, &parsed)).await;
            expected.extend([cancel, get].map(|request| {
                (
                    title.clone(),
                    format!("{} {} HTTP/1.1", request.verb, request.path),
                )
            }));
        }
        compared.with_empty_object += usize::from(has_empty_object);
        if is_covered {
            compared.covered += 1;
        } else {
            compared.left_out.insert(title);
        }
    }
    let sent = ours.server.requests();
    assert_eq!(sent.len(), expected.len());
    for (request, (title, line)) in sent.iter().zip(expected) {
        assert_eq!(request.lines().next(), Some(line.as_str()), "{title}");
        assert!(request.ends_with("\n\n"), "{title} has a body: {request}");
        if line.starts_with("POST ") {
            assert!(request.contains("\ncontent-length: 0\n"), "{request}");
        }
    }
    compared
}

/// The rows of the catalogue: service, version and form.
pub fn rows() -> impl Iterator<Item = String> {
    services().iter().flat_map(|service| {
        service.versions.iter().flat_map(move |version| {
            let row = |form| format!("{} {} {form}", service.name, version.name);
            version
                .patterns
                .iter()
                .map(move |pattern| row(pattern.segments))
        })
    })
}

/// The row that has a name.
fn row(method: &Method, name: &OperationName) -> String {
    let service = services().iter().find(|row| row.name == method.service);
    let version = service.unwrap().version(&method.version).unwrap();
    let mut patterns = version.patterns.iter();
    let pattern = patterns.find(|pattern| pattern.matches(name).is_some());
    format!(
        "{} {} {}",
        method.service,
        method.version,
        pattern.unwrap().segments
    )
}
