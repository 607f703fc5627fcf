//! Answers other than the usual ones: refusals, raw bytes, slow and broken ones, closed connections, silence. Plain data.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    duration_text::{self, DurationSchema},
    protocol::rpc_code::RpcCode,
};

/// The answer instead of the usual one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum FaultAnswer {
    /// Google's JSON error.
    Refuse(Refusal),
    /// Any HTTP answer.
    Raw(RawAnswer),
    /// Closes the connection without an answer.
    Close,
    /// Waits this long, then closes the connection without an answer.
    #[serde(with = "duration_text")]
    #[schemars(with = "DurationSchema")]
    Hang(Duration),
    /// A TCP reset of the connection, with all streams on it.
    Reset,
    /// Keeps the connection open, but reads and writes nothing from now on; not even a PING is answered.
    BlackHole,
    /// HTTP/2's REFUSED_STREAM, which means that the request was not processed. Closes an HTTP/1.1 connection.
    RefusedStream,
    /// HTTP/2's GOAWAY, after which the connection closes. Only closes an HTTP/1.1 connection.
    GoAway(GoAway),
    /// The usual effect and answer, with this delay before the answer.
    #[serde(with = "duration_text")]
    #[schemars(with = "DurationSchema")]
    Late(Duration),
    /// The usual answer, a few bytes at a time.
    Drip(Drip),
    /// The usual answer with a truncated body.
    Truncated(Truncated),
    /// A finished operation with a deeply nested response.
    Deep(Deep),
}

/// A GOAWAY. Its last stream is 0 (the request may be sent again), or with `applied` the highest possible one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GoAway {
    /// The error code of HTTP/2; 0 is NO_ERROR.
    pub code: u32,
}

/// A slow body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drip {
    /// How many bytes at a time.
    #[serde(default = "one_byte")]
    pub bytes: usize,
    /// The pause in between.
    #[serde(with = "duration_text")]
    #[schemars(with = "DurationSchema")]
    pub every: Duration,
}

fn one_byte() -> usize {
    1
}

/// A truncated body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Truncated {
    /// The number of bytes that are sent.
    pub after: u64,
}

/// Deepest nesting of objects.
pub(crate) const DEEPEST: usize = 1_000_000;

/// A deeply nested body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deep {
    /// Depth of the nested objects; at most a million, which is six megabytes.
    #[schemars(range(max = DEEPEST))]
    pub depth: usize,
}

/// A Google JSON error, with its details and headers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refusal {
    /// The code; it decides the HTTP status.
    pub code: RpcCode,
    /// The message. If absent, one that names the code.
    #[serde(default)]
    pub message: Option<String>,
    /// A `google.rpc.ErrorInfo`, put before the other details.
    #[serde(default)]
    pub error_info: Option<ErrorInfo>,
    /// A `google.rpc.RetryInfo` with this delay.
    #[serde(default, with = "duration_text::option")]
    #[schemars(with = "Option<DurationSchema>")]
    pub retry_info: Option<Duration>,
    /// The header `Retry-After`, unchanged: seconds or an HTTP date.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// More details, each an object with `@type`.
    #[serde(default)]
    pub details: Vec<Value>,
}

/// A `google.rpc.ErrorInfo` (google/rpc/error_details.proto).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorInfo {
    /// Such as `SERVICE_DISABLED`.
    pub reason: String,
    /// Such as `googleapis.com`.
    #[serde(default = "googleapis")]
    pub domain: String,
    /// Such as `consumer`, `service`, `quota_metric`.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

fn googleapis() -> String {
    "googleapis.com".into()
}

/// Any HTTP answer, for what is not Google's JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The headers; `content-length` has a field of its own.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default)]
    pub body: String,
    /// The body is repeated until it has this many bytes, for oversized answers.
    #[serde(default)]
    pub body_bytes: Option<usize>,
    /// The `Content-Length` of the answer. If it is greater than the length of the body, the connection closes after the
    /// body: a truncated answer.
    #[serde(default)]
    pub content_length: Option<u64>,
}

impl RawAnswer {
    /// This status and body, with no header of its own and the body's own length.
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: BTreeMap::new(),
            body: body.into(),
            body_bytes: None,
            content_length: None,
        }
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl Refusal {
    /// A refusal with a plain message and no details.
    pub fn new(code: RpcCode) -> Self {
        Self {
            code,
            message: None,
            error_info: None,
            retry_info: None,
            retry_after: None,
            details: Vec::new(),
        }
    }

    /// All details as they stand in the error: ErrorInfo, RetryInfo, then the others.
    pub fn all_details(&self) -> Vec<Value> {
        let mut details = Vec::new();
        if let Some(info) = &self.error_info {
            details.push(serde_json::json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": info.reason, "domain": info.domain, "metadata": info.metadata,
            }));
        }
        if let Some(delay) = self.retry_info {
            let mut detail = Map::new();
            detail.insert(
                "@type".into(),
                "type.googleapis.com/google.rpc.RetryInfo".into(),
            );
            detail.insert("retryDelay".into(), proto_duration(delay).into());
            details.push(Value::Object(detail));
        }
        details.extend(self.details.iter().cloned());
        details
    }
}

/// ProtoJSON's form of a duration, `1.500s`: none, three, six or nine decimals.
fn proto_duration(duration: Duration) -> String {
    match duration.subsec_micros() {
        0 => format!("{}s", duration.as_secs()),
        micros if micros % 1000 == 0 => format!("{}.{:03}s", duration.as_secs(), micros / 1000),
        micros => format!("{}.{micros:06}s", duration.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_durations_as_protojson_does() {
        for (millis, text) in [(0, "0s"), (1500, "1.500s"), (2000, "2s"), (1, "0.001s")] {
            assert_eq!(proto_duration(Duration::from_millis(millis)), text);
        }
    }
}
