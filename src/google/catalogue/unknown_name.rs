//! What to say of a name that a version of a service does not have.

use super::service::{Service, Version, services};
use crate::google::names::{name_pattern::NamePattern, operation_name::OperationName};

/// The most forms that a message shows. Some services have more than a hundred.
const MOST_FORMS: usize = 3;

/// The most other services that a message names. A form that more services have says nothing about the service.
const MOST_SERVICES: usize = 3;

/// What is wrong, and what would be right: another version that has the form, another service that has it, or the forms of this one
/// that are most similar.
pub(super) fn explanation(service: &Service, version: &Version, name: &OperationName) -> String {
    let others = service
        .versions
        .iter()
        .filter(|other| other.name != version.name);
    let others: Vec<_> = others
        .filter(|other| other.parts(name).is_some())
        .map(|other| other.name)
        .collect();
    let (service_name, version_name) = (service.name, version.name);
    if !others.is_empty() {
        return format!(
            "{service_name} {version_name} does not have it; set spec.version to {} in a new object",
            others.join(" or ")
        );
    }
    let owners = owners(name);
    if !owners.is_empty() {
        return format!(
            "it has a form of {}; {service_name} {version_name} has {}",
            owners.join(", "),
            forms(version, name)
        );
    }
    format!(
        "this release knows {} for {service_name} {version_name}",
        forms(version, name)
    )
}

/// The services that have this form; none if they are too many.
fn owners(name: &OperationName) -> Vec<&'static str> {
    let has = |service: &&Service| {
        let mut versions = service.versions.iter();
        versions.any(|version| version.parts(name).is_some())
    };
    let owners = services().iter().filter(has).map(|service| service.name);
    let owners: Vec<_> = owners.take(MOST_SERVICES + 1).collect();
    if owners.len() > MOST_SERVICES {
        Vec::new()
    } else {
        owners
    }
}

/// The forms of a version, the most similar first, and the number of the others.
fn forms(version: &Version, name: &OperationName) -> String {
    let mut patterns: Vec<&NamePattern> = version.patterns.iter().collect();
    patterns.sort_by_key(|pattern| {
        let length = pattern.segments.split('/').count();
        (usize::MAX - pattern.similarity(name), length)
    });
    let shown = patterns
        .iter()
        .take(MOST_FORMS)
        .map(|pattern| pattern.segments);
    let shown = shown.collect::<Vec<_>>().join(", ");
    match patterns.len().saturating_sub(MOST_FORMS) {
        0 => shown,
        more => format!("{shown} and {more} other forms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::google::catalogue::service;

    #[test]
    fn it_says_what_would_be_right() {
        for (service_name, version, name, says) in [
            (
                "osconfig",
                "v1",
                "folders/1/locations/global/operations/o",
                "osconfig v1 does not have it; set spec.version to v2 or v2alpha or v2beta in a new object",
            ),
            (
                "dialogflow",
                "v2",
                "projects/p/instances/i/databases/d/operations/o",
                "it has a form of spanner; dialogflow v2 has projects/*/operations/*, projects/*/locations/*/operations/*",
            ),
            (
                "dialogflow",
                "v2",
                "operations/o",
                "this release knows projects/*/operations/*, projects/*/locations/*/operations/* for dialogflow v2",
            ),
            (
                "aiplatform",
                "v1",
                "projects/p/locations/eu/tuningJob/t/operations/o",
                "this release knows projects/*/locations/*/operations/*, projects/*/locations/*/ragEngineConfig/operations/*, \
                 projects/*/locations/*/customJobs/*/operations/* and 107 other forms for aiplatform v1",
            ),
        ] {
            let row = service(service_name).unwrap();
            let version = row.version(version).unwrap();
            let name = OperationName::parse(name).unwrap();
            assert_eq!(explanation(row, version, &name), says);
        }
    }
}
