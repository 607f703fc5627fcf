//! Who asks: the `X-Goog-Request-Reason` header, which Google's audit log keeps.

use http::HeaderValue;

/// The object on whose behalf a call is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestReason(String);

impl RequestReason {
    /// `opcancel CLUSTER NAMESPACE/NAME UID`. An empty cluster becomes `-`; whatever would break the header or move its
    /// words (spaces, control characters, anything outside ASCII) becomes `_`.
    pub fn new(cluster: &str, namespace: &str, name: &str, uid: &str) -> Self {
        let cluster = if cluster.is_empty() { "-" } else { cluster };
        Self(format!(
            "opcancel {} {}/{} {}",
            word(cluster),
            word(namespace),
            word(name),
            word(uid)
        ))
    }

    /// The header's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::try_from(self.0.as_str())
            .unwrap_or_else(|_| HeaderValue::from_static("opcancel"))
    }
}

fn word(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_stay_in_their_places() {
        for (cluster, text) in [
            ("", "opcancel - ns/stop 1-2"),
            ("prod-1", "opcancel prod-1 ns/stop 1-2"),
            ("my cluster\n", "opcancel my_cluster_ ns/stop 1-2"),
            ("Köln", "opcancel K_ln ns/stop 1-2"),
        ] {
            let reason = RequestReason::new(cluster, "ns", "stop", "1-2");
            assert_eq!(reason.as_str(), text);
            assert_eq!(reason.header().to_str().unwrap(), text);
        }
    }
}
