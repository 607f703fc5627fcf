//! The calls of the Operations API: version, operation and method, read from the HTTP path.

use http::{Method, Request, header};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bindings::{Binding, OperationForm, bindings};

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

/// A request that matches at least one of the bindings. Services may share a path, such as `v1/projects/*/locations/*/operations/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The API version in the path.
    pub version: String,
    /// The operation's name, percent-decoded; for a list, the name of the parent.
    pub operation: String,
    /// The method.
    pub call: Call,
    /// The bindings that it matches: never empty.
    bindings: Vec<&'static Binding>,
}

/// The versions of Dialogflow's API.
pub const VERSIONS: [&str; 4] = ["v2", "v2beta1", "v3", "v3beta1"];

/// The service of a path that several services have, if neither a script nor the host names one.
pub const USUAL_SERVICE: &str = "dialogflow";

impl Route {
    /// The binding of a service; without one, of the service of the host, or of the usual one. `None` if the service does not have this
    /// path.
    pub fn binding(&self, service: Option<&str>, host: Option<&str>) -> Option<&'static Binding> {
        let mut bindings = self.bindings.iter().copied();
        if let Some(service) = service {
            return bindings.find(|binding| binding.service == service);
        }
        let at_host = host.and_then(|host| bindings.find(|binding| binding.is_at(host)));
        let usual = self
            .bindings
            .iter()
            .find(|binding| binding.service == USUAL_SERVICE);
        at_host
            .or(usual.copied())
            .or(self.bindings.first().copied())
    }

    /// Whether a service that has this path documents a query parameter of this name.
    pub fn has_parameter(&self, name: &str) -> bool {
        let mut bindings = self.bindings.iter();
        bindings.any(|binding| match self.call {
            Call::Cancel => binding.cancel_query.contains(&name),
            Call::Get => binding.get_query.contains(&name),
            Call::List => false,
        })
    }

    /// The form that a list at a host shows operations of a service in; `None` if it does not show them. A host shows its own service's
    /// operations, and a host that is no service's those of every service that has the path.
    pub fn listed_form(
        &self,
        binding: &Binding,
        service: Option<&str>,
        host: Option<&str>,
    ) -> Option<OperationForm> {
        let Some(service) = service else {
            return Some(binding.operation);
        };
        let is_its_own_host = host.is_some_and(|host| binding.is_at(host));
        let mut bindings = self.bindings.iter();
        let found = bindings.find(|other| other.service == service)?;
        (!is_its_own_host || service == binding.service).then_some(found.operation)
    }
}

/// The binding that matches this request; `None` means Google's HTML 404.
pub fn route(method: &Method, path: &str) -> Option<Route> {
    let path = path.strip_prefix('/')?;
    for suffix in [":cancel", "/cancel"] {
        let cancelled = path.strip_suffix(suffix).and_then(decoded);
        let cancelled = cancelled.and_then(|segments| {
            let is_cancel = |binding: &&Binding| binding.is_cancel(method, &segments, suffix);
            found(Call::Cancel, &segments, is_cancel)
        });
        if cancelled.is_some() {
            return cancelled;
        }
    }
    // The verb is a literal colon; an encoded one belongs to the name.
    let has_verb = path
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains(':'));
    if method != Method::GET || has_verb {
        return None;
    }
    let segments = decoded(path)?;
    // An operation's own id may be `operations`: the two bindings differ in the number of segments.
    let listed = found(Call::List, &segments, |binding| binding.is_list(&segments));
    listed.or_else(|| found(Call::Get, &segments, |binding| binding.is_get(&segments)))
}

fn found(call: Call, segments: &[String], fits: impl Fn(&&Binding) -> bool) -> Option<Route> {
    let bindings: Vec<&'static Binding> =
        bindings().iter().filter(|binding| fits(binding)).collect();
    let first = bindings.first()?;
    let named = match (call, segments) {
        (Call::List, [parent @ .., _]) => parent,
        _ => segments,
    };
    Some(Route {
        version: first.version.to_owned(),
        operation: first.name(named),
        call,
        bindings,
    })
}

/// The decoded segments of a path, if none is empty or has a slash.
fn decoded(encoded: &str) -> Option<Vec<String>> {
    let segments = encoded.split('/').map(|segment| {
        let text = percent_decode_str(segment).decode_utf8().ok()?;
        (!text.is_empty() && !text.contains('/')).then(|| text.into_owned())
    });
    segments.collect()
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
            (Method::GET, "/v9/projects/p/operations/o"),
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
