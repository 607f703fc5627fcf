//! Answers other than the usual ones: refusals, raw bytes, closed connections, silence. Plain data and the pure rule
//! which request each of them meets.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{call::Call, duration_text, rpc_code::RpcCode};

/// A rule: which requests it meets, and how they are answered. Requests are counted per operation and method, from 1,
/// after the token was checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The method that it meets.
    #[serde(default)]
    pub on: FaultCall,
    /// The first request that it meets, counted from 1.
    #[serde(default = "first")]
    pub from: u64,
    /// How many requests in a row it meets; absent means for ever.
    #[serde(default)]
    pub times: Option<u64>,
    /// Meets only callers whose token belongs to this principal (an e-mail address, as the token's issuer knows it).
    #[serde(default)]
    pub principal: Option<String>,
    /// `true`: the cancel takes effect all the same, only its answer is this one.
    #[serde(default)]
    pub applied: bool,
    /// The answer.
    pub answer: FaultAnswer,
}

fn first() -> u64 {
    1
}

/// Which methods a [`Fault`] meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultCall {
    /// GET only.
    Get,
    /// `:cancel` only.
    Cancel,
    /// Lists only; a fault of the endpoint, for a list has no operation.
    List,
    /// All of them.
    #[default]
    Any,
}

/// What the caller gets instead of the usual answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum FaultAnswer {
    /// Google's JSON error.
    Refuse(Refusal),
    /// Any HTTP answer.
    Raw(RawAnswer),
    /// The connection is closed with no answer.
    Close,
    /// No answer for this long; then the connection is closed.
    #[serde(with = "duration_text")]
    Hang(Duration),
}

/// A Google JSON error with what may come with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refusal {
    /// The code; it decides the HTTP status.
    pub code: RpcCode,
    /// The message; absent means a plain one that names the code.
    #[serde(default)]
    pub message: Option<String>,
    /// A `google.rpc.ErrorInfo`, put before the other details.
    #[serde(default)]
    pub error_info: Option<ErrorInfo>,
    /// A `google.rpc.RetryInfo` with this delay.
    #[serde(default, with = "duration_text::option")]
    pub retry_info: Option<Duration>,
    /// The header `Retry-After`: seconds or an HTTP date, as it is.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// Further details, each an object with `@type`.
    #[serde(default)]
    pub details: Vec<Value>,
}

/// A `google.rpc.ErrorInfo` (google/rpc/error_details.proto).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// An HTTP answer as it is, for what is not Google's JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// The `Content-Length` that is claimed. If it is more than the body has, the connection is closed after the body:
    /// a truncated answer.
    #[serde(default)]
    pub content_length: Option<u64>,
}

impl Fault {
    /// A fault that meets every request of these methods, for ever.
    pub fn new(on: FaultCall, answer: FaultAnswer) -> Self {
        Self {
            on,
            from: 1,
            times: None,
            principal: None,
            applied: false,
            answer,
        }
    }

    /// A refusal with this code of every request of these methods.
    pub fn refuse(on: FaultCall, code: RpcCode) -> Self {
        Self::new(on, FaultAnswer::Refuse(Refusal::new(code)))
    }

    /// The same, but only this many times.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// The same, but starting with the request of this number, counted from 1.
    #[must_use]
    pub fn from(self, from: u64) -> Self {
        Self { from, ..self }
    }

    /// The same, but the cancel takes effect.
    #[must_use]
    pub fn applied(self) -> Self {
        Self {
            applied: true,
            ..self
        }
    }

    /// Whether it meets the `nth` request of this method (from 1) of this caller.
    pub fn meets(&self, call: Call, nth: u64, principal: Option<&str>) -> bool {
        let method = match self.on {
            FaultCall::Any => true,
            FaultCall::Get => call == Call::Get,
            FaultCall::Cancel => call == Call::Cancel,
            FaultCall::List => call == Call::List,
        };
        let counted = nth >= self.from && self.times.is_none_or(|times| nth - self.from < times);
        method && counted && (self.principal.is_none() || self.principal.as_deref() == principal)
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
    fn meets_exactly_the_requests_that_it_names() {
        let fault = Fault::refuse(FaultCall::Cancel, RpcCode::Unavailable)
            .from(2)
            .times(2);
        let met: Vec<u64> = (1..6)
            .filter(|nth| fault.meets(Call::Cancel, *nth, None))
            .collect();
        assert_eq!(met, [2, 3]);
        assert!(!fault.meets(Call::Get, 2, None));
        let for_ever = Fault::refuse(FaultCall::Any, RpcCode::Unavailable);
        assert!(for_ever.meets(Call::Get, u64::MAX, None));
    }

    #[test]
    fn a_principal_restricts_it() {
        let fault = Fault {
            principal: Some("a@x".into()),
            ..Fault::refuse(FaultCall::Any, RpcCode::PermissionDenied)
        };
        assert!(fault.meets(Call::Get, 1, Some("a@x")));
        assert!(!fault.meets(Call::Get, 1, Some("b@x")));
        assert!(!fault.meets(Call::Get, 1, None));
    }

    #[test]
    fn writes_durations_as_protojson_does() {
        for (millis, text) in [(0, "0s"), (1500, "1.500s"), (2000, "2s"), (1, "0.001s")] {
            assert_eq!(proto_duration(Duration::from_millis(millis)), text);
        }
    }
}
