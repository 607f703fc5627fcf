//! The services as data (docs/architecture.md#the-service-catalogue). A new service is a new row, not new code.
//!
//! Sources: the API definitions google/cloud/dialogflow/{v2,v2beta1,cx/v3,cx/v3beta1} and Google's regionalization
//! pages ("use the region-specific hostname of the form REGION_ID-dialogflow.googleapis.com").

use crate::google::names::name_pattern::NamePattern;

/// One Google API that offers `google.longrunning.Operations` under names of our grammar.
#[derive(Debug)]
pub struct Service {
    /// The name in `spec.service`, in grants and in `--endpoint-override`.
    pub name: &'static str,
    /// Host for names with no location or with `global`.
    pub global_host: &'static str,
    /// Host for any other location, with the placeholder `{location}`.
    pub regional_host: &'static str,
    /// Locations whose hosts do not follow the pattern.
    pub host_exceptions: &'static [(&'static str, &'static str)],
    /// The versions for the path; the first is the default.
    pub versions: &'static [Version],
    /// OAuth scopes. A token for this service needs one of them; the first is the default.
    pub scopes: &'static [&'static str],
    /// The predefined IAM role that messages suggest when Google denies a call.
    pub role: &'static str,
}

/// One version of a service.
#[derive(Debug)]
pub struct Version {
    /// The version as in the path.
    pub name: &'static str,
    /// The forms of names in this version.
    pub patterns: &'static [NamePattern],
}

/// Dialogflow's, the same in every version: `projects.operations` and `projects.locations.operations` of the discovery
/// documents.
const DIALOGFLOW_NAMES: &[NamePattern] = &[
    NamePattern {
        segments: "projects/*/operations/*",
        parent: 2,
    },
    NamePattern {
        segments: "projects/*/locations/*/operations/*",
        parent: 4,
    },
];

const fn dialogflow(name: &'static str) -> Version {
    Version {
        name,
        patterns: DIALOGFLOW_NAMES,
    }
}

/// All services.
///
/// Dialogflow's `us` follows the pattern: `us-dialogflow.googleapis.com` is what Google's own widgets and pages use for
/// the multi-region. The discovery document also lists `dialogflow.us.rep.googleapis.com`; to use it, set
/// `--endpoint-override dialogflow/us=https://dialogflow.us.rep.googleapis.com`.
pub const SERVICES: &[Service] = &[Service {
    name: "dialogflow",
    global_host: "dialogflow.googleapis.com",
    regional_host: "{location}-dialogflow.googleapis.com",
    host_exceptions: &[],
    versions: &[
        dialogflow("v2"),
        dialogflow("v2beta1"),
        dialogflow("v3"),
        dialogflow("v3beta1"),
    ],
    // Whether STS and GKE's metadata server honour the second is not documented: hence it is not the default.
    scopes: &[
        "https://www.googleapis.com/auth/cloud-platform",
        "https://www.googleapis.com/auth/dialogflow",
    ],
    role: "roles/dialogflow.admin",
}];

impl Service {
    /// The version for an object without one.
    pub fn default_version(&self) -> &'static str {
        self.versions
            .first()
            .map(|version| version.name)
            .unwrap_or_default()
    }

    /// The catalogue's host for a location.
    pub(super) fn host(&self, location: Option<&str>) -> String {
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

/// The default scopes of tokens: the first scope of each service, so that one token is enough for all services.
pub fn default_scopes() -> Vec<String> {
    let first = SERVICES.iter().filter_map(|service| service.scopes.first());
    let mut scopes: Vec<_> = first.map(ToString::to_string).collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

/// The scopes that are sufficient for every service: the values of `--google-scope`.
pub fn sufficient_scopes() -> Vec<&'static str> {
    let all = SERVICES.iter().flat_map(|service| service.scopes).copied();
    let mut scopes: Vec<_> = all
        .filter(|scope| SERVICES.iter().all(|s| s.scopes.contains(scope)))
        .collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_usable() {
        for service in SERVICES {
            assert!(!service.default_version().is_empty());
            assert!(!service.scopes.is_empty());
            assert!(service.role.starts_with("roles/"));
            assert!(!sufficient_scopes().is_empty());
            assert!(service.regional_host.contains("{location}"));
            for version in service.versions {
                assert!(!version.patterns.is_empty(), "{}", version.name);
            }
        }
    }
}
