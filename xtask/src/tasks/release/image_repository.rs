//! Where an image is published.

use std::fmt;
use std::str::FromStr;

/// A registry and a name in it, without tag and digest.
#[derive(Clone, Debug)]
pub(super) struct ImageRepository(String);

impl fmt::Display for ImageRepository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for ImageRepository {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "registry.example.com/platform/opcancel-controller";
        let wrong = |what: &str| Err(format!("{what}; use for example {example}"));
        if text.contains("://") {
            return wrong("leave out the scheme");
        }
        let Some((host, name)) = text.split_once('/') else {
            return wrong("the registry is missing");
        };
        // Container engines take a first part without these for a part of the name, in a registry of their choice.
        if !host.contains(['.', ':']) && host != "localhost" {
            return wrong("the registry is missing");
        }
        if host.ends_with(".invalid") {
            return wrong("this is the placeholder, not a registry");
        }
        if name.contains([':', '@']) {
            return wrong("leave out the tag and the digest");
        }
        let is_allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        if name.split('/').any(str::is_empty) || !name.chars().all(is_allowed) {
            return wrong("the name may have lower-case letters, digits, `.`, `_`, `-` and `/`");
        }
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if !host.chars().all(is_host) {
            return wrong("the registry may have letters, digits, `.`, `-` and a port");
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_and_a_name_are_required() {
        for good in [
            "registry.example.com/a/b",
            "localhost/a",
            "localhost:5000/a",
            "10.0.0.1:443/a-b",
        ] {
            assert_eq!(good.parse::<ImageRepository>().unwrap().to_string(), good);
        }
        for (bad, said) in [
            ("", "the registry is missing"),
            ("opcancel-controller", "the registry is missing"),
            ("platform/opcancel-controller", "the registry is missing"),
            ("oci://r.example.com/a", "leave out the scheme"),
            ("r.example.com/a:0.1.0", "leave out the tag"),
            (
                "r.example.com/a@sha256:0",
                "leave out the tag and the digest",
            ),
            ("r.example.com/A", "lower-case"),
            ("r.example.com/a/", "lower-case"),
            ("r.example.com/a\n", "lower-case"),
            ("r ex.com/a", "the registry may have"),
            ("your-registry.invalid/a", "the placeholder"),
        ] {
            let error = bad.parse::<ImageRepository>().unwrap_err();
            assert!(error.contains(said), "{bad}: {error}");
        }
    }
}
