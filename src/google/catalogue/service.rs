//! The services as data (docs/architecture.md#the-service-catalogue). A new service is a new row, not new code.
//!
//! `cargo xtask catalogue` generates the data from Google's discovery documents and from `catalogue/`, which has the evidence of what
//! the documents do not say.

use std::sync::LazyLock;

use crate::google::names::{
    name_pattern::{NameParts, NamePattern},
    operation_name::OperationName,
};

/// The generated data: a line for each service, version and form of names.
const DATA: &str = include_str!("services.tsv");

/// The OAuth scope that is enough for every service: the generator leaves out what needs another.
pub const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The cell of a row that has nothing.
const NOTHING: &str = "-";

/// One Google API whose operations can be cancelled.
#[derive(Debug)]
pub struct Service {
    /// The name in `spec.service`, in grants and in `--endpoint-override`.
    pub name: &'static str,
    /// What Google calls it, without `API`: `Kubernetes Engine` for `container`. Its name if no source has a title.
    pub product: &'static str,
    /// The host for names with no location or with `global`.
    pub global_host: &'static str,
    /// The host for any other location, with the placeholder `{location}`, or `{region}` for the region of a zone; `None` if all
    /// locations have the global host.
    host_by_location: Option<&'static str>,
    /// Locations with another host: `LOCATION=HOST`, separated by commas.
    host_exceptions: Option<&'static str>,
    /// Names do not tell the host: another one may serve the operation.
    pub host_may_differ: bool,
    /// The version for an object without one.
    pub default_version: &'static str,
    /// What a caller needs to cancel an operation, as far as it is known.
    pub right: Option<Right>,
    /// A narrower scope than [`CLOUD_PLATFORM`] that is enough too, if the service has one.
    pub narrow_scope: Option<&'static str>,
    /// The versions for the path.
    pub versions: Vec<Version>,
}

/// What a caller needs in IAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// A permission.
    Permission(&'static str),
    /// A predefined role to try first: the permission is not known.
    Role(&'static str),
}

/// One version of a service.
#[derive(Debug)]
pub struct Version {
    /// The version as in `spec.version`.
    pub name: &'static str,
    /// What stands before the name in the path, without a slash at the start: `v2/`.
    pub prefix: &'static str,
    /// What follows the name in the path of a cancel: `:cancel`.
    pub suffix: &'static str,
    /// The form of an operation's JSON.
    pub operation: OperationForm,
    /// UNIMPLEMENTED as the answer to cancel may mean that the operation cannot be cancelled in its present state.
    pub unimplemented_may_pass: bool,
    /// The forms of names in this version.
    pub patterns: Vec<NamePattern>,
}

/// The form of an operation's JSON in an answer to GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationForm {
    /// `google.longrunning.Operation`: `done` at the end, with `response` or `error`.
    Longrunning,
    /// `status` is `DONE` at the end, and only an `error` says how it ended.
    DoneStatus,
}

impl Service {
    /// The catalogue's host for a location.
    pub(super) fn host(&self, location: Option<&str>) -> String {
        let (Some(template), Some(location)) = (
            self.host_by_location,
            location.filter(|location| *location != "global"),
        ) else {
            return self.global_host.to_owned();
        };
        let exceptions = self.host_exceptions.unwrap_or_default().split(',');
        let mut exceptions = exceptions.filter_map(|exception| exception.split_once('='));
        if let Some((_, host)) = exceptions.find(|(exception, _)| *exception == location) {
            return host.to_owned();
        }
        template
            .replace("{location}", location)
            .replace("{region}", region(location))
    }

    /// The row of a version.
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }
}

/// The region of a zone, such as `us-central1` of `us-central1-a`; a region is its own.
fn region(location: &str) -> &str {
    let mut hyphens = location.match_indices('-');
    match hyphens.nth(1) {
        Some((end, _)) => location.get(..end).unwrap_or(location),
        None => location,
    }
}

impl Version {
    /// The parts of a name; `None` if this version has no such form of names.
    pub(super) fn parts(&self, name: &OperationName) -> Option<NameParts> {
        let mut patterns = self.patterns.iter();
        patterns.find_map(|pattern| pattern.matches(name))
    }

    /// The name as it stands in the path of a URL. A name of another version or service is written as it is.
    pub fn in_path(&self, name: &OperationName) -> String {
        let mut patterns = self.patterns.iter();
        let in_path = patterns.find_map(|pattern| pattern.in_path(name));
        in_path.unwrap_or_else(|| name.as_str().to_owned())
    }
}

/// All services, by name.
pub fn services() -> &'static [Service] {
    static SERVICES: LazyLock<Vec<Service>> = LazyLock::new(|| read(DATA));
    &SERVICES
}

/// The row of a service.
pub fn service(name: &str) -> Option<&'static Service> {
    let services = services();
    let at = services.binary_search_by_key(&name, |service| service.name);
    services.get(at.ok()?)
}

/// The names of all services, for the CRD's enum and for messages.
pub fn service_names() -> impl Iterator<Item = &'static str> {
    services().iter().map(|service| service.name)
}

/// Reads the data. A test shows that each of its lines is read.
fn read(data: &'static str) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    for line in data.lines() {
        let mut cells = line.split('\t');
        let kind = cells.next();
        if kind == Some("service") {
            services.extend(read_service(&mut cells));
            continue;
        }
        let Some(service) = services.last_mut() else {
            continue;
        };
        if kind == Some("version") {
            service.versions.extend(read_version(&mut cells));
        } else if kind == Some("name")
            && let Some(version) = service.versions.last_mut()
        {
            version.patterns.extend(read_pattern(&mut cells));
        }
    }
    services
}

type Cells = std::str::Split<'static, char>;

fn read_service(cells: &mut Cells) -> Option<Service> {
    let mut next = || cells.next();
    let given = |cell: &'static str| Some(cell).filter(|cell| *cell != NOTHING);
    Some(Service {
        name: next()?,
        product: next()?,
        global_host: next()?,
        host_by_location: given(next()?),
        host_exceptions: given(next()?),
        host_may_differ: match next()? {
            NOTHING => false,
            "may-differ" => true,
            _ => return None,
        },
        default_version: next()?,
        right: given(next()?).map(|right| {
            if right.starts_with("roles/") {
                Right::Role(right)
            } else {
                Right::Permission(right)
            }
        }),
        narrow_scope: given(next()?),
        versions: Vec::new(),
    })
}

fn read_version(cells: &mut Cells) -> Option<Version> {
    let mut next = || cells.next();
    Some(Version {
        name: next()?,
        prefix: next()?,
        suffix: next()?,
        operation: match next()? {
            "longrunning" => OperationForm::Longrunning,
            "done-status" => OperationForm::DoneStatus,
            _ => return None,
        },
        unimplemented_may_pass: match next()? {
            "final" => false,
            "may-pass" => true,
            _ => return None,
        },
        patterns: Vec::new(),
    })
}

fn read_pattern(cells: &mut Cells) -> Option<NamePattern> {
    Some(NamePattern {
        parent: cells.next()?.parse().ok()?,
        segments: cells.next()?,
        path: cells.next(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_data_is_read() {
        let lines = |kind: &str| DATA.lines().filter(|line| line.starts_with(kind)).count();
        let versions = || services().iter().flat_map(|service| &service.versions);
        assert_eq!(services().len(), lines("service\t"));
        assert_eq!(versions().count(), lines("version\t"));
        assert_eq!(
            versions()
                .map(|version| version.patterns.len())
                .sum::<usize>(),
            lines("name\t")
        );
        assert!(services().is_sorted_by_key(|service| service.name));
    }

    #[test]
    fn every_row_is_usable() {
        for service in services() {
            let name = service.name;
            assert!(service.version(service.default_version).is_some(), "{name}");
            let product = service.product;
            let is_printable = |c: char| c.is_ascii_graphic() || c == ' ';
            assert!((1..=50).contains(&product.len()), "{name}: {product}");
            assert!(product.chars().all(is_printable), "{name}: {product}");
            for location in [
                None,
                Some("global"),
                Some("europe-west1"),
                Some("us-central1-a"),
            ] {
                let host = service.host(location);
                let url = reqwest::Url::parse(&format!("https://{host}")).unwrap();
                assert_eq!(url.host_str(), Some(host.as_str()), "{name}");
                assert!(host.ends_with(".googleapis.com"), "{name}: {host}");
            }
            for version in &service.versions {
                assert!(!version.patterns.is_empty(), "{name} {}", version.name);
            }
        }
    }

    #[test]
    fn the_name_does_not_tell_the_host_of_two_services() {
        let marked = services().iter().filter(|service| service.host_may_differ);
        let names: Vec<_> = marked.map(|service| service.name).collect();
        assert_eq!(names, ["ml", "translate"]);
    }

    #[test]
    fn hosts_follow_the_location_where_the_service_wants_it() {
        for (name, location, host) in [
            ("dialogflow", None, "dialogflow.googleapis.com"),
            ("dialogflow", Some("global"), "dialogflow.googleapis.com"),
            ("dialogflow", Some("us"), "us-dialogflow.googleapis.com"),
            (
                "aiplatform",
                Some("us-central1"),
                "us-central1-aiplatform.googleapis.com",
            ),
            ("aiplatform", Some("eu"), "aiplatform.eu.rep.googleapis.com"),
            ("aiplatform", None, "aiplatform.googleapis.com"),
            (
                "pubsublite",
                Some("us-central1"),
                "us-central1-pubsublite.googleapis.com",
            ),
            (
                "pubsublite",
                Some("us-central1-a"),
                "us-central1-pubsublite.googleapis.com",
            ),
            (
                "contactcenterinsights",
                Some("us-central1"),
                "contactcenterinsights.googleapis.com",
            ),
            (
                "container",
                Some("us-central1-a"),
                "container.googleapis.com",
            ),
            (
                "translate",
                Some("us-central1"),
                "translation.googleapis.com",
            ),
        ] {
            assert_eq!(
                service(name).unwrap().host(location),
                host,
                "{name} {location:?}"
            );
        }
    }
}
