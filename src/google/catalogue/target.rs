//! From an object's service, version and name to the endpoint that the calls go to.

use serde::{Deserialize, Serialize};

use super::{
    endpoint::EndpointOverrides,
    service::{OperationForm, Right, Service, Version, service},
    unknown_name,
};
use crate::google::names::{name_pattern::NameParts, operation_name::OperationName};

/// An operation, and where its calls go. It is created once, when an object is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The operation's full name.
    pub name: OperationName,
    /// The service's name in the catalogue.
    pub service: String,
    /// The version in the path, from the object or the catalogue's default.
    pub version: String,
    /// Base URL without a slash at the end: `https://dialogflow.googleapis.com`.
    pub endpoint: String,
    /// Whether the endpoint is from an administrator's `--endpoint-override`.
    pub overridden: bool,
    parts: NameParts,
}

impl Target {
    /// The part before the collection of operations; `None` if there is none. Only the parent decides who owns the operation.
    pub fn parent(&self) -> Option<&str> {
        self.parts.parent(&self.name)
    }

    /// The project of the parent as in the name, if it has one.
    pub fn project(&self) -> Option<&str> {
        self.parent().and(self.name.project())
    }

    /// The location in the parent, if it has one.
    pub fn location(&self) -> Option<&str> {
        self.parts.location(&self.name)
    }

    /// What Google calls the service, without `API`: `Kubernetes Engine`.
    pub fn product(&self) -> &str {
        service(&self.service).map_or(self.service.as_str(), |service| service.product)
    }

    /// The name of the API in `gcloud services enable`, which is its host without a location.
    pub fn api_host(&self) -> Option<&'static str> {
        service(&self.service).map(|service| service.global_host)
    }

    /// Whether another host than this endpoint may serve the operation: the name does not tell.
    pub fn host_may_differ(&self) -> bool {
        service(&self.service).is_some_and(|service| service.host_may_differ)
    }

    /// What its caller needs in IAM, as far as it is known.
    pub fn right(&self) -> Option<Right> {
        service(&self.service).and_then(|service| service.right)
    }

    /// The row of its version; always there, because a target is made of one.
    pub fn version_row(&self) -> Option<&'static Version> {
        service(&self.service)?.version(&self.version)
    }

    /// The form of the operation in an answer to GET.
    pub fn operation_form(&self) -> OperationForm {
        let row = self.version_row();
        row.map_or(OperationForm::Longrunning, |row| row.operation)
    }

    /// Whether UNIMPLEMENTED as the answer to cancel may be about the operation's present state.
    pub fn unimplemented_may_pass(&self) -> bool {
        self.version_row()
            .is_some_and(|row| row.unimplemented_may_pass)
    }

    /// The part after the collection of operations.
    pub fn operation(&self) -> &str {
        self.parts.operation(&self.name)
    }
}

/// Why this release cannot call what an object names. Another release may be able to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The catalogue does not have the service.
    #[error("unknown service {given:?}; this release does not have it, a newer one may")]
    UnknownService {
        /// The value in the object.
        given: String,
    },
    /// The service has no such version.
    #[error("unknown version {given:?} of {service}; this release knows {known}")]
    UnknownVersion {
        /// The service.
        service: &'static str,
        /// The value in the object.
        given: String,
        /// All versions of the service, separated by commas.
        known: String,
    },
    /// The name has a form that this release cannot read, or that this version of the service does not have.
    #[error("unknown form of operation name: {wrong}")]
    UnknownName {
        /// What is wrong, and the forms that this release knows.
        wrong: String,
    },
}

/// Parses a name, and resolves the endpoint for its calls.
///
/// # Errors
/// If this release does not have the service, version or form of name. A newer release may have it.
pub fn read(
    service_name: &str,
    version: Option<&str>,
    name: &str,
    overrides: &EndpointOverrides,
) -> Result<Target, ResolveError> {
    let (service, version) = row(service_name, version)?;
    let name = OperationName::parse(name).map_err(|invalid| ResolveError::UnknownName {
        wrong: invalid.to_string(),
    })?;
    target(service, version, &name, overrides)
}

/// The same for a parsed name.
///
/// # Errors
/// As [`read`].
pub fn resolve(
    service_name: &str,
    version: Option<&str>,
    name: &OperationName,
    overrides: &EndpointOverrides,
) -> Result<Target, ResolveError> {
    let (service, version) = row(service_name, version)?;
    target(service, version, name, overrides)
}

fn row(
    service_name: &str,
    version: Option<&str>,
) -> Result<(&'static Service, &'static Version), ResolveError> {
    let service = service(service_name).ok_or_else(|| ResolveError::UnknownService {
        given: service_name.to_owned(),
    })?;
    let given = version.unwrap_or(service.default_version);
    let version = service
        .version(given)
        .ok_or_else(|| ResolveError::UnknownVersion {
            service: service.name,
            given: given.to_owned(),
            known: service
                .versions
                .iter()
                .map(|version| version.name)
                .collect::<Vec<_>>()
                .join(", "),
        })?;
    Ok((service, version))
}

fn target(
    service: &Service,
    version: &Version,
    name: &OperationName,
    overrides: &EndpointOverrides,
) -> Result<Target, ResolveError> {
    let parts = version
        .parts(name)
        .ok_or_else(|| ResolveError::UnknownName {
            wrong: unknown_name::explanation(service, version, name),
        })?;
    let location = parts.location(name);
    let Some((endpoint, overridden)) = endpoint(service, location, overrides) else {
        let length = location.map_or(0, str::len);
        return Err(ResolveError::UnknownName {
            wrong: format!(
                "a location of {length} characters is too long for a host name of {}",
                service.name
            ),
        });
    };
    Ok(Target {
        name: name.clone(),
        service: service.name.to_owned(),
        version: version.name.to_owned(),
        endpoint,
        overridden,
        parts,
    })
}

/// The base URL for a service's names with this location, and whether an override names it. `None` if the location is too long for a
/// host name.
pub fn endpoint(
    service: &Service,
    location: Option<&str>,
    overrides: &EndpointOverrides,
) -> Option<(String, bool)> {
    let overriding = overrides.endpoint(service.name, location);
    let overridden = overriding.is_some();
    let endpoint = overriding.unwrap_or_else(|| overrides.of_catalogue(service, location));
    has_dns_labels(&endpoint).then_some((endpoint, overridden))
}

/// Whether the labels of the host name have valid lengths (RFC 1035, 2.3.4).
fn has_dns_labels(endpoint: &str) -> bool {
    let host = endpoint.split("://").last().unwrap_or_default();
    host.len() <= 253 && host.split(['.', ':']).all(|label| label.len() <= 63)
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
            assert_eq!(
                (target.endpoint.as_str(), target.version.as_str()),
                (endpoint, "v2")
            );
            assert!(!target.overridden);
        }
    }

    #[test]
    fn the_universe_makes_the_domain_of_hosts_that_are_not_overridden() {
        let given = "dialogflow/us=https://dialogflow.us.private.example";
        let overrides = EndpointOverrides::new([given.parse().unwrap()])
            .in_universe("apis-tpczero.goog".parse().unwrap());
        for (service, name, endpoint) in [
            (
                "spanner",
                "projects/p/instances/i/operations/o",
                "https://spanner.apis-tpczero.goog",
            ),
            (
                "dialogflow",
                "projects/p/locations/europe-west1/operations/o",
                "https://europe-west1-dialogflow.apis-tpczero.goog",
            ),
            (
                "aiplatform",
                "projects/p/locations/eu/operations/o",
                "https://aiplatform.eu.rep.apis-tpczero.goog",
            ),
            (
                "dialogflow",
                "projects/p/locations/us/operations/o",
                "https://dialogflow.us.private.example",
            ),
        ] {
            let target = read(service, None, name, &overrides).unwrap();
            assert_eq!(target.endpoint, endpoint);
        }
    }

    #[test]
    fn every_host_of_the_catalogue_follows_the_universe() {
        let overrides =
            EndpointOverrides::default().in_universe("apis-tpczero.goog".parse().unwrap());
        for service in crate::google::catalogue::services() {
            for location in [None, Some("global"), Some("europe-west1"), Some("eu")] {
                let endpoint = overrides.of_catalogue(service, location);
                assert!(endpoint.ends_with(".apis-tpczero.goog"), "{endpoint}");
            }
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
    fn an_unknown_service_waits_for_a_newer_release() {
        let name = OperationName::parse("projects/p/operations/o").unwrap();
        let error = resolve("gke", None, &name, &EndpointOverrides::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown service \"gke\"; this release does not have it, a newer one may"
        );
    }

    #[test]
    fn only_forms_of_the_row_are_read() {
        for name in [
            "operations/o",
            "projects/p/agents/a/operations/o",
            "projects/p/locations/eu/agents/a/operations/o",
            "projects/p/operations/o/more",
            "organizations/1/operations/o",
            "projects/_/buckets/b/operations/o",
            "projects/p/regions/eu/operations/o",
        ] {
            let error = target(name, None).unwrap_err().to_string();
            assert!(
                error.starts_with("unknown form of operation name: "),
                "{error}"
            );
        }
        let read = target("projects/ex.com:p/locations/eu/operations/o", Some("v3")).unwrap();
        assert_eq!(read.parent(), Some("projects/ex.com:p/locations/eu"));
        assert_eq!(
            (read.project(), read.location(), read.operation()),
            (Some("ex.com:p"), Some("eu"), "o")
        );
    }

    #[test]
    fn what_cannot_be_read_says_so_after_service_and_version() {
        let none = EndpointOverrides::default();
        for (service, version, said) in [
            ("gke", None, "unknown service"),
            ("dialogflow", Some("v9"), "unknown version"),
            (
                "dialogflow",
                None,
                "unknown form of operation name: PROJECT must consist",
            ),
        ] {
            let error = read(service, version, "projects/-/operations/o", &none).unwrap_err();
            assert!(error.to_string().starts_with(said), "{error}");
        }
    }

    /// The catalogue's own hosts leave a location 52 characters; a longer name of an override leaves it less.
    #[test]
    fn a_location_is_no_longer_than_the_host_leaves() {
        let name = |length: usize| {
            let name = format!("projects/p/locations/{}/operations/o", "l".repeat(length));
            OperationName::parse(&name).unwrap()
        };
        let given = "dialogflow=https://{location}-dialogflow-through-our-gateway.p.googleapis.com";
        let overrides = EndpointOverrides::new([given.parse().unwrap()]);
        let long = |length, overrides: &EndpointOverrides| {
            resolve("dialogflow", None, &name(length), overrides).err()
        };
        assert_eq!(long(52, &EndpointOverrides::default()), None);
        let insights = |length| {
            let none = EndpointOverrides::default();
            resolve("contactcenterinsights", None, &name(length), &none).err()
        };
        assert_eq!(insights(41), None);
        let error = insights(42).unwrap().to_string();
        assert!(error.contains("a location of 42 characters"), "{error}");
        assert_eq!(long(32, &overrides), None);
        let error = long(33, &overrides).unwrap().to_string();
        assert!(error.contains("a location of 33 characters"), "{error}");
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
