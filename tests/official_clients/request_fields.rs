//! A request as fields that can be compared: without what differs from one operation, token or release to the next.

use std::collections::BTreeMap;

use operations_emulator::{Answer, Call, RequestRecord};
use regex::Regex;
use serde_json::{Map, Value};

use crate::ours;

/// Stands for a field that is not sent.
pub const ABSENT: &str = "–";

/// Name and value.
pub type Fields = BTreeMap<String, String>;

/// Sent by google-auth once its lookup in the background is answered, with no certain request.
const AT_NO_CERTAIN_TIME: &str = "x-allowed-locations";

/// What a request is for, if it is one of those that are compared: answered well, and for one of [`ours::COMPARED`].
pub fn kind(request: &RequestRecord) -> Option<&'static str> {
    if request.answer != Answer::Status(200) {
        return None;
    }
    let compared = |name: &String| ours::COMPARED.iter().any(|(known, _)| known == name);
    let path = request.path.as_str();
    match request.call {
        Some(Call::List) => Some("list"),
        Some(_) if !request.operation.as_ref().is_some_and(compared) => None,
        Some(Call::Get) => Some("get"),
        Some(Call::Cancel) => Some("cancel"),
        None if path.ends_with("/default/token") => Some("token"),
        None if path == "/v1/token" => Some("exchange"),
        None if path.ends_with(":generateAccessToken") => Some("impersonate"),
        None => None,
    }
}

/// The fields of a request.
pub fn fields(request: &RequestRecord) -> Fields {
    let mut fields = Fields::from([("method".to_owned(), request.method.clone())]);
    let mut add = |name: &str, value: &str| {
        let value = if value.is_empty() { "(empty)" } else { value };
        fields.insert(name.to_owned(), value.to_owned())
    };
    let name = request.operation.as_ref().or(request.parent.as_ref());
    let same = |text: &str| without_names(text, name);
    // Lists have a path of their own, and are sent by nobody here.
    match (&request.version, name) {
        (Some(version), Some(name)) => {
            add("HTTP", request.http_version.trim_start_matches("HTTP/"));
            add("host", host(request, name));
            let path = same(&request.path.replace(&format!("/{version}/"), "/VERSION/"));
            match name.contains(':') {
                true => add("path with a colon", &path),
                false if request.call == Some(Call::List) => None,
                false => add("path", &path),
            };
        }
        // Where token services are, a file or a variable says.
        _ => _ = add("path", &request.path),
    }
    for pair in request.query.iter().flat_map(|query| query.split('&')) {
        let (name, value) = pair.split_once('=').unwrap();
        let value = match name {
            "pageToken" if !value.is_empty() => "of the page before",
            _ => value,
        };
        add(&format!("query `{}`", name.replace("%24", "$")), value);
    }
    for (name, value) in request.headers.iter() {
        match name {
            "host" | AT_NO_CERTAIN_TIME => None,
            "accept-encoding" => add("`accept-encoding`", &encodings(value)),
            // The token's id, of which there are many.
            "authorization" => add("`authorization`", value.split('-').next().unwrap()),
            _ => add(&format!("`{name}`"), &same(value)),
        };
    }
    let body = request.body.as_deref().unwrap_or(ABSENT);
    let object: Option<Map<String, Value>> = serde_json::from_str(body).ok();
    match object.filter(|object| !object.is_empty()) {
        Some(object) => {
            for (name, value) in object {
                add(&format!("body `{name}`"), &value.to_string());
            }
        }
        None if body.contains('=') => {
            for (name, value) in body.split('&').filter_map(|pair| pair.split_once('=')) {
                add(&format!("form `{name}`"), value);
            }
        }
        None => _ = add("body", body),
    }
    fields
}

fn host<'a>(request: &'a RequestRecord, name: &str) -> &'a str {
    let right = match name.contains("/locations/") {
        true => "europe-west1-dialogflow.googleapis.com",
        false => "dialogflow.googleapis.com",
    };
    let host = request.host.as_deref().unwrap();
    if host == right {
        "the location's"
    } else {
        host
    }
}

/// The encodings that a client takes on every machine: urllib3 adds `zstd` where Python itself knows it, from 3.14 on.
fn encodings(value: &str) -> String {
    let known = value.split(',').map(str::trim);
    let known: Vec<_> = known.filter(|known| *known != "zstd").collect();
    known.join(", ")
}

/// Names, and releases of the clients, of their languages and of what they are built on, are the same for all.
fn without_names(text: &str, name: Option<&String>) -> String {
    let mut text = text.to_owned();
    if let Some(name) = name {
        // The colon of a domain's project, which some encode and some do not.
        text = text.replace(&name.replace(':', "%3A"), "NAME");
        text = text.replace(name, "NAME with a bare colon");
    }
    Regex::new(r"\d+(\.\d+)+")
        .unwrap()
        .replace_all(&text, "N")
        .into_owned()
}

#[test]
fn encodings_do_not_depend_on_the_python_of_the_machine() {
    assert_eq!(encodings("gzip, deflate, zstd"), "gzip, deflate");
    assert_eq!(encodings("gzip,deflate, br"), "gzip, deflate, br");
}
