//! The keys and values that Kubernetes accepts in labels: as rules of the CRD, and as functions. A test compares the two.

use super::object_name::is_object_name;

/// The longest value of a label, in bytes.
pub const LONGEST_VALUE: usize = 63;

/// The longest name in a key, in bytes.
const LONGEST_NAME: usize = 63;

/// The longest prefix of a key, in bytes.
const LONGEST_PREFIX: usize = 253;

/// A key: a name, perhaps with a prefix that is a DNS name.
pub const KEY: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";

/// A key whose prefix is too long.
pub const LONG_PREFIX: &str = "^[^/]{254}";

/// A value, which may be empty.
pub const VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";

/// What a key must be.
pub const EXPECTED_KEY: &str = "expected the key of a label, such as team or example.com/team: at most 63 letters, digits, - _ and . after an optional DNS name and a slash; it begins and ends with a letter or digit";

/// What a value must be.
pub const EXPECTED_VALUE: &str = "expected the value of a label: at most 63 letters, digits, - _ and .; it begins and ends with a letter or digit; globs are not supported";

/// A rule of the CRD for a part of a selector.
#[derive(Debug)]
pub struct SelectorRule {
    /// The place in the schema of the selector's fields.
    pub pointer: &'static str,
    /// The rule, in CEL.
    pub rule: String,
    /// What is said of a part that does not match. The API server names its place.
    pub message: &'static str,
}

/// The rules for keys and values.
pub fn selector_rules() -> [SelectorRule; 4] {
    let key = |key: &str| format!("{key}.matches(r'{KEY}') && !{key}.matches(r'{LONG_PREFIX}')");
    let value = |value: &str| format!("{value}.matches(r'{VALUE}')");
    [
        SelectorRule {
            pointer: "matchLabels",
            rule: format!("self.all(key, {})", key("key")),
            message: EXPECTED_KEY,
        },
        SelectorRule {
            pointer: "matchLabels/additionalProperties",
            rule: value("self"),
            message: EXPECTED_VALUE,
        },
        SelectorRule {
            pointer: "matchExpressions/items/properties/key",
            rule: key("self"),
            message: EXPECTED_KEY,
        },
        SelectorRule {
            pointer: "matchExpressions/items/properties/values/items",
            rule: value("self"),
            message: EXPECTED_VALUE,
        },
    ]
}

/// Whether a label may have this key.
pub fn is_key(key: &str) -> bool {
    let name = match key.split_once('/') {
        Some((prefix, name)) => {
            if prefix.len() > LONGEST_PREFIX || !is_object_name(prefix) {
                return false;
            }
            name
        }
        None => key,
    };
    !name.is_empty() && name.len() <= LONGEST_NAME && is_name_or_empty(name)
}

/// Whether a label may have this value.
pub fn is_value(value: &str) -> bool {
    value.len() <= LONGEST_VALUE && is_name_or_empty(value)
}

fn is_name_or_empty(text: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    is_end(bytes.first())
        && is_end(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    /// The CRD limits the lengths of keys in expressions and of values by `maxLength`; the regular expression of a key does the rest.
    fn rules_accept(text: &str) -> (bool, bool) {
        let matches = |pattern: &str| Regex::new(pattern).unwrap().is_match(text);
        (
            matches(KEY) && !matches(LONG_PREFIX),
            matches(VALUE) && text.len() <= LONGEST_VALUE,
        )
    }

    #[test]
    fn the_limits_are_those_of_kubernetes() {
        let (name, prefix) = ("n".repeat(63), format!("{}.b", "a".repeat(251)));
        for (key, valid) in [
            ("team", true),
            ("kubernetes.io/metadata.name", true),
            ("a/B_c.d-e", true),
            (&name, true),
            (&format!("{name}n"), false),
            (&format!("{prefix}/{name}"), true),
            (&format!("a{prefix}/n"), false),
            ("", false),
            ("/a", false),
            ("a/", false),
            ("a/b/c", false),
            ("-a", false),
            ("a.", false),
            ("A/b", false),
            ("a..b/c", false),
            ("a b", false),
            ("é", false),
            ("*", false),
        ] {
            assert_eq!((is_key(key), rules_accept(key).0), (valid, valid), "{key}");
        }
        for (value, valid) in [
            ("", true),
            ("prod", true),
            ("A_b.c-D", true),
            (&name, true),
            (&format!("{name}n"), false),
            ("a/b", false),
            ("-a", false),
            ("a-", false),
            ("team-*", false),
            ("a\n", false),
        ] {
            let found = (is_value(value), rules_accept(value).1);
            assert_eq!(found, (valid, valid), "{value}");
        }
    }

    proptest! {
        #[test]
        fn the_functions_accept_what_the_rules_accept(text in "[a-cA-C0-2./_*\u{e9}\n-]{0,8}") {
            prop_assert_eq!((is_key(&text), is_value(&text)), rules_accept(&text));
        }
    }
}
