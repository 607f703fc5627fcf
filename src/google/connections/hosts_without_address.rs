//! The hosts that DNS recently did not know. Objects can make up locations, and each is looked up only once in a while. An endpoint
//! that has answered before is looked up at every call.

use std::{collections::HashMap, io, time::Duration};
use tokio::time::Instant;

/// How long a host is remembered. Its name may be added at any time, or DNS may have failed.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Maximum number of hosts. If it is reached, expired hosts are removed, or else the one that expires next.
const MOST: usize = 4096;

/// The hosts, each with the time until which it counts as a host without an address.
#[derive(Debug, Default)]
pub(super) struct HostsWithoutAddress(HashMap<String, Instant>);

impl HostsWithoutAddress {
    /// Records that a host has no address.
    pub fn note(&mut self, host: &str, now: Instant) {
        if self.0.len() >= MOST && !self.0.contains_key(host) {
            self.0.retain(|_, until| *until > now);
            if self.0.len() >= MOST
                && let Some(next) = self.0.iter().min_by_key(|(_, until)| **until)
            {
                let next = next.0.clone();
                self.0.remove(&next);
            }
        }
        self.0.insert(host.to_owned(), now + REMEMBERED);
    }

    /// Whether a host recently had no address.
    pub fn contains(&self, host: &str, now: Instant) -> bool {
        self.0.get(host).is_some_and(|until| *until > now)
    }
}

/// DNS returned no address for a host.
#[derive(Debug, thiserror::Error)]
#[error("no address: {why}")]
pub(in crate::google) struct NoAddress {
    is_definite: bool,
    why: io::Error,
}

impl NoAddress {
    pub fn new(why: io::Error) -> Self {
        // The system's resolver says only in its text what it means: first glibc's texts, then musl's.
        let passing = ["Temporary failure", "Try again", "System error"];
        let text = why.to_string();
        Self {
            is_definite: why.raw_os_error().is_none()
                && text.contains("address information")
                && !passing.iter().any(|passing| text.contains(passing)),
            why,
        }
    }

    /// Whether the host has no address; false if the resolver could not find out.
    pub const fn is_definite(&self) -> bool {
        self.is_definite
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_forgotten_after_a_while() {
        let (mut hosts, now) = (HostsWithoutAddress::default(), Instant::now());
        hosts.note("a", now);
        assert!(hosts.contains("a", now) && !hosts.contains("b", now));
        assert!(!hosts.contains("a", now + REMEMBERED));
    }

    #[test]
    fn they_are_bounded() {
        let (mut hosts, now) = (HostsWithoutAddress::default(), Instant::now());
        for n in 0..MOST + 10 {
            let later = now + Duration::from_millis(u64::try_from(n).unwrap());
            hosts.note(&n.to_string(), later);
        }
        assert_eq!(hosts.0.len(), MOST);
        assert!(!hosts.contains("9", now) && hosts.contains("10", now));
        hosts.note("new", now + 2 * REMEMBERED);
        assert_eq!(
            hosts.0.len(),
            1,
            "those that are remembered no longer go first"
        );
    }

    #[test]
    fn what_the_resolver_says() {
        let other = |text: &str| NoAddress::new(io::Error::other(text.to_owned())).is_definite;
        for (text, is_definite) in [
            ("Name or service not known", true),
            ("No address associated with hostname", true),
            ("Name does not resolve", true),
            ("Name has no usable address", true),
            ("Temporary failure in name resolution", false),
            ("Try again", false),
            ("System error", false),
        ] {
            let text = format!("failed to lookup address information: {text}");
            assert_eq!(other(&text), is_definite, "{text}");
        }
        assert!(!other("anything else"));
        assert!(!NoAddress::new(io::Error::from_raw_os_error(24)).is_definite);
    }
}
