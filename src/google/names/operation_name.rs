//! Names of operations, as `google.longrunning.Operations` has them: the first check of docs/security.md#operation-names.
//!
//! The grammar is wide enough for every service that the survey of Google's APIs found, and narrow enough that no name can
//! leave its place in a URL's path, whatever later parses that URL. The CRD has the same grammar (`src/api/name_rules.rs`), and
//! a property test holds the two together. Which names a service really has is said by its row of the catalogue: the inner
//! wall, and the only place that tells where a name's parent ends.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pasted_name;

/// Longest name, in characters.
pub const MAX_NAME: usize = 1024;
/// Longest segment.
pub const MAX_SEGMENT: usize = 255;
/// Longest project id or number; a domain-scoped id counts with its domain.
pub const MAX_PROJECT: usize = 63;
/// Longest location: with `-dialogflow` after it, it still is one DNS label.
pub const MAX_LOCATION: usize = 52;

/// The collections whose ids are locations, which can be part of host names.
pub const LOCATION_COLLECTIONS: [&str; 3] = ["locations", "regions", "zones"];

/// The collections of operations.
pub const OPERATION_COLLECTIONS: [&str; 2] = ["operations", "transferOperations"];

/// What a name looks like, for messages.
const EXAMPLE: &str =
    "expected the name alone, such as projects/PROJECT/locations/LOCATION/operations/OPERATION";

/// The name of an operation. A value of this type has passed the grammar, and is exactly what was given.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
// Read back only from this process's own memory (lifecycle/packed.rs), so nothing is checked again.
#[serde(transparent)]
pub struct OperationName(Box<str>);

/// Why a text is not the name of an operation; the message says what is wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidOperationName(String);

impl OperationName {
    /// Checks a full name.
    ///
    /// # Errors
    /// If any character or length is outside the grammar; nothing is trimmed or decoded.
    pub fn parse(name: &str) -> Result<Self, InvalidOperationName> {
        check(name).map_err(|wrong| {
            let hint = pasted_name::hint(name).unwrap_or(EXAMPLE);
            InvalidOperationName(format!("{wrong}; {hint}"))
        })?;
        Ok(Self(name.into()))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The texts between the slashes; never empty.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The project's id or number as the name spells it, if the name begins with one. For showing and comparing: whose an
    /// operation is says its parent alone ([`crate::google::catalogue::Target::parent`]).
    pub fn project(&self) -> Option<&str> {
        let mut segments = self.segments();
        let is_project = segments.next() == Some("projects");
        segments.next().filter(|id| is_project && *id != "_")
    }

    /// The first location in the name, if it has one. For showing and comparing, as [`Self::project`].
    pub fn location(&self) -> Option<&str> {
        let mut segments = self.segments();
        segments.find(|segment| LOCATION_COLLECTIONS.contains(segment))?;
        segments.next()
    }

    /// The last segment.
    pub fn last_segment(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for OperationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    let good = |part: &str| !part.is_empty() && part.bytes().all(is_lower);
    text.len() <= MAX_LOCATION && text.split('-').all(good)
}

/// The location in a name or parent: what follows the first of [`LOCATION_COLLECTIONS`], if it is one.
pub fn location_in(name: &str) -> Option<&str> {
    let mut segments = name.split('/');
    segments.find(|segment| LOCATION_COLLECTIONS.contains(segment))?;
    segments.next().filter(|location| is_location(location))
}

/// Whether a text is a project's id or number as names spell it.
pub fn is_project(text: &str) -> bool {
    text.len() <= MAX_PROJECT && has_project_form(text)
}

fn check(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    if name.len() > MAX_NAME {
        return Err(format!("the name is longer than {MAX_NAME} characters"));
    }
    let segments: Vec<&str> = name.split('/').collect();
    if segments.iter().any(|segment| segment.len() > MAX_SEGMENT) {
        return Err(format!(
            "a part of the name is longer than {MAX_SEGMENT} characters"
        ));
    }
    check_project(&segments)?;
    let collections = segments.iter().zip(segments.iter().skip(1));
    for (collection, id) in collections {
        if LOCATION_COLLECTIONS.contains(collection) && !is_location(id) {
            return Err(format!(
                "LOCATION must consist of lower-case letters and digits with single hyphens between them, and have at most {MAX_LOCATION} characters"
            ));
        }
    }
    // Read as pairs, the last collection before `operations/` would have no id.
    let is_doubled = segments.starts_with(&["projects", "projects"])
        && segments.len() > 4
        && segments
            .iter()
            .take(segments.len() - 1)
            .skip(3)
            .step_by(2)
            .any(|segment| OPERATION_COLLECTIONS.contains(segment));
    if is_doubled {
        return Err("the name begins with projects/ twice".to_owned());
    }
    // An id may be the word `operations` too, so that each of them may be where the ids of the operation begin.
    let has_form = segments.iter().enumerate().any(|(at, segment)| {
        let (before, after) = segments.split_at(at);
        OPERATION_COLLECTIONS.contains(segment)
            && is_parent(before)
            && after.len() > 1
            && after.iter().skip(1).all(|id| is_id(id))
    });
    if has_form {
        Ok(())
    } else {
        Err("the name must consist of COLLECTION/ID pairs and end with operations/OPERATION; ids contain letters, digits and . _ ~ -"
            .to_owned())
    }
}

/// Checks the rules for `projects/`, and that there is no other colon.
fn check_project(segments: &[&str]) -> Result<(), String> {
    let colons = segments.iter().filter(|segment| segment.contains(':'));
    let (allowed, good) = match segments {
        ["projects", "_", "buckets", bucket, ..] => (0, is_id(bucket)),
        ["projects", project, ..] => (usize::from(project.contains(':')), is_project(project)),
        _ => (0, true),
    };
    if good && colons.count() == allowed {
        Ok(())
    } else {
        Err(format!(
            "PROJECT must consist of lower-case letters, digits and hyphens, start with a letter or digit, and have at most {MAX_PROJECT} characters; only a domain and a colon may precede it"
        ))
    }
}

/// Pairs of a collection and an id, and perhaps one collection without an id at the end (a singleton).
fn is_parent(segments: &[&str]) -> bool {
    segments.chunks(2).all(|pair| match pair {
        [collection, id] => {
            is_collection(collection) && (is_id(id) || *id == "(default)" || has_domain(id))
        }
        [collection] => is_collection(collection),
        _ => false,
    })
}

fn is_collection(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_alphabetic())
}

fn is_id(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-'))
}

fn has_domain(text: &str) -> bool {
    text.contains(':') && has_project_form(text)
}

fn has_project_form(text: &str) -> bool {
    let (domain, id) = match text.split_once(':') {
        Some((domain, id)) => (Some(domain), id),
        None => (None, text),
    };
    let good_domain = domain.is_none_or(|domain| {
        starts_lower(domain)
            && domain
                .bytes()
                .all(|b| is_lower(b) || matches!(b, b'.' | b'-'))
    });
    good_domain && starts_lower(id) && id.bytes().all(|b| is_lower(b) || b == b'-')
}

fn starts_lower(text: &str) -> bool {
    text.bytes().next().is_some_and(is_lower)
}

const fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

#[cfg(test)]
#[path = "operation_name_tests.rs"]
mod tests;
