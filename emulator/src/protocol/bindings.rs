//! The HTTP bindings of `google.longrunning.Operations`, and of the services with a form of their own, as Google's discovery documents
//! have them. `cargo xtask catalogue` generates the data.

use std::sync::LazyLock;

use http::Method;

/// A line for each method that cancels an operation.
const DATA: &str = include_str!("bindings.tsv");

/// The collection of Cloud Storage's buckets in paths, and the beginning of its operations' names.
const BUCKETS: (&str, &str) = ("b/", "projects/_/buckets/");

/// The methods of one kind of operation in one version of a service.
#[derive(Debug, PartialEq, Eq)]
pub struct Binding {
    /// The service.
    pub service: &'static str,
    /// The version in the path.
    pub version: &'static str,
    /// The service's host for names without a location.
    pub host: &'static str,
    /// The form of the operation in an answer to GET.
    pub operation: OperationForm,
    /// Whether errors have the older form, without `status`.
    pub has_older_errors: bool,
    /// The method of a cancel request.
    verb: Method,
    /// How many segments of the path are before the name.
    name_from: usize,
    /// The words of the path of a cancel: words, `*` for one segment, `**` for one or more.
    cancel: Vec<&'static str>,
    /// What follows it.
    suffix: &'static str,
    /// The words of the path of GET; empty if there is none.
    get: Vec<&'static str>,
    /// The query parameters of a cancel request besides those that every API takes.
    pub cancel_query: Vec<&'static str>,
    /// The same of GET.
    pub get_query: Vec<&'static str>,
}

/// The form of an operation in an answer to GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationForm {
    /// `google.longrunning.Operation`.
    Longrunning,
    /// `status`, and an `error` with a number, as GKE has it.
    Status,
    /// `status`, and an `error` with a list, as Cloud SQL has it.
    StatusAndErrors,
}

impl OperationForm {
    /// The field of a list that has the operations.
    pub const fn list_field(self) -> &'static str {
        match self {
            Self::Longrunning | Self::Status => "operations",
            Self::StatusAndErrors => "items",
        }
    }
}

impl Binding {
    /// Whether this path is a cancel request's.
    pub fn is_cancel(&self, method: &Method, segments: &[String], suffix: &str) -> bool {
        self.verb == *method && self.suffix == suffix && matches(&self.cancel, segments)
    }

    /// Whether this path is a GET's.
    pub fn is_get(&self, segments: &[String]) -> bool {
        matches(&self.get, segments)
    }

    /// Whether this path lists operations.
    pub fn is_list(&self, segments: &[String]) -> bool {
        match self.get.as_slice() {
            [parent @ .., "operations", "*"] => match segments {
                [given @ .., last] if last == "operations" => matches(parent, given),
                _ => false,
            },
            _ => false,
        }
    }

    /// The name in a path: of the operation, or of a parent.
    pub fn name(&self, segments: &[String]) -> String {
        let name = segments.get(self.name_from..).unwrap_or_default().join("/");
        match name.strip_prefix(BUCKETS.0) {
            Some(rest) => format!("{}{rest}", BUCKETS.1),
            None => name,
        }
    }

    /// Whether it has operations whose name stands in paths as these segments.
    fn has_name(&self, segments: &[String]) -> bool {
        let pattern = self.cancel.get(self.name_from..).unwrap_or_default();
        matches(pattern, segments)
    }

    /// Whether a host is this service's, for any location.
    pub fn is_at(&self, host: &str) -> bool {
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let regional = host.strip_suffix(self.host);
        let has_region = regional.is_some_and(|region| region.is_empty() || region.ends_with('-'));
        let service = self.host.split('.').next().unwrap_or_default();
        let endpoint = host.strip_prefix(service);
        has_region
            || endpoint
                .is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".rep.googleapis.com"))
    }
}

/// Whether a service has operations of this name.
pub fn is_operation_name(name: &str) -> bool {
    let in_path = match name.strip_prefix(BUCKETS.1) {
        Some(rest) => format!("{}{rest}", BUCKETS.0),
        None => name.to_owned(),
    };
    let segments: Vec<_> = in_path.split('/').map(str::to_owned).collect();
    segments.iter().all(|segment| !segment.is_empty())
        && bindings().iter().any(|binding| binding.has_name(&segments))
}

/// Whether a service has operations.
pub fn is_service(name: &str) -> bool {
    bindings().iter().any(|binding| binding.service == name)
}

fn matches(pattern: &[&str], segments: &[String]) -> bool {
    let fits = |(word, segment): (&&str, &String)| *word == "*" || word == segment;
    match pattern {
        [] => false,
        [start @ .., "**"] => segments.len() > start.len() && start.iter().zip(segments).all(fits),
        words => words.len() == segments.len() && words.iter().zip(segments).all(fits),
    }
}

/// All of them.
pub fn bindings() -> &'static [Binding] {
    static BINDINGS: LazyLock<Vec<Binding>> =
        LazyLock::new(|| DATA.lines().filter_map(read).collect());
    &BINDINGS
}

/// The form of a service's operations; that of most services if none is named.
pub fn operation_form(service: Option<&str>) -> OperationForm {
    let mut bindings = bindings().iter();
    let of_service = bindings.find(|binding| Some(binding.service) == service);
    of_service.map_or(OperationForm::Longrunning, |binding| binding.operation)
}

fn list(cell: &'static str) -> Vec<&'static str> {
    cell.split(',').filter(|name| *name != "-").collect()
}

fn read(line: &'static str) -> Option<Binding> {
    let words = |path: &'static str| path.split('/').collect();
    let mut cells = line.split('\t');
    let mut next = || cells.next();
    Some(Binding {
        service: next().filter(|first| !first.starts_with('#'))?,
        version: next()?,
        host: next()?,
        operation: match next()? {
            "longrunning" => OperationForm::Longrunning,
            "status" => OperationForm::Status,
            "status-and-errors" => OperationForm::StatusAndErrors,
            _ => return None,
        },
        has_older_errors: next()? == "older",
        verb: next()?.parse().ok()?,
        name_from: next()?.parse().ok()?,
        cancel: words(next()?),
        suffix: next()?,
        get: next()
            .filter(|get| *get != "-")
            .map(words)
            .unwrap_or_default(),
        cancel_query: list(next()?),
        get_query: list(next()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_data_is_read() {
        let lines = DATA.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(bindings().len(), lines.count());
        assert!(bindings().len() > 400);
    }

    #[test]
    fn a_service_is_known_by_its_hosts() {
        let dialogflow = bindings()
            .iter()
            .find(|binding| binding.service == "dialogflow");
        for (host, known) in [
            ("dialogflow.googleapis.com", true),
            ("dialogflow.googleapis.com:443", true),
            ("europe-west1-dialogflow.googleapis.com", true),
            ("dialogflow.us.rep.googleapis.com", true),
            ("container.googleapis.com", false),
            ("notdialogflow.googleapis.com", false),
            ("127.0.0.1:8080", false),
        ] {
            assert_eq!(dialogflow.expect("there").is_at(host), known, "{host}");
        }
    }
}
