//! The meaning of every kind of error, in one table for GET and cancel.
//!
//! A new kind of error is a row here and a variant of [`ErrorKind`]. `lifecycle` decides what follows from a class: the delay, the next
//! call, the outcome.
//!
//! Sources: google/rpc/code.proto for names and numbers; AIP-193 for the meaning of errors; AIP-194 for what is retried; the
//! discovery documents and client libraries of older APIs for the reasons of older APIs.

use super::answer::ErrorKind;
use crate::api::{Call, Reason};

/// How to react to an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It may be temporary. The call is retried with full jitter. A cancel request may have arrived.
    Retry,
    /// The identity lacks a right. A person must grant it, and a grant takes minutes to work. Retried after 30 s to 5 min.
    Denied,
    /// The token is not accepted. Retried at once with a new token, then as [`Class::Denied`].
    Unauthenticated,
    /// There was no token, so the call was not made. Retried as [`Class::Retry`]. A cancel request did not arrive.
    NoToken,
    /// A quota is exhausted. All calls that use it wait.
    Quota,
    /// The API refuses to cancel this operation now. The controller keeps polling and asks again after 30 s, 5 min and 30 min.
    Refused,
    /// The API does not know the operation. For a cancel the next GET decides.
    Gone,
    /// The endpoint does not serve this path. It says nothing about the operation.
    NotServed,
    /// The API does not offer this method for the operation.
    NotOffered,
    /// The API never supports this for the operation.
    Impossible,
    /// The API rejects the request as invalid. It is the end only if GET and cancel both say so.
    Invalid,
    /// The answer is unreadable and says nothing about the operation. A cancel request may have arrived.
    Unreadable,
}

impl Class {
    /// Whether a person must act if the error persists. Then the object becomes `Stalled` after a while.
    pub const fn stalls(self) -> bool {
        matches!(
            self,
            Self::Denied
                | Self::Unauthenticated
                | Self::NoToken
                | Self::NotServed
                | Self::NotOffered
                | Self::Unreadable
        )
    }

    /// Whether a cancel request that failed like this may still have been executed.
    pub const fn may_have_arrived(self) -> bool {
        matches!(self, Self::Retry | Self::Unreadable)
    }
}

/// The meaning of an error for GET or cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// How to react.
    pub class: Class,
    /// The reason in conditions.
    pub reason: Reason,
}

/// One kind of error.
#[derive(Debug)]
pub struct Row {
    /// The kind.
    pub kind: ErrorKind,
    /// The name in `status.lastError.status`, metrics and logs: google.rpc's own, or ours in the same style.
    pub name: &'static str,
    /// The google.rpc number; `None` if it is not one of its codes.
    pub code: Option<i32>,
    /// Whether the API itself spoke about the operation: it let the caller in. Any other error may pass, or hides the operation.
    pub is_about_operation: bool,
    /// As an answer to GET.
    pub to_get: Meaning,
    /// As an answer to cancel.
    pub to_cancel: Meaning,
    /// What a person can do; empty if waiting is all. See [`remedy`].
    pub remedy: &'static str,
}

const fn means(class: Class, reason: Reason) -> Meaning {
    Meaning { class, reason }
}

/// A temporary error for both calls.
const fn retry(kind: ErrorKind, name: &'static str, code: Option<i32>) -> Row {
    both(
        kind,
        name,
        code,
        means(Class::Retry, Reason::Unavailable),
        "",
    )
}

/// The same meaning for both calls.
const fn both(
    kind: ErrorKind,
    name: &'static str,
    code: Option<i32>,
    meaning: Meaning,
    remedy: &'static str,
) -> Row {
    Row {
        kind,
        name,
        code,
        is_about_operation: false,
        to_get: meaning,
        to_cancel: meaning,
        remedy,
    }
}

/// An error of the API about the operation.
const fn about(
    kind: ErrorKind,
    name: &'static str,
    code: i32,
    to_get: Meaning,
    to_cancel: Meaning,
) -> Row {
    Row {
        kind,
        name,
        code: Some(code),
        is_about_operation: true,
        to_get,
        to_cancel,
        remedy: "",
    }
}

const UNAVAILABLE: Meaning = means(Class::Retry, Reason::Unavailable);

/// Every kind of error, in the order of [`ErrorKind`].
pub const TABLE: [Row; 22] = [
    retry(ErrorKind::Cancelled, "CANCELLED", Some(1)),
    retry(ErrorKind::Unknown, "UNKNOWN", Some(2)),
    about(
        ErrorKind::InvalidArgument,
        "INVALID_ARGUMENT",
        3,
        means(Class::Invalid, Reason::Unavailable),
        means(Class::Invalid, Reason::Refused),
    ),
    retry(ErrorKind::DeadlineExceeded, "DEADLINE_EXCEEDED", Some(4)),
    Row {
        remedy: "The API does not know the operation (a new one can take minutes to appear); check {place}",
        ..about(
            ErrorKind::NotFound,
            "NOT_FOUND",
            5,
            means(Class::Gone, Reason::OperationNotFound),
            means(Class::Gone, Reason::Refused),
        )
    },
    about(
        ErrorKind::AlreadyExists,
        "ALREADY_EXISTS",
        6,
        UNAVAILABLE,
        UNAVAILABLE,
    ),
    both(
        ErrorKind::PermissionDenied,
        "PERMISSION_DENIED",
        Some(7),
        means(Class::Denied, Reason::PermissionDenied),
        "Grant {right} in {owner} to the identity{role_to_try}",
    ),
    both(
        ErrorKind::ResourceExhausted,
        "RESOURCE_EXHAUSTED",
        Some(8),
        means(Class::Quota, Reason::Throttled),
        "A quota is exhausted; the controller tries again later",
    ),
    about(
        ErrorKind::FailedPrecondition,
        "FAILED_PRECONDITION",
        9,
        UNAVAILABLE,
        means(Class::Refused, Reason::Refused),
    ),
    retry(ErrorKind::Aborted, "ABORTED", Some(10)),
    about(
        ErrorKind::OutOfRange,
        "OUT_OF_RANGE",
        11,
        UNAVAILABLE,
        UNAVAILABLE,
    ),
    about(
        ErrorKind::Unimplemented,
        "UNIMPLEMENTED",
        12,
        means(Class::Impossible, Reason::Unavailable),
        means(Class::Impossible, Reason::Unsupported),
    ),
    retry(ErrorKind::Internal, "INTERNAL", Some(13)),
    retry(ErrorKind::Unavailable, "UNAVAILABLE", Some(14)),
    retry(ErrorKind::DataLoss, "DATA_LOSS", Some(15)),
    both(
        ErrorKind::Unauthenticated,
        "UNAUTHENTICATED",
        Some(16),
        means(Class::Unauthenticated, Reason::Unauthenticated),
        "The API does not accept the token; the controller tries a new one",
    ),
    both(
        ErrorKind::Unrecognised,
        "UNRECOGNISED",
        None,
        means(Class::Unreadable, Reason::Unrecognised),
        "This is not an answer of a Google API; check the endpoint {endpoint} and any proxy in front of it",
    ),
    both(
        ErrorKind::NotServed,
        "NOT_SERVED",
        None,
        means(Class::NotServed, Reason::NotServed),
        "{endpoint} does not serve this path; check {place}, version {version} and the endpoint",
    ),
    Row {
        to_cancel: means(Class::NotOffered, Reason::Unsupported),
        ..both(
            ErrorKind::MethodNotFound,
            "METHOD_NOT_FOUND",
            None,
            means(Class::NotServed, Reason::NotServed),
            "{endpoint} does not offer this method; check {place}, version {version} and the service",
        )
    },
    retry(ErrorKind::Network, "NETWORK", None),
    retry(ErrorKind::Timeout, "TIMEOUT", None),
    both(
        ErrorKind::Token,
        "TOKEN",
        None,
        means(Class::NoToken, Reason::Unauthenticated),
        "",
    ),
];

/// Remedies by the reason in ErrorInfo, for any kind of error.
///
/// `{consumer}`, `{permission}` and `{api_host}` of a remedy are the error's metadata or the object's; see [`remedy`].
const REMEDIES: [(&str, &str); 3] = [
    ("SERVICE_DISABLED", "Enable {api_host} in {consumer}"),
    (
        "USER_PROJECT_DENIED",
        "Grant roles/serviceusage.serviceUsageConsumer in {consumer} to the identity, or change --quota-project",
    ),
    (
        "SECURITY_POLICY_VIOLATED",
        "Allow the identity in the VPC Service Controls perimeter of the project",
    ),
];

/// The remedy if the error names the missing permission.
const LACKS_PERMISSION: &str = "Grant the permission {permission} in {owner} to the identity";

/// The kinds for the reasons of older APIs (`error.errors[].reason`), whose errors have no `status`.
///
/// A reason takes precedence over the HTTP status: an exhausted quota is often a 403.
const OLDER_REASONS: [(&str, ErrorKind); 30] = [
    ("accessNotConfigured", ErrorKind::PermissionDenied),
    ("accountDisabled", ErrorKind::PermissionDenied),
    ("authError", ErrorKind::Unauthenticated),
    ("backendError", ErrorKind::Unavailable),
    ("badRequest", ErrorKind::InvalidArgument),
    ("conditionNotMet", ErrorKind::FailedPrecondition),
    ("conflict", ErrorKind::Aborted),
    ("dailyLimitExceeded", ErrorKind::ResourceExhausted),
    ("domainPolicy", ErrorKind::PermissionDenied),
    ("expired", ErrorKind::Unauthenticated),
    ("failedPrecondition", ErrorKind::FailedPrecondition),
    ("forbidden", ErrorKind::PermissionDenied),
    ("insufficientPermissions", ErrorKind::PermissionDenied),
    ("internalError", ErrorKind::Internal),
    ("invalid", ErrorKind::InvalidArgument),
    ("invalidCredentials", ErrorKind::Unauthenticated),
    ("invalidParameter", ErrorKind::InvalidArgument),
    ("limitExceeded", ErrorKind::ResourceExhausted),
    ("methodNotFound", ErrorKind::MethodNotFound),
    ("notFound", ErrorKind::NotFound),
    ("notImplemented", ErrorKind::Unimplemented),
    ("preconditionFailed", ErrorKind::FailedPrecondition),
    ("quotaExceeded", ErrorKind::ResourceExhausted),
    ("rateLimitExceeded", ErrorKind::ResourceExhausted),
    ("required", ErrorKind::InvalidArgument),
    (
        "resourceInUseByAnotherResource",
        ErrorKind::FailedPrecondition,
    ),
    ("resourceNotReady", ErrorKind::FailedPrecondition),
    ("serviceUnavailable", ErrorKind::Unavailable),
    ("timeout", ErrorKind::DeadlineExceeded),
    ("userRateLimitExceeded", ErrorKind::ResourceExhausted),
];

/// The row of a kind.
pub fn row(kind: ErrorKind) -> &'static Row {
    // Each kind has its row, in this order: a test compares the two.
    TABLE.get(kind as usize).unwrap_or(&UNKNOWN_ROW)
}

static UNKNOWN_ROW: Row = retry(ErrorKind::Unknown, "UNKNOWN", Some(2));

impl ErrorKind {
    /// Whether the API itself spoke about the operation: it let the caller in. Any other error may pass, or hides the operation.
    pub fn is_about_operation(self) -> bool {
        row(self).is_about_operation
    }

    /// The name in `status.lastError.status`, metrics and logs; see [`Row::name`].
    pub fn name(self) -> &'static str {
        row(self).name
    }
}

/// The meaning of an error for a call. For `Token` it is the meaning for GET.
pub fn meaning(kind: ErrorKind, call: Call) -> Meaning {
    let row = row(kind);
    match call {
        Call::Cancel => row.to_cancel,
        Call::Get | Call::Token => row.to_get,
    }
}

/// The same for an operation whose API may answer UNIMPLEMENTED to a cancel because of the operation's present state
/// (`unimplemented_may_pass`). Then it is a refusal like FAILED_PRECONDITION.
pub fn meaning_for(kind: ErrorKind, call: Call, unimplemented_may_pass: bool) -> Meaning {
    if unimplemented_may_pass && kind == ErrorKind::Unimplemented && call == Call::Cancel {
        return meaning(ErrorKind::FailedPrecondition, call);
    }
    meaning(kind, call)
}

/// The kind with this google.rpc number.
pub fn of_code(code: i32) -> Option<ErrorKind> {
    let mut rows = TABLE.iter();
    rows.find(|row| row.code == Some(code)).map(|row| row.kind)
}

/// The kind with this google.rpc name. `None` for our own names.
pub fn of_rpc_name(name: &str) -> Option<ErrorKind> {
    let mut rows = TABLE.iter();
    rows.find(|row| row.code.is_some() && row.name == name)
        .map(|row| row.kind)
}

/// The kind for a reason of an older API.
pub fn of_older_reason(reason: &str) -> Option<ErrorKind> {
    let mut reasons = OLDER_REASONS.iter();
    reasons
        .find(|(name, _)| *name == reason)
        .map(|(_, kind)| *kind)
}

/// ErrorInfo's reason for a reason of an older API, where both exist.
pub fn newer_reason(reason: &str) -> &str {
    match reason {
        "accessNotConfigured" => "SERVICE_DISABLED",
        other => other,
    }
}

/// The kind for an HTTP status without Google's JSON. It decides pace and reason, never an outcome.
pub const fn of_http_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotServed,
        429 => ErrorKind::ResourceExhausted,
        500 => ErrorKind::Internal,
        504 => ErrorKind::DeadlineExceeded,
        501..=599 => ErrorKind::Unavailable,
        _ => ErrorKind::Unrecognised,
    }
}

/// What a person can do, with the placeholders `{project}`, `{owner}`, `{api_host}`, `{version}`,
/// `{place}`, `{endpoint}`, `{right}`, `{role_to_try}`, `{consumer}`, `{permission}`. Empty if waiting is all.
///
/// The most specific source wins: the reason in ErrorInfo, then the permission that it names, then the kind.
pub fn remedy(
    kind: ErrorKind,
    call: Call,
    meaning: Meaning,
    reason: Option<&str>,
    names_permission: bool,
) -> &'static str {
    if let Some((_, remedy)) = REMEDIES.iter().find(|(name, _)| Some(*name) == reason) {
        return remedy;
    }
    if kind == ErrorKind::PermissionDenied && names_permission {
        return LACKS_PERMISSION;
    }
    if call == Call::Cancel && meaning.reason == Reason::Refused {
        return "Still polling; the controller will ask again later";
    }
    row(kind).remedy
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_its_row() {
        assert_eq!(TABLE.len(), ErrorKind::ALL.len());
        for (kind, row) in ErrorKind::ALL.iter().copied().zip(&TABLE) {
            assert_eq!(kind, row.kind);
            assert_eq!(super::row(kind).kind, kind);
            assert_eq!(kind.name(), row.name);
        }
        let names: BTreeSet<_> = TABLE.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn every_code_of_google_rpc_is_there_once() {
        for code in 1..=16 {
            let kind = of_code(code).unwrap();
            assert_eq!(of_rpc_name(row(kind).name), Some(kind));
        }
        assert_eq!(TABLE.iter().filter(|row| row.code.is_some()).count(), 16);
        assert_eq!(of_code(0), None);
        assert_eq!(of_rpc_name("NETWORK"), None);
    }

    /// Only what the API says of the operation may lead to an outcome.
    #[test]
    fn what_only_a_number_says_is_never_an_outcome() {
        for status in 300..=599 {
            let kind = of_http_status(status);
            for call in [Call::Get, Call::Cancel] {
                let class = meaning(kind, call).class;
                assert!(
                    !matches!(
                        class,
                        Class::Gone
                            | Class::Impossible
                            | Class::Invalid
                            | Class::NotOffered
                            | Class::Refused
                    ),
                    "{status} {call:?}: {class:?}"
                );
            }
        }
    }

    #[test]
    fn older_reasons_are_sorted_and_known_once() {
        assert!(OLDER_REASONS.is_sorted_by(|one, next| one.0 < next.0));
        assert_eq!(
            of_older_reason("forbidden"),
            Some(ErrorKind::PermissionDenied)
        );
        assert_eq!(of_older_reason("surprise"), None);
    }
}
