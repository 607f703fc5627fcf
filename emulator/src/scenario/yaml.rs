//! Reads values from YAML, of which JSON is a part.

use crate::scenario::error::ScenarioError;

/// Reads one value from YAML, of which JSON is a part; an empty document counts as an empty object.
pub(crate) fn parse_yaml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, ScenarioError> {
    let only_comments = text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    let text = if only_comments { "{}" } else { text };
    let mut path = String::new();
    let read = serde_saphyr::with_deserializer_from_str(text, |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            path = error.path().to_string();
            error.into_inner()
        })
    });
    read.map_err(|error| ScenarioError::Shape(readable(&path, &error.to_string())))
}

/// The reader's message with the path of the field, and with its jargon replaced.
fn readable(path: &str, error: &str) -> String {
    let mut text = error.to_owned();
    for (theirs, ours) in [
        ("error: ", ""),
        ("expected mapping start", "expected an object, such as {}"),
        ("expected sequence start", "expected a list, such as []"),
        (", set DuplicateKeyPolicy in Options if acceptable", ""),
        ("invalid u64", "expected a whole number, 0 or more"),
        ("invalid u16", "expected a whole number from 0 to 65535"),
        ("invalid boolean", "expected true or false"),
    ] {
        text = text.replace(theirs, ours);
    }
    // The path is empty at the top level, and ends in `?` or `.` for an unknown field.
    match path.trim_end_matches('?').trim_end_matches('.') {
        "" => text,
        path => format!("{path}: {text}"),
    }
}
