//! What the three records say: etcd of the stored versions, the emulator of the calls and of the operations, and the API server's
//! audit log of the writes.

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// One stored version of an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Version {
    /// Its `resourceVersion`.
    pub(super) revision: u64,
    pub(super) uid: String,
    /// `NAMESPACE/NAME`
    pub(super) object: String,
    pub(super) operation: String,
    /// `spec.deadlineSeconds`
    pub(super) deadline: i64,
    pub(super) suspended: bool,
    /// `status.cancelAttempts`; 0 if absent.
    pub(super) attempts: i64,
    pub(super) outcome: Option<String>,
    pub(super) observed_generation: Option<i64>,
    pub(super) start: Option<Timestamp>,
    pub(super) completion: Option<Timestamp>,
    pub(super) has_finalizers: bool,
    pub(super) status: Value,
}

impl Version {
    /// Reads a stored OperationCancellation.
    pub(super) fn read(revision: u64, object: &Value) -> Result<Self> {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str);
        let number = |path: &str| object.pointer(path).and_then(Value::as_i64);
        let time = |path: &str| text(path).map(str::parse).transpose();
        let needed = |path: &str| text(path).with_context(|| format!("no {path} in {object}"));
        let finalizers = object.pointer("/metadata/finalizers");
        Ok(Self {
            revision,
            uid: needed("/metadata/uid")?.to_owned(),
            object: format!(
                "{}/{}",
                needed("/metadata/namespace")?,
                needed("/metadata/name")?
            ),
            operation: needed("/spec/operationName")?.to_owned(),
            deadline: number("/spec/deadlineSeconds").unwrap_or(86_400),
            suspended: object.pointer("/spec/suspend") == Some(&Value::Bool(true)),
            attempts: number("/status/cancelAttempts").unwrap_or(0),
            outcome: text("/status/outcome").map(str::to_owned),
            observed_generation: number("/status/observedGeneration"),
            start: time("/status/startTime")?,
            completion: time("/status/completionTime")?,
            has_finalizers: finalizers
                .and_then(Value::as_array)
                .is_some_and(|all| !all.is_empty()),
            status: object.get("status").cloned().unwrap_or_default(),
        })
    }
}

/// A method of the Operations API.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) enum Method {
    Get,
    Cancel,
    List,
}

/// What the emulator answered.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) enum Answer {
    /// Nothing yet.
    Pending,
    /// This HTTP status.
    Status(u16),
    /// The emulator closed the connection.
    Closed,
    /// The client went away.
    Abandoned,
}

/// A call that the emulator received.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// Its number in the emulator's record.
    pub(super) sequence: u64,
    /// The uid of the object that it was made for.
    pub(super) uid: String,
    pub(super) operation: String,
    pub(super) method: Method,
    pub(super) received: Timestamp,
    pub(super) answer: Answer,
}

/// A request in the emulator's record.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    sequence: u64,
    received: Timestamp,
    operation: Option<String>,
    call: Option<Method>,
    request_reason: Option<String>,
    answer: Answer,
}

/// The answer to `GET /admin/requests`.
#[derive(Deserialize)]
struct Requests {
    requests: Vec<Request>,
    next: u64,
}

/// Reads a part of the emulator's record: the calls about operations, and the number of the next request.
pub(super) fn calls(text: &str) -> Result<(Vec<Call>, u64)> {
    let read: Requests = serde_json::from_str(text).context("the emulator's record")?;
    let calls = read.requests.into_iter().filter_map(|request| {
        // `opcancel CLUSTER NAMESPACE/NAME UID`
        let reason = request.request_reason.unwrap_or_default();
        Some(Call {
            sequence: request.sequence,
            uid: reason.rsplit(' ').next().unwrap_or_default().to_owned(),
            operation: request.operation?,
            method: request.call?,
            received: request.received,
            answer: request.answer,
        })
    });
    Ok((calls.collect(), read.next))
}

/// What really became of an operation.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Truth {
    pub(super) name: String,
    /// `absent`, `running`, `cancelling`, `cancelled` or `ended`.
    pub(super) phase: String,
    /// `completed: TYPE`, or the code and message of the error.
    pub(super) result: Option<String>,
    pub(super) ended_at: Option<Timestamp>,
}

/// The answer to `GET /admin/operations`.
#[derive(Deserialize)]
struct Operations {
    operations: Vec<Truth>,
}

/// Reads what the emulator says of all operations.
pub(super) fn truths(text: &str) -> Result<Vec<Truth>> {
    let read: Operations = serde_json::from_str(text).context("the emulator's operations")?;
    Ok(read.operations)
}
