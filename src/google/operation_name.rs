//! Names of operations: `projects/P/operations/O` and `projects/P/locations/L/operations/O`.
//!
//! The grammar is narrower than Google's on purpose (design section 5): what it lets through cannot leave its place in a
//! URL's path, whatever later parses that URL. It is checked here and, with the same grammar, by the CRD.

use std::fmt;

/// Longest project id or number, in characters; a domain-scoped id counts with its domain.
pub const MAX_PROJECT: usize = 63;
/// Longest location: with `-dialogflow` after it, it still is one DNS label.
pub const MAX_LOCATION: usize = 52;
/// Longest last segment.
pub const MAX_OPERATION: usize = 255;

/// The grammar as a regular expression (RE2, as in CEL and in OpenAPI). It says nothing about the lengths of the
/// parts: those are [`MAX_PROJECT`], [`MAX_LOCATION`] and [`MAX_OPERATION`].
pub const NAME_PATTERN: &str = "^projects/([a-z0-9][a-z0-9.-]*:)?[a-z0-9][a-z0-9-]*(/locations/[a-z0-9]+(-[a-z0-9]+)*)?/operations/[A-Za-z0-9][A-Za-z0-9._~-]*$";

const FORM: &str = "projects/PROJECT/operations/OPERATION or projects/PROJECT/locations/LOCATION/operations/OPERATION";

/// The parsed name of an operation. A value of this type is always well formed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationName {
    project: String,
    location: Option<String>,
    operation: String,
}

/// Why a text is not the name of an operation; the message says what was wrong and what is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wrong}; expected {FORM}, without a host, a version or a leading slash")]
pub struct InvalidOperationName {
    wrong: String,
}

impl OperationName {
    /// Parses a full name.
    ///
    /// # Errors
    /// If any character or length is outside the grammar; nothing is trimmed or decoded.
    pub fn parse(name: &str) -> Result<Self, InvalidOperationName> {
        let mut segments = name.split('/');
        let mut next = || segments.next();
        if next() != Some("projects") {
            return Err(wrong("the name does not start with \"projects/\""));
        }
        let project = next().unwrap_or_default();
        check_project(project)?;
        let (location, collection) = match next() {
            Some("locations") => {
                let location = next().unwrap_or_default();
                check_location(location)?;
                (Some(location.to_owned()), next())
            }
            other => (None, other),
        };
        if collection != Some("operations") {
            return Err(wrong(
                "after the project and the location, if there is one, comes \"/operations/\"",
            ));
        }
        let operation = next().unwrap_or_default();
        check_operation(operation)?;
        if next().is_some() {
            return Err(wrong("the name goes on after the operation"));
        }
        Ok(Self {
            project: project.to_owned(),
            location,
            operation: operation.to_owned(),
        })
    }

    /// The project's id or number, as the name spells it.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The location, if the name has one.
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// The last segment.
    pub fn operation(&self) -> &str {
        &self.operation
    }
}

impl fmt::Display for OperationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "projects/{}", self.project)?;
        if let Some(location) = &self.location {
            write!(f, "/locations/{location}")?;
        }
        write!(f, "/operations/{}", self.operation)
    }
}

impl std::str::FromStr for OperationName {
    type Err = InvalidOperationName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::parse(name)
    }
}

/// Whether a text is a location as names and `--endpoint-override` spell it.
pub fn is_location(text: &str) -> bool {
    check_location(text).is_ok()
}

/// Whether a text is a project's id or number as names spell it.
pub fn is_project(text: &str) -> bool {
    check_project(text).is_ok()
}

fn check_project(project: &str) -> Result<(), InvalidOperationName> {
    check_length("PROJECT", project, MAX_PROJECT)?;
    let (domain, id) = match project.split_once(':') {
        Some((domain, id)) => (Some(domain), id),
        None => (None, project),
    };
    let domain_good = domain.is_none_or(|domain| {
        starts_lower(domain)
            && domain
                .bytes()
                .all(|b| is_lower(b) || b == b'.' || b == b'-')
    });
    if domain_good && starts_lower(id) && id.bytes().all(|b| is_lower(b) || b == b'-') {
        Ok(())
    } else {
        Err(wrong(
            "PROJECT must be lower-case letters, digits and hyphens, and start with a letter or digit (a domain and a colon may stand before it)",
        ))
    }
}

fn check_location(location: &str) -> Result<(), InvalidOperationName> {
    check_length("LOCATION", location, MAX_LOCATION)?;
    let good = location
        .split('-')
        .all(|part| !part.is_empty() && part.bytes().all(is_lower));
    if good {
        Ok(())
    } else {
        Err(wrong(
            "LOCATION must be lower-case letters and digits, with single hyphens between them",
        ))
    }
}

fn check_operation(operation: &str) -> Result<(), InvalidOperationName> {
    check_length("OPERATION", operation, MAX_OPERATION)?;
    let starts_well = operation
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    let good = operation
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-'));
    if starts_well && good {
        Ok(())
    } else {
        Err(wrong(
            "OPERATION must be letters, digits and . _ ~ - after a first letter or digit",
        ))
    }
}

fn check_length(part: &str, text: &str, max: usize) -> Result<(), InvalidOperationName> {
    if text.is_empty() {
        Err(wrong(&format!("{part} is missing")))
    } else if text.len() > max {
        Err(wrong(&format!("{part} is longer than {max} characters")))
    } else {
        Ok(())
    }
}

fn starts_lower(text: &str) -> bool {
    text.bytes().next().is_some_and(is_lower)
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn wrong(wrong: &str) -> InvalidOperationName {
    InvalidOperationName {
        wrong: wrong.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::Regex;

    const GOOD: &[&str] = &[
        "projects/p/operations/o",
        "projects/acme-prod/locations/europe-west1/operations/0b2c5f3e-9a41-4f5e-8d10-6a4d2c1e7b90",
        "projects/123456789012/locations/global/operations/o",
        "projects/example.com:acme/operations/A.b_c~d-",
        "projects/p-/locations/us/operations/9..",
    ];

    const NASTY: &[&str] = &[
        "",
        "projects",
        "projects/",
        "projects//operations/o",
        "/projects/p/operations/o",
        "projects/p/operations/",
        "projects/p/operations",
        "projects/p/operations/o/",
        "projects/p/operations/o/p",
        "projects/p/operations/o\n",
        "\nprojects/p/operations/o",
        "projects/p\n/operations/o",
        "projects/p/operations/..",
        "projects/p/operations/.",
        "projects/../operations/o",
        "projects/p/locations/../operations/o",
        "projects/p/locations//operations/o",
        "projects/p/operations/%2e%2e",
        "projects/p/operations/a%2Fb",
        "projects/allowed\\..\\victim/operations/o",
        "projects/p/operations/o?x=1",
        "projects/p/operations/o#f",
        "projects/p/operations/o:cancel",
        "projects/a:b:c/operations/o",
        "projects/:b/operations/o",
        "projects/a:/operations/o",
        "projects/P/operations/o",
        "projects/p.q/operations/o",
        "projects/-p/operations/o",
        "projects/p/locations/Europe/operations/o",
        "projects/p/locations/a--b/operations/o",
        "projects/p/locations/-a/operations/o",
        "projects/p/locations/a-/operations/o",
        "projects/p/locations/evil.example/operations/o",
        "projects/p/locations/evil.example//operations/o",
        "projects/p/operations/ö",
        "projects/p/operations/o ",
        "projects/p/operations/o\0",
        "projects/p/operations/_o",
        "v2/projects/p/operations/o",
        "https://dialogflow.googleapis.com/v2/projects/p/operations/o",
        "projects/p/locations/l/agents/a/operations/o",
    ];

    fn pattern() -> Regex {
        Regex::new(NAME_PATTERN).unwrap()
    }

    #[test]
    fn good_names_are_read_and_given_back() {
        for name in GOOD {
            assert_eq!(OperationName::parse(name).unwrap().to_string(), *name);
            assert!(pattern().is_match(name), "{name}");
        }
        let name = OperationName::parse(GOOD[1]).unwrap();
        assert_eq!(
            (name.project(), name.location(), name.operation()),
            (
                "acme-prod",
                Some("europe-west1"),
                "0b2c5f3e-9a41-4f5e-8d10-6a4d2c1e7b90"
            )
        );
        assert_eq!(OperationName::parse(GOOD[0]).unwrap().location(), None);
    }

    #[test]
    fn nasty_names_are_refused_by_code_and_pattern_alike() {
        for name in NASTY {
            let error = OperationName::parse(name).unwrap_err().to_string();
            assert!(
                error.contains("expected projects/PROJECT/operations"),
                "{name}: {error}"
            );
            assert!(!pattern().is_match(name), "{name:?}");
        }
        assert!(
            OperationName::parse(&format!("projects/p/operations/{}", "a".repeat(10_240))).is_err()
        );
    }

    #[test]
    fn lengths_end_where_they_say() {
        let name = |p: usize, l: usize, o: usize| {
            format!(
                "projects/{}/locations/{}/operations/{}",
                "p".repeat(p),
                "l".repeat(l),
                "o".repeat(o)
            )
        };
        assert!(OperationName::parse(&name(63, 52, 255)).is_ok());
        for (p, l, o, part) in [
            (64, 52, 255, "PROJECT"),
            (63, 53, 255, "LOCATION"),
            (63, 52, 256, "OPERATION"),
        ] {
            let error = OperationName::parse(&name(p, l, o))
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(&format!("{part} is longer")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn code_and_pattern_agree(name in "projects/[a-zA-Z0-9.:%-]{0,6}(/locations/[a-z0-9A.-]{0,6})?/operations/[ -~\n]{0,6}") {
            prop_assert_eq!(OperationName::parse(&name).is_ok(), pattern().is_match(&name));
        }

        #[test]
        fn whatever_is_read_is_given_back(name in "(projects|operations|locations|[a-z:.-]{0,3}|/){0,9}") {
            if let Ok(parsed) = OperationName::parse(&name) {
                prop_assert_eq!(parsed.to_string(), name);
            }
        }
    }
}
