//! Forms of names with wildcards: `*` for one segment, and `**` at the end for one segment or more.

use anyhow::{Result, bail};

/// The collections of operations.
const OPERATION_COLLECTIONS: [&str; 2] = ["operations", "transferOperations"];

/// The collections whose resources a CancellationGrant can name as a parent.
const GRANTED_COLLECTIONS: [&str; 4] = ["projects", "organizations", "folders", "billingAccounts"];

/// The form that a discovery document writes as a regular expression, such as `^projects/[^/]+/operations/[^/]+$`.
///
/// # Errors
/// If the expression has anything but words and the two wildcards.
pub(super) fn from_pattern(pattern: &str) -> Result<String> {
    let inner = pattern
        .strip_prefix('^')
        .and_then(|rest| rest.strip_suffix('$'));
    let glob = inner.map(|inner| inner.replace("[^/]+", "*").replace(".*", "**"));
    match glob {
        Some(glob) if is_glob(&glob) => Ok(glob),
        _ => bail!("the pattern {pattern} has a form that names cannot have here"),
    }
}

/// Whether it consists of words and wildcards, with `**` only at the end.
fn is_glob(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    let segments: Vec<_> = text.split('/').collect();
    let last = segments.len() - 1;
    segments
        .iter()
        .enumerate()
        .all(|(at, segment)| *segment == "*" || *segment == "**" && at == last || is_word(segment))
}

/// Whether each name of the form `inner` has the form `outer` too.
pub(super) fn covers(outer: &str, inner: &str) -> bool {
    let mut inner = inner.split('/');
    for wanted in outer.split('/') {
        if wanted == "**" {
            return inner.next().is_some();
        }
        match inner.next() {
            Some("**") | None => return false,
            Some(given) if wanted == "*" || wanted == given => {}
            Some(_) => return false,
        }
    }
    inner.next().is_none()
}

/// The number of segments of the parent: those before the collection of operations, or 0 if no grant can name such a parent.
///
/// # Errors
/// If the form does not end with operations.
pub(super) fn parent_length(glob: &str) -> Result<usize> {
    let segments: Vec<_> = glob.split('/').collect();
    let at = segments
        .iter()
        .position(|segment| OPERATION_COLLECTIONS.contains(segment));
    let Some(at) = at.filter(|at| at + 1 < segments.len()) else {
        bail!("names of the form {glob} do not end with operations");
    };
    let is_granted = segments
        .first()
        .is_some_and(|first| GRANTED_COLLECTIONS.contains(first));
    Ok(if is_granted { at } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_words_and_wildcards_are_read() {
        for (pattern, glob) in [
            (
                "^projects/[^/]+/operations/[^/]+$",
                Some("projects/*/operations/*"),
            ),
            ("^operations/.*$", Some("operations/**")),
            (
                "^projects/[^/]+/locations/global/operations/[^/]+$",
                Some("projects/*/locations/global/operations/*"),
            ),
            ("projects/[^/]+$", None),
            ("^.*/operations/[^/]+$", None),
            ("^projects/[a-z]+$", None),
            ("^$", None),
        ] {
            assert_eq!(from_pattern(pattern).ok().as_deref(), glob, "{pattern}");
        }
    }

    #[test]
    fn a_wider_form_covers_a_narrower_one() {
        for (outer, inner, covered) in [
            ("operations/**", "operations/*", true),
            ("operations/*", "operations/**", false),
            ("operations/**", "operations/a/*", true),
            ("operations/**", "operations", false),
            ("*/*/locations/*", "projects/*/locations/*", true),
            ("projects/*/locations/*", "*/*/locations/*", false),
            ("projects/*", "projects/*/locations/*", false),
            ("projects/*/a", "projects/*", false),
        ] {
            assert_eq!(covers(outer, inner), covered, "{outer} {inner}");
        }
    }

    #[test]
    fn only_what_a_grant_can_name_is_a_parent() {
        for (glob, length) in [
            ("projects/*/operations/*", Some(2)),
            (
                "projects/*/locations/*/ragEngineConfig/operations/*",
                Some(5),
            ),
            ("projects/_/buckets/*/operations/*", Some(4)),
            ("organizations/*/locations/*/operations/*", Some(4)),
            ("customJobs/*/operations/*", Some(0)),
            ("operations/projects/*/locations/*/operations/*", Some(0)),
            ("transferOperations/**", Some(0)),
            ("batches/*", None),
            ("projects/*/operations", None),
        ] {
            assert_eq!(parent_length(glob).ok(), length, "{glob}");
        }
    }
}
