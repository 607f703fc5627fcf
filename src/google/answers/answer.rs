//! The answer of a Google API to one call, reduced to what a cancellation depends on.
//!
//! Pure data: the client creates it from HTTP, and `lifecycle` decides with it. Every text in it was cut and cleaned (see
//! [`crate::google::clean`]), so it can be stored and shown.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use strum::VariantArray;

/// The result of `GET /{version}/{name}`.
pub type GetAnswer = Result<Operation, CallError>;

/// The result of `POST /{version}/{name}:cancel`. `Ok` means that the request was accepted, not that the operation ended.
pub type CancelAnswer = Result<(), CallError>;

/// An operation in the answer to a GET: a `google.longrunning.Operation`, or one with `status`. Its name is compared but not kept: it may
/// contain the project's number instead of its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// `done`; absent means false (ProtoJSON omits defaults).
    pub done: bool,
    /// The last segment of `metadata.@type`.
    pub metadata_type: Option<String>,
    /// `metadata.state` or `metadata.genericMetadata.state`. It is only shown; no decision depends on it.
    pub metadata_state: Option<String>,
    /// The last segment of `response.@type`. The response itself is never kept.
    pub response_type: Option<String>,
    /// Whether there was a `response`, with or without `@type`.
    pub has_response: bool,
    /// `error`. `None` if it is empty or has code 0.
    pub error: Option<OperationError>,
    /// Whether it is done and the API does not say whether it was completed or cancelled.
    pub result_unknown: bool,
    /// How long it took to read the answer, if it was large (above 1 MiB). The next poll is delayed in proportion.
    pub reading_took: Option<Duration>,
}

/// `Operation.error`: a `google.rpc.Status`. Its code is the google.rpc number, not HTTP's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationError {
    /// The google.rpc code number, never 0.
    pub code: i32,
    /// The code's name, `CANCELLED` for 1; `CODE_<n>` for a number that google.rpc does not know.
    pub status: String,
    /// The server's message.
    pub message: String,
}

/// The error of a call. It does not say which call it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallError {
    /// The kind of error; it decides what happens next.
    pub kind: ErrorKind,
    /// The HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// `reason` of ErrorInfo, such as `SERVICE_DISABLED`.
    pub reason: Option<String>,
    /// `domain` of ErrorInfo, such as `googleapis.com`.
    pub domain: Option<String>,
    /// `metadata` of ErrorInfo, only the keys permission, consumer, service, quota_metric, uid.
    pub metadata: BTreeMap<String, String>,
    /// The server's message, or ours if there was no answer.
    pub message: String,
    /// The request was never sent: there was no connection. So a cancel request did not arrive.
    #[serde(default)]
    pub not_sent: bool,
    /// The delay that the server asks for: the longer of `Retry-After` (seconds or a date) and RetryInfo.
    pub retry_after: Option<Duration>,
}

/// The google.rpc codes (google/rpc/code.proto), and the failures without one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum ErrorKind {
    /// 1
    Cancelled,
    /// 2, and any status name that google.rpc does not know
    Unknown,
    /// 3
    InvalidArgument,
    /// 4
    DeadlineExceeded,
    /// 5
    NotFound,
    /// 6
    AlreadyExists,
    /// 7
    PermissionDenied,
    /// 8
    ResourceExhausted,
    /// 9
    FailedPrecondition,
    /// 10
    Aborted,
    /// 11
    OutOfRange,
    /// 12
    Unimplemented,
    /// 13
    Internal,
    /// 14
    Unavailable,
    /// 15
    DataLoss,
    /// 16
    Unauthenticated,
    /// An unreadable answer: HTML, a redirect, invalid or too long JSON. It says nothing about the operation.
    Unrecognised,
    /// A 404 that is not about the operation: HTML, or JSON without `status` and reason. The endpoint does not serve the path.
    NotServed,
    /// NOT_FOUND with the message `Method not found.`: the endpoint does not have the method for any operation.
    MethodNotFound,
    /// No answer: connection refused or reset, DNS, TLS.
    Network,
    /// No answer within the call's time limit.
    Timeout,
    /// There was no token, so the call was not made.
    Token,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: &'static [Self] = Self::VARIANTS;
}
