//! What a Google API answered to one call, reduced to what the life of a cancellation depends on.
//!
//! Pure data: the client makes it from HTTP, `lifecycle` decides with it. Every text in here was cut and cleaned
//! (see [`crate::google::clean`]) before it got here, so it may be stored and shown as it is.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use strum::VariantArray;

/// What `GET /{version}/{name}` told.
pub type GetAnswer = Result<Operation, CallError>;

/// What `POST /{version}/{name}:cancel` told. `Ok` means accepted, never that the operation ended.
pub type CancelAnswer = Result<(), CallError>;

/// A `google.longrunning.Operation` as one GET showed it. Its name is compared and not kept: it may carry the project's number
/// where ours has the id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// `done` as a JSON boolean; absent means false (ProtoJSON leaves defaults out).
    pub done: bool,
    /// The last segment of `metadata.@type`.
    pub metadata_type: Option<String>,
    /// `metadata.state` or `metadata.genericMetadata.state`, shown and never judged by.
    pub metadata_state: Option<String>,
    /// The last segment of `response.@type`; the response itself is never kept.
    pub response_type: Option<String>,
    /// Whether a `response` was there at all, with or without `@type`.
    pub has_response: bool,
    /// `error`, unless it is empty or has code 0: both mean "no error".
    pub error: Option<OperationError>,
    /// How long reading the answer took, if it was large (above 1 MiB): whoever asks again for as much waits in proportion.
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

/// A call that brought no result. It says which call's error it is by where it stands, not by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallError {
    /// What kind of failure it is; decides what happens next.
    pub kind: ErrorKind,
    /// The HTTP status, if an answer came at all.
    pub http_status: Option<u16>,
    /// `reason` of ErrorInfo, such as `SERVICE_DISABLED`.
    pub reason: Option<String>,
    /// `domain` of ErrorInfo, such as `googleapis.com`.
    pub domain: Option<String>,
    /// `metadata` of ErrorInfo, only the keys permission, consumer, service, quota_metric, uid.
    pub metadata: BTreeMap<String, String>,
    /// The server's message, or ours for a failure without an answer.
    pub message: String,
    /// The request never left: it failed before a connection stood. A cancel request did not arrive then.
    #[serde(default)]
    pub not_sent: bool,
    /// How long the server asks to wait: the longer of `Retry-After` (seconds or a date) and RetryInfo.
    pub retry_after: Option<Duration>,
}

/// The google.rpc codes, and what is not one of Google's answers. Names and numbers: google/rpc/code.proto.
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
    /// An answer of the endpoint that nobody can read: HTML, a redirect, broken or oversized JSON.
    /// It says nothing about the operation.
    Unrecognised,
    /// A 404 that is not Google's word on the operation: HTML, or JSON without `status` and reason. The endpoint does not serve
    /// the path.
    NotServed,
    /// NOT_FOUND with the message `Method not found.`: the endpoint does not know the method, whatever the operation.
    MethodNotFound,
    /// No answer: connection refused or reset, DNS, TLS.
    Network,
    /// No answer within the call's time limit.
    Timeout,
    /// No token could be had; the call was not made.
    Token,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: &'static [Self] = Self::VARIANTS;
}
