//! The universe of Google Cloud: the domain that all hosts of Google's APIs have. It is `googleapis.com`, except in clouds that Google
//! builds for a country or a partner.
//!
//! Source of the rules: AIP-4120, and the client libraries of Google's.

use std::{fmt, str::FromStr};

/// The universe of all credentials and hosts that name none.
const DEFAULT: &str = "googleapis.com";

/// The longest domain: a host is at most 253 bytes long, and a label of 63 bytes and a dot stand before it.
const LONGEST: usize = 253 - 64;

/// The value of `--universe-domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniverseDomain(String);

/// `--universe-domain` is no domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a domain in lower case, without https:// and without a host before it, such as googleapis.com"
)]
pub struct InvalidUniverseDomain;

impl Default for UniverseDomain {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

impl FromStr for UniverseDomain {
    type Err = InvalidUniverseDomain;

    fn from_str(text: &str) -> Result<Self, InvalidUniverseDomain> {
        let labels: Vec<_> = text.split('.').collect();
        // The last label of an IPv4 address is a number.
        let is_name = labels
            .last()
            .is_some_and(|last| last.starts_with(|first: char| first.is_ascii_lowercase()));
        let good = text.len() <= LONGEST && labels.len() > 1 && is_name;
        if good && labels.into_iter().all(is_label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidUniverseDomain)
        }
    }
}

impl fmt::Display for UniverseDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl UniverseDomain {
    /// Whether it is `googleapis.com`.
    pub fn is_default(&self) -> bool {
        self.0 == DEFAULT
    }

    /// The host of this universe for a host of `googleapis.com`.
    pub fn host(&self, googles: String) -> String {
        if self.is_default() {
            return googles;
        }
        match googles.strip_suffix(DEFAULT) {
            Some(before) => format!("{before}{self}"),
            None => googles,
        }
    }

    /// Refuses credentials of another universe. `found` is what they say; nothing means the default.
    ///
    /// # Errors
    /// With both universes, and the flag.
    pub(super) fn check(&self, found: Option<&str>) -> Result<(), String> {
        let found = found.filter(|found| !found.is_empty()).unwrap_or(DEFAULT);
        if found == self.0 {
            return Ok(());
        }
        Err(format!(
            "{found}, but --universe-domain is {self}; use credentials of {self}, or set --universe-domain={found}"
        ))
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_domains_are_universes() {
        for good in [
            "googleapis.com",
            "apis-tpczero.goog",
            "a.b",
            "x1.example-2.com",
        ] {
            assert_eq!(good.parse::<UniverseDomain>().unwrap().to_string(), good);
        }
        let long = format!("{}.com", "a.".repeat(100));
        for bad in [
            "",
            "googleapis",
            "localhost",
            ".googleapis.com",
            "googleapis.com.",
            "a..b",
            "Googleapis.com",
            "https://googleapis.com",
            "googleapis.com/",
            "googleapis.com:443",
            "user@googleapis.com",
            "*.com",
            "{location}.com",
            "a b.com",
            " googleapis.com",
            "googleapis.com\n",
            "-a.com",
            "a-.com",
            "127.0.0.1",
            "1.2.3.0x4",
            "[::1]",
            "münchen.example",
            "a_b.example",
            &long,
        ] {
            assert_eq!(
                bad.parse::<UniverseDomain>(),
                Err(InvalidUniverseDomain),
                "{bad}"
            );
        }
    }

    #[test]
    fn hosts_change_their_domain_and_nothing_else() {
        let other: UniverseDomain = "apis-tpczero.goog".parse().unwrap();
        for (host, in_other) in [
            ("spanner.googleapis.com", "spanner.apis-tpczero.goog"),
            (
                "eu-dialogflow.googleapis.com",
                "eu-dialogflow.apis-tpczero.goog",
            ),
            (
                "aiplatform.eu.rep.googleapis.com",
                "aiplatform.eu.rep.apis-tpczero.goog",
            ),
        ] {
            assert_eq!(UniverseDomain::default().host(host.to_owned()), host);
            assert_eq!(other.host(host.to_owned()), in_other);
        }
    }

    #[test]
    fn credentials_without_a_universe_are_googles() {
        let (googles, other) = (
            UniverseDomain::default(),
            "x.goog".parse::<UniverseDomain>().unwrap(),
        );
        for (universe, found, same) in [
            (&googles, None, true),
            (&googles, Some(""), true),
            (&googles, Some("googleapis.com"), true),
            (&googles, Some("x.goog"), false),
            (&other, Some("x.goog"), true),
            (&other, None, false),
            (&other, Some(""), false),
            (&other, Some("googleapis.com"), false),
        ] {
            assert_eq!(universe.check(found).is_ok(), same, "{universe} {found:?}");
        }
        assert_eq!(
            googles.check(Some("x.goog")).unwrap_err(),
            "x.goog, but --universe-domain is googleapis.com; use credentials of googleapis.com, or set --universe-domain=x.goog"
        );
    }
}
