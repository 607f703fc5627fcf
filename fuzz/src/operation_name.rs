//! Names of operations: the code and the CRD accept the same ones, and an accepted name goes to one host and one path.

#[path = "../../tests/names/crd_rules.rs"]
mod crd_rules;

use std::sync::LazyLock;

use crd_rules::Crd;
use opcancel::{
    api::name_rules,
    google::{
        catalogue::{Target, Version, resolve, services},
        client::{cancel_url, get_url},
        endpoint::EndpointOverrides,
        operation_name::OperationName,
    },
};

static CRD: LazyLock<Crd> = LazyLock::new(Crd::new);

/// Checks any text as a name.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let parsed = OperationName::parse(text);
    assert_eq!(parsed.is_ok(), CRD.takes(text), "code and CRD: {text:?}");
    let name = match parsed {
        Ok(name) => name,
        Err(invalid) => {
            let said = invalid.to_string();
            assert!(said.len() < 500, "{said}");
            let hint = CRD.hint(text);
            assert!(hint.is_none_or(|hint| said.ends_with(hint)), "{said}");
            return;
        }
    };
    assert_eq!(name.as_str(), text);
    let overrides = EndpointOverrides::default();
    for service in services() {
        for version in &service.versions {
            if let Ok(target) = resolve(service.name, Some(version.name), &name, &overrides) {
                check_host(&target, service.global_host);
                check_urls(&target, version);
            }
        }
    }
}

/// The host is that of the service, for this location.
fn check_host(target: &Target, global: &str) {
    let host = target.endpoint.strip_prefix("https://").unwrap();
    assert!(host.ends_with(".googleapis.com"), "{host}");
    assert!(host.len() <= 253, "{host}");
    for label in host.split('.') {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        assert!((1..=63).contains(&label.len()), "{host}");
        assert!(label.bytes().all(good), "{host}");
        assert!(!label.starts_with('-') && !label.ends_with('-'), "{host}");
    }
    match target.location() {
        // A service may have one host for several locations, and that of a zone's region.
        Some(location) => assert!(host.contains(&location[..1]) || host == global, "{host}"),
        None => assert_eq!(host, global),
    }
}

/// The paths are the name, with what the catalogue has before and after it. Every parser of URLs agrees.
fn check_urls(target: &Target, version: &Version) {
    let name = &target.name;
    let get = format!("/{}{}", version.prefix, encoded(&version.in_path(name)));
    let has_own_path = version
        .patterns
        .iter()
        .any(|pattern| pattern.path.is_some());
    if !has_own_path {
        let whole = format!("/{}{}", version.prefix, encoded(name.as_str()));
        assert_eq!(get, whole);
    }
    let cancel = format!("{get}{}", version.suffix);
    for (url, path) in [
        (get_url(target, name).unwrap(), get),
        (cancel_url(target, name).unwrap(), cancel),
    ] {
        let expected = format!("{}{path}", target.endpoint);
        assert_eq!(url.as_str(), expected);
        let uri: http::Uri = expected.parse().unwrap();
        assert_eq!(uri.path_and_query().unwrap().as_str(), path);
        assert_eq!(
            format!("https://{}", uri.authority().unwrap()),
            target.endpoint
        );
        // Nothing that a proxy or a server could take for something else.
        assert!(!path.contains("//") && !path.contains(['?', '#', '\\', ';']));
        assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")));
        let lower = path.to_lowercase();
        let hidden = ["%2e", "%2f", "%5c", "%25", "%3f", "%23"];
        assert!(
            !hidden.iter().any(|hidden| lower.contains(hidden)),
            "{path}"
        );
    }
}

/// Percent-encoding as google/api/http.proto has it.
fn encoded(name: &str) -> String {
    let bytes = name.bytes().map(|byte| match byte {
        b'-' | b'_' | b'.' | b'~' | b'/' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    bytes.collect()
}
