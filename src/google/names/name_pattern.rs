//! The forms of names that a service has: the second check of docs/security.md#operation-names. A name must match a pattern of its
//! service in full, and only the pattern decides where the parent ends.

use serde::{Deserialize, Serialize};

use super::operation_name::{LOCATION_COLLECTIONS, OPERATION_COLLECTIONS, OperationName};

/// One form of names, as Google's discovery documents write it.
#[derive(Debug)]
pub struct NamePattern {
    /// Segments: words, `*` for one id, and at the end `**` for one id or more.
    pub segments: &'static str,
    /// Number of segments of the parent; 0 if the operation has no parent that a grant can name.
    pub parent: usize,
    /// The form in the path of a URL, with the same wildcards in the same order; `None` if the path has the name itself.
    pub path: Option<&'static str>,
}

/// The byte offsets of a name's parts. Nothing is read out of the operation's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NameParts {
    /// The end of the parent; 0 if there is none.
    parent: u16,
    /// Start and end of the location, if there is one.
    location: Option<(u16, u16)>,
    /// The start of the operation's id.
    operation: u16,
}

impl NameParts {
    /// The part before the collection of operations; `None` if there is none.
    pub fn parent<'a>(&self, name: &'a OperationName) -> Option<&'a str> {
        let parent = name.as_str().get(..self.parent.into());
        parent.filter(|parent| !parent.is_empty())
    }

    /// The location in the parent, if it has one.
    pub fn location<'a>(&self, name: &'a OperationName) -> Option<&'a str> {
        let (start, end) = self.location?;
        name.as_str().get(start.into()..end.into())
    }

    /// The part after the collection of operations.
    pub fn operation<'a>(&self, name: &'a OperationName) -> &'a str {
        let start = self.operation.into();
        name.as_str().get(start..).unwrap_or_default()
    }
}

impl NamePattern {
    /// The parts of a name of this form; `None` if it has another form.
    pub fn matches(&self, name: &OperationName) -> Option<NameParts> {
        let mut parts = NameParts::default();
        let mut wanted = self.segments.split('/');
        let mut given = name.segments().enumerate().peekable();
        let mut at = 0;
        let mut before = "";
        // Ids may be words too; only the form says where the operation begins.
        let mut in_operation = false;
        while let Some((number, segment)) = given.next() {
            let end = at + segment.len();
            let word = wanted.next()?;
            let is_last = given.peek().is_none();
            if number < self.parent {
                parts.parent = u16::try_from(end).ok()?;
                if word == "*" && LOCATION_COLLECTIONS.contains(&before) {
                    parts.location = Some((u16::try_from(at).ok()?, u16::try_from(end).ok()?));
                }
            }
            if in_operation && parts.operation == 0 {
                parts.operation = u16::try_from(at).ok()?;
            }
            in_operation |= OPERATION_COLLECTIONS.contains(&word);
            match word {
                "**" => return Some(parts),
                "*" => {}
                word if word == segment => {}
                _ => return None,
            }
            if is_last {
                return wanted.next().is_none().then_some(parts);
            }
            before = segment;
            at = end + 1;
        }
        None
    }

    /// The name as it stands in the path of a URL; `None` if it has another form.
    pub fn in_path(&self, name: &OperationName) -> Option<String> {
        self.matches(name)?;
        let Some(path) = self.path else {
            return Some(name.as_str().to_owned());
        };
        let words = self.segments.split('/').zip(name.segments());
        let mut ids = words.filter(|(word, _)| *word == "*").map(|(_, id)| id);
        let path = path.split('/').map(|word| match word {
            "*" => ids.next(),
            word => Some(word),
        });
        Some(path.collect::<Option<Vec<_>>>()?.join("/"))
    }

    /// How many segments at the start of a name have this form. It says which form was meant.
    pub fn similarity(&self, name: &OperationName) -> usize {
        let words = self.segments.split('/').zip(name.segments());
        words
            .take_while(|(word, segment)| matches!(*word, "*" | "**") || word == segment)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_matched_in_full_and_only_the_pattern_says_where_its_parent_ends() {
        let plain = NamePattern {
            segments: "projects/*/operations/*",
            parent: 2,
            path: None,
        };
        let located = NamePattern {
            segments: "projects/*/locations/*/operations/*",
            parent: 4,
            path: None,
        };
        let nested = NamePattern {
            segments: "projects/*/regions/*/clusters/*/operations/*",
            parent: 6,
            path: None,
        };
        let alone = NamePattern {
            segments: "operations/**",
            parent: 0,
            path: None,
        };
        let singleton = NamePattern {
            segments: "projects/*/locations/*/ragEngineConfig/operations/*",
            parent: 5,
            path: None,
        };
        let bucket = NamePattern {
            segments: "projects/_/buckets/*/operations/*",
            parent: 4,
            path: Some("b/*/operations/*"),
        };
        let express = NamePattern {
            segments: "customJobs/*/operations/*",
            parent: 0,
            path: None,
        };
        // Pattern, name, and what is read of it: parent, location, operation.
        for (pattern, name, read) in [
            (
                &plain,
                "projects/p/operations/o",
                Some(("projects/p", "", "o")),
            ),
            (&plain, "projects/p/locations/l/operations/o", None),
            (&plain, "projects/p/operations/o/o", None),
            (&plain, "operations/p/operations/o", None),
            (
                &located,
                "projects/p/locations/l/operations/o",
                Some(("projects/p/locations/l", "l", "o")),
            ),
            (&located, "projects/p/operations/o", None),
            (&located, "projects/p/regions/l/operations/o", None),
            (
                &nested,
                "projects/p/regions/r1/clusters/c/operations/o",
                Some(("projects/p/regions/r1/clusters/c", "r1", "o")),
            ),
            (
                &singleton,
                "projects/p/locations/l/ragEngineConfig/operations/o",
                Some(("projects/p/locations/l/ragEngineConfig", "l", "o")),
            ),
            (
                &bucket,
                "projects/_/buckets/b/operations/o",
                Some(("projects/_/buckets/b", "", "o")),
            ),
            (&bucket, "projects/p/buckets/b/operations/o", None),
            (&alone, "operations/o", Some(("", "", "o"))),
            // A project or location within an operation's id is ignored.
            (
                &alone,
                "operations/projects/victim/locations/eu/operations/7",
                Some(("", "", "projects/victim/locations/eu/operations/7")),
            ),
            (&alone, "projects/p/operations/o", None),
            (&express, "customJobs/7/operations/o", Some(("", "", "o"))),
        ] {
            let parsed = OperationName::parse(name).unwrap();
            let found = pattern.matches(&parsed).map(|parts| {
                (
                    parts.parent(&parsed).unwrap_or_default(),
                    parts.location(&parsed).unwrap_or_default(),
                    parts.operation(&parsed),
                )
            });
            assert_eq!(found, read, "{name} as {}", pattern.segments);
        }
    }

    #[test]
    fn the_path_of_a_url_may_have_another_form() {
        let bucket = NamePattern {
            segments: "projects/_/buckets/*/operations/*",
            parent: 4,
            path: Some("b/*/operations/*"),
        };
        let in_path = |name: &str| bucket.in_path(&OperationName::parse(name).unwrap());
        let name = "projects/_/buckets/my.bucket/operations/AB~c";
        assert_eq!(
            in_path(name).as_deref(),
            Some("b/my.bucket/operations/AB~c")
        );
        assert_eq!(in_path("projects/p/operations/o"), None);
    }
}
