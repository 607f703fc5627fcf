//! Which call a request is: the version, the operation's name and the method, read from the HTTP path.
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

/// A request that one of the bindings takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The API version in the path.
    pub version: String,
    /// The operation's name, percent-decoded; of a list the parent's.
    pub operation: String,
    /// The method.
    pub call: Call,
}

/// The versions of Dialogflow's API.
pub const VERSIONS: [&str; 4] = ["v2", "v2beta1", "v3", "v3beta1"];

/// The binding that takes this request; `None` means Google's HTML 404.
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
    if let (&Method::GET, None, Some(parent)) = (method, verb, name.strip_suffix("/operations")) {
        return Some(Route {
            version: version.to_owned(),
            operation: parent_name(parent)?,
            call: Call::List,
        });
    }
    let call = match (method, verb) {
        (&Method::GET, None) => Call::Get,
        (&Method::POST, Some("cancel")) => Call::Cancel,
        _ => return None,
    };
    Some(Route {
        version: version.to_owned(),
        operation: operation_name(name)?,
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
