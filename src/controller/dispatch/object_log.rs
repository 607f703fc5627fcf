//! The log lines of an object. At INFO at most four: the answer to the first cancel request, the acceptance if it comes later,
//! that it stalled, and the outcome. At DEBUG every call and every status write, with result and duration.

use tracing::{Span, level_filters::LevelFilter};

use crate::{
    google::answer::{CallError, CancelAnswer, ErrorKind},
    lifecycle::{ForeignIntent, Notice, ObjectView, WriteKind},
};

/// The fields of every line about an object: the object, the service, the operation, and the number of the last intent.
pub fn span(object: &ObjectView) -> Span {
    let spec = object.spec.as_ref().ok();
    let target = spec.and_then(|spec| spec.target.as_ref().ok());
    // At ERROR, so that warnings and errors have it even if nothing else is logged.
    tracing::error_span!(
        "cancellation",
        namespace = object.namespace,
        name = object.name,
        uid = object.uid,
        service = target.map_or("", |target| target.service.as_str()),
        operation = target.map_or("", |target| target.operation()),
        attempt = object.status.cancel_attempts.unwrap_or(0),
    )
}

/// The span of a call or a write. All their lines are at DEBUG, so without that level there is no span: making one costs more than
/// a step of the life cycle.
pub fn task_span(object: &ObjectView) -> Span {
    if LevelFilter::current() < LevelFilter::DEBUG {
        return Span::none();
    }
    span(object)
}

/// A status write failed. To be called in the object's span.
pub fn write_failed(kind: WriteKind, why: &str) {
    tracing::warn!(write = kind.name(), "{why}");
}

/// A cancel request was answered. To be called in the object's span.
pub fn cancel_answered(object: &ObjectView, answer: &CancelAnswer) {
    match answer {
        Ok(()) => tracing::info!("the API accepted the cancel request"),
        Err(error) => {
            let what = failed_cancel(error);
            let why = format_args!("{}: {}", error.kind.name(), error.message);
            // One line for the first answer is enough: the last error is in the status.
            if object.status.cancel_attempts.unwrap_or(0) <= 1 {
                tracing::info!("{what}: {why}");
            } else {
                tracing::debug!("{what}: {why}");
            }
        }
    }
}

/// What a failure says about the cancel request.
fn failed_cancel(error: &CallError) -> &'static str {
    if error.http_status.is_some() {
        "the API did not accept the cancel request"
    } else if error.not_sent || error.kind == ErrorKind::Token {
        "the cancel request was not sent"
    } else {
        "the cancel request was not answered"
    }
}

/// What the log says of an intent of another process.
pub fn foreign_intent(intent: &ForeignIntent) -> String {
    format!(
        "another process (holder {}) recorded an intent for this object: only one controller may work on a namespace",
        intent.holder
    )
}

/// An event is published. To be called in the object's span.
pub fn published(notice: &Notice) {
    match notice {
        Notice::Finished {
            outcome,
            accepted,
            message,
            ..
        } => tracing::info!(outcome = outcome.name(), accepted, "finished: {message}"),
        Notice::Stalled { reason, message } => tracing::warn!(reason, "stalled: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_is_said_to_be_the_apis() {
        let failed = |kind, http_status, not_sent| {
            failed_cancel(&CallError {
                kind,
                http_status,
                reason: None,
                domain: None,
                metadata: std::collections::BTreeMap::new(),
                message: String::new(),
                not_sent,
                retry_after: None,
            })
        };
        for (kind, http_status, not_sent, said) in [
            (
                ErrorKind::FailedPrecondition,
                Some(400),
                false,
                "the API did not accept the cancel request",
            ),
            (
                ErrorKind::Network,
                None,
                false,
                "the cancel request was not answered",
            ),
            (
                ErrorKind::Timeout,
                None,
                false,
                "the cancel request was not answered",
            ),
            (
                ErrorKind::Network,
                None,
                true,
                "the cancel request was not sent",
            ),
            (
                ErrorKind::Token,
                None,
                false,
                "the cancel request was not sent",
            ),
        ] {
            assert_eq!(failed(kind, http_status, not_sent), said, "{kind:?}");
        }
    }
}
