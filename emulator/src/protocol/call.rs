//! The calls of the Operations API: version, operation and method, read from the HTTP path.
//!
//! The bindings are those of google/cloud/dialogflow/*/dialogflow_*.yaml; nothing else of the API is served.

use http::{Method, Request, header};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A method of `google.longrunning.Operations`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// `GET /{version}/{name}`
    Get,
    /// `POST /{version}/{name}:cancel`
    Cancel,
    /// `GET /{version}/{parent}/operations`
    List,
}

/// A request that matches one of the bindings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The API version in the path.
    pub version: String,
    /// The operation's name, percent-decoded; for a list, the name of the parent.
    pub operation: String,
    /// The method.
    pub call: Call,
}

/// The versions of Dialogflow's API.
pub const VERSIONS: [&str; 4] = ["v2", "v2beta1", "v3", "v3beta1"];

/// The binding that matches this request; `None` means Google's HTML 404.
pub fn route(method: &Method, path: &str) -> Option<Route> {
    let (version, name) = path.strip_prefix('/')?.split_once('/')?;
    if !VERSIONS.contains(&version) {
        return None;
    }
    // The verb is a literal colon; an encoded one belongs to the name.
    let (name, verb) = match name.rsplit_once('/') {
        Some((_, last)) => match last.rsplit_once(':') {
            Some((_, verb)) => (name.strip_suffix(verb)?.strip_suffix(':')?, Some(verb)),
            None => (name, None),
        },
        None => return None,
    };
    let (call, operation) = match (method, verb) {
        // An operation's own id may be `operations`: the two bindings differ in the number of segments.
        (&Method::GET, None) => match name.strip_suffix("/operations").and_then(parent_name) {
            Some(parent) => (Call::List, parent),
            None => (Call::Get, operation_name(name)?),
        },
        (&Method::POST, Some("cancel")) => (Call::Cancel, operation_name(name)?),
        _ => return None,
    };
    Some(Route {
        version: version.to_owned(),
        operation,
        call,
    })
}

/// The decoded name, if it is `projects/*/operations/*` or `projects/*/locations/*/operations/*`.
pub fn operation_name(encoded: &str) -> Option<String> {
    resource(encoded, |segments| {
        matches!(
            segments,
            ["projects", _, "operations", _] | ["projects", _, "locations", _, "operations", _]
        )
    })
}

/// The decoded name, if it is `projects/*` or `projects/*/locations/*`.
fn parent_name(encoded: &str) -> Option<String> {
    resource(encoded, |segments| {
        matches!(segments, ["projects", _] | ["projects", _, "locations", _])
    })
}

fn resource(encoded: &str, fits: impl FnOnce(&[&str]) -> bool) -> Option<String> {
    let segments: Vec<String> = encoded
        .split('/')
        .map(|segment| {
            percent_decode_str(segment)
                .decode_utf8()
                .ok()
                .map(|text| text.into_owned())
        })
        .collect::<Option<_>>()?;
    let borrowed: Vec<&str> = segments.iter().map(String::as_str).collect();
    (fits(&borrowed)
        && borrowed
            .iter()
            .all(|segment| !segment.is_empty() && !segment.contains('/')))
    .then(|| segments.join("/"))
}

/// The host and port that a request is for: `:authority` of HTTP/2, `Host` of HTTP/1.1.
pub fn host<B>(request: &Request<B>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(header::HOST)?.to_str().ok(),
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    #[test]
    fn takes_both_forms_of_names_in_all_versions() {
        for version in VERSIONS {
            for name in [
                "projects/p/operations/o",
                "projects/p/locations/l/operations/o",
                "projects/p/operations/a.b_c~d",
            ] {
                let got = route(&Method::GET, &format!("/{version}/{name}")).expect(name);
                assert_eq!(
                    (got.version.as_str(), got.operation.as_str(), got.call),
                    (version, name, Call::Get)
                );
                let got = route(&Method::POST, &format!("/{version}/{name}:cancel")).expect(name);
                assert_eq!((got.operation.as_str(), got.call), (name, Call::Cancel));
            }
        }
    }

    #[test]
    fn lists_below_projects_and_locations() {
        for parent in [
            "projects/p",
            "projects/p/locations/l",
            "projects/p/locations/-",
        ] {
            let got = route(&Method::GET, &format!("/v3/{parent}/operations")).expect(parent);
            assert_eq!((got.operation.as_str(), got.call), (parent, Call::List));
        }
    }

    #[test]
    fn every_name_that_a_scenario_may_have_can_be_asked_for() {
        // As google/api/http.proto has it: all but these stand encoded.
        const PLAIN: AsciiSet = NON_ALPHANUMERIC
            .remove(b'-')
            .remove(b'_')
            .remove(b'.')
            .remove(b'~');
        for name in [
            "projects/p/operations/o",
            "projects/p/operations/operations",
            "projects/p/locations/l/operations/operations",
            "projects/operations/operations/operations",
            "projects/p/locations/operations/operations/o",
            "projects/p/operations/x:cancel",
            "projects/a:b/operations/\u{e4} ?#&+",
        ] {
            let wrong = crate::scenario::check::operation(name, &crate::Script::default());
            assert!(wrong.is_empty(), "{wrong:?}");
            let segments = name
                .split('/')
                .map(|segment| utf8_percent_encode(segment, &PLAIN).to_string());
            let encoded = segments.collect::<Vec<_>>().join("/");
            for (method, verb, call) in [
                (Method::GET, "", Call::Get),
                (Method::POST, ":cancel", Call::Cancel),
            ] {
                let got = route(&method, &format!("/v2/{encoded}{verb}"));
                let got = got.map(|route| (route.operation, route.call));
                assert_eq!(got, Some((name.to_owned(), call)), "{encoded}{verb}");
            }
        }
    }

    #[test]
    fn decodes_a_colon_in_the_project() {
        let got = route(
            &Method::POST,
            "/v2/projects/example.com%3Ap/operations/o:cancel",
        )
        .expect("taken");
        assert_eq!(got.operation, "projects/example.com:p/operations/o");
    }

    #[test]
    fn takes_nothing_else() {
        for (method, path) in [
            (Method::GET, "/"),
            (Method::GET, "/v1/projects/p/operations/o"),
            (Method::POST, "/v2/projects/p/operations"),
            (Method::GET, "/v2/projects/operations"),
            (Method::GET, "/v2/projects/p/locations/operations"),
            (Method::GET, "/v2/operations"),
            (Method::GET, "/v2/projects/p/operations/"),
            (Method::GET, "/v2/projects//operations/o"),
            (Method::GET, "/v2/projects/p/operations/o/x"),
            (Method::GET, "/v2/projects/p/operations/o:cancel"),
            (Method::POST, "/v2/projects/p/operations/o"),
            (Method::POST, "/v2/projects/p/operations/o:wait"),
            (Method::POST, "/v2/projects/p/operations/o%3Acancel"),
            (Method::DELETE, "/v2/projects/p/operations/o"),
            (Method::GET, "/v2/projects/a%2Fb/operations/o"),
            (Method::GET, "/v2/projects/%FF/operations/o"),
            (Method::GET, "/v2/organizations/p/operations/o"),
        ] {
            assert_eq!(route(&method, path), None, "{method} {path}");
        }
    }
}
