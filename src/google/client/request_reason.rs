//! The `X-Goog-Request-Reason` header, which Google's audit log stores.

use http::HeaderValue;

/// The object for which a call is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestReason {
    text: String,
    namespace: String,
}

impl RequestReason {
    /// `opcancel CLUSTER NAMESPACE/NAME UID`. An empty cluster becomes `-`. Characters that would break the header or its
    /// words (spaces, control characters, non-ASCII) become `_`.
    pub fn new(cluster: &str, namespace: &str, name: &str, uid: &str) -> Self {
        let cluster = if cluster.is_empty() { "-" } else { cluster };
        let namespace = word(namespace);
        Self {
            text: format!(
                "opcancel {} {namespace}/{} {}",
                word(cluster),
                word(name),
                word(uid)
            ),
            namespace,
        }
    }

    /// The header's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The tenant whose limits the call counts against.
    pub(super) fn tenant(&self) -> &str {
        &self.namespace
    }

    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::try_from(self.text.as_str())
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
