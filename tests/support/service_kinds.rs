//! What distinguishes the rows of the service catalogue, so that a matrix of services can be compared with them.

use std::collections::BTreeSet;

use opcancel::google::{catalogue::services, operation_name::OperationName};

/// The kind of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// With `VERSION` for the version.
    prefix: String,
    suffix: &'static str,
    operation: String,
    path_has_another_form: bool,
    parent: String,
}

/// The kind of the row that has this name.
pub fn kind_of(service: &str, version: &str, name: &str) -> Kind {
    let kinds = kinds(service, version, Some(&OperationName::parse(name).unwrap()));
    let [kind] = kinds.as_slice() else {
        panic!("{name}: {kinds:?}");
    };
    kind.clone()
}

/// The kinds of all rows.
pub fn all_kinds() -> BTreeSet<Kind> {
    let versions = services().iter().flat_map(|service| {
        let versions = service.versions.iter();
        versions.flat_map(|version| kinds(service.name, version.name, None))
    });
    versions.collect()
}

/// The kinds that a version of a service has; with a name, those of its form.
fn kinds(service: &str, version: &str, name: Option<&OperationName>) -> Vec<Kind> {
    let service = services().iter().find(|row| row.name == service).unwrap();
    let version = service.version(version).unwrap();
    let mut patterns: Vec<_> = version.patterns.iter().collect();
    if let Some(name) = name {
        patterns.retain(|pattern| pattern.matches(name).is_some());
    }
    let kinds = patterns.iter().map(|pattern| Kind {
        prefix: version.prefix.replace(version.name, "VERSION"),
        suffix: version.suffix,
        operation: format!("{:?}", version.operation),
        path_has_another_form: pattern.path.is_some(),
        parent: parent_kind(pattern.segments, pattern.parent),
    });
    kinds.collect()
}

/// The collections of a parent, if they are few; of a name without a parent, its form.
fn parent_kind(form: &str, length: usize) -> String {
    let segments: Vec<_> = form.split('/').collect();
    let collections: Vec<_> = segments[..length].iter().copied().step_by(2).collect();
    match collections.as_slice() {
        [] if segments[0].ends_with("perations") => form.to_owned(),
        [] => "express".to_owned(),
        [.., last] if length % 2 == 1 => format!("nested, {last} has no id"),
        [_] | [_, "buckets" | "locations" | "regions" | "zones"] => collections.join("/"),
        [first, ..] => format!("{first}, nested"),
    }
}
