//! The services whose operations can be cancelled, as data: hosts, versions, scopes. A further service is a further row
//! (design section 6), never further code.
//!
//! Sources: the API definitions google/cloud/dialogflow/{v2,v2beta1,cx/v3,cx/v3beta1} and Google's regionalization
//! pages ("use the region-specific hostname of the form REGION_ID-dialogflow.googleapis.com").

use super::{endpoint::EndpointOverrides, operation_name::OperationName};

/// The service of an object that names none.
pub const DEFAULT_SERVICE: &str = "dialogflow";

/// One Google API that offers `google.longrunning.Operations` under names of our grammar.
#[derive(Debug)]
pub struct Service {
    /// The name in `spec.service`, in grants and in `--endpoint-override`.
    pub name: &'static str,
    /// Host for names with no location or with `global`.
    pub global_host: &'static str,
    /// Host for any other location; `{location}` stands for it.
    pub regional_host: &'static str,
    /// Locations whose host follows no pattern.
    pub host_exceptions: &'static [(&'static str, &'static str)],
    /// The versions that can stand in the path; the first is the default.
    pub versions: &'static [&'static str],
    /// OAuth scopes of which a token for this service needs one; the first is the default.
    pub scopes: &'static [&'static str],
}

/// All services.
///
/// Dialogflow's `us` follows the pattern: `us-dialogflow.googleapis.com` is what Google's own widgets and pages use for
/// the multi-region. The discovery document also lists `dialogflow.us.rep.googleapis.com`; who must use it says
/// `--endpoint-override dialogflow/us=https://dialogflow.us.rep.googleapis.com`.
pub const SERVICES: &[Service] = &[Service {
    name: "dialogflow",
    global_host: "dialogflow.googleapis.com",
    regional_host: "{location}-dialogflow.googleapis.com",
    host_exceptions: &[],
    versions: &["v2", "v2beta1", "v3", "v3beta1"],
    // Whether STS and GKE's metadata server honour the second is not documented: hence it is not the default.
    scopes: &[
        "https://www.googleapis.com/auth/cloud-platform",
        "https://www.googleapis.com/auth/dialogflow",
    ],
}];

/// Where the calls for one operation go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The service's name in the catalogue.
    pub service: &'static str,
    /// The version in the path, from the object or the catalogue's default.
    pub version: &'static str,
    /// Base URL as shown to people, without a slash at the end: `https://dialogflow.googleapis.com`.
    pub endpoint: String,
    /// Whether an administrator's `--endpoint-override` made it.
    pub overridden: bool,
}

/// Why an object's service and version name nothing that this release can call. Another release may know it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The service stands in no row of the catalogue.
    #[error("unknown service {given:?}; this release knows {known}")]
    UnknownService {
        /// What the object says.
        given: String,
        /// All names, with commas.
        known: String,
    },
    /// The service has no such version.
    #[error("unknown version {given:?} of {service}; this release knows {known}")]
    UnknownVersion {
        /// The service.
        service: &'static str,
        /// What the object says.
        given: String,
        /// All versions of the service, with commas.
        known: String,
    },
}

impl Service {
    /// The version of an object that names none.
    pub fn default_version(&self) -> &'static str {
        self.versions.first().copied().unwrap_or_default()
    }

    /// The catalogue's host for a location.
    fn host(&self, location: Option<&str>) -> String {
        match location {
            None | Some("global") => self.global_host.to_owned(),
            Some(location) => self
                .host_exceptions
                .iter()
                .find(|(exception, _)| *exception == location)
                .map_or_else(
                    || self.regional_host.replace("{location}", location),
                    |(_, host)| (*host).to_owned(),
                ),
        }
    }
}

/// The row of a service.
pub fn service(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

/// The names of all services, for the CRD's enum and for messages.
pub fn service_names() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|service| service.name)
}

/// The scopes that tokens have unless an administrator narrows them: each service's first, each once, so that the operator
/// holds one token.
pub fn default_scopes() -> Vec<String> {
    let first = SERVICES.iter().filter_map(|service| service.scopes.first());
    let mut scopes: Vec<_> = first.map(ToString::to_string).collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

/// The scopes of which one alone is enough for every service: what `--google-scope` may say.
pub fn sufficient_scopes() -> Vec<&'static str> {
    let all = SERVICES.iter().flat_map(|service| service.scopes).copied();
    let mut scopes: Vec<_> = all
        .filter(|scope| SERVICES.iter().all(|s| s.scopes.contains(scope)))
        .collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

/// Finds out where the calls for an operation go.
///
/// # Errors
/// If the catalogue has no such service or version; a newer release may.
pub fn resolve(
    service_name: &str,
    version: Option<&str>,
    name: &OperationName,
    overrides: &EndpointOverrides,
) -> Result<Target, ResolveError> {
    let service = service(service_name).ok_or_else(|| ResolveError::UnknownService {
        given: service_name.to_owned(),
        known: service_names().collect::<Vec<_>>().join(", "),
    })?;
    let version = match version {
        None => service.default_version(),
        Some(given) => service
            .versions
            .iter()
            .copied()
            .find(|known| *known == given)
            .ok_or_else(|| ResolveError::UnknownVersion {
                service: service.name,
                given: given.to_owned(),
                known: service.versions.join(", "),
            })?,
    };
    let overriding = overrides.endpoint(service.name, name.location());
    Ok(Target {
        service: service.name,
        version,
        overridden: overriding.is_some(),
        endpoint: overriding
            .unwrap_or_else(|| format!("https://{}", service.host(name.location()))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(name: &str, version: Option<&str>) -> Result<Target, ResolveError> {
        let name = OperationName::parse(name).unwrap();
        resolve("dialogflow", version, &name, &EndpointOverrides::default())
    }

    #[test]
    fn the_location_makes_the_host() {
        for (name, endpoint) in [
            (
                "projects/p/operations/o",
                "https://dialogflow.googleapis.com",
            ),
            (
                "projects/p/locations/global/operations/o",
                "https://dialogflow.googleapis.com",
            ),
            (
                "projects/p/locations/europe-west1/operations/o",
                "https://europe-west1-dialogflow.googleapis.com",
            ),
            (
                "projects/p/locations/us/operations/o",
                "https://us-dialogflow.googleapis.com",
            ),
        ] {
            let target = target(name, None).unwrap();
            assert_eq!((target.endpoint.as_str(), target.version), (endpoint, "v2"));
            assert!(!target.overridden);
        }
    }

    #[test]
    fn versions_are_those_of_the_row() {
        for version in ["v2", "v2beta1", "v3", "v3beta1"] {
            let target = target("projects/p/operations/o", Some(version)).unwrap();
            assert_eq!(target.version, version);
        }
        let error = target("projects/p/operations/o", Some("v1")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown version \"v1\" of dialogflow; this release knows v2, v2beta1, v3, v3beta1"
        );
    }

    #[test]
    fn an_unknown_service_names_the_known_ones() {
        let name = OperationName::parse("projects/p/operations/o").unwrap();
        let error = resolve("speech", None, &name, &EndpointOverrides::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown service \"speech\"; this release knows dialogflow"
        );
    }

    #[test]
    fn every_row_is_usable() {
        for service in SERVICES {
            assert!(!service.default_version().is_empty());
            assert!(!service.scopes.is_empty());
            assert!(!sufficient_scopes().is_empty());
            assert!(service.regional_host.contains("{location}"));
        }
    }

    proptest! {
        /// I11: whatever location a name may have, the host stays one of Google's and is a DNS name.
        #[test]
        fn every_host_belongs_to_google(location in "[a-z0-9]{1,20}(-[a-z0-9]{1,10}){0,2}") {
            let endpoint = target(&format!("projects/p/locations/{location}/operations/o"), None).unwrap().endpoint;
            let url = reqwest::Url::parse(&endpoint).unwrap();
            let host = url.host_str().unwrap();
            prop_assert!(host.ends_with("dialogflow.googleapis.com"));
            prop_assert!(host.split('.').all(|label| label.len() <= 63));
            prop_assert_eq!(format!("https://{host}"), endpoint);
        }
    }
}
