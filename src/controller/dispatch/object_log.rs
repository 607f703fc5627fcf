//! What the log says of an object. At INFO its life in at most four lines: the first cancel request's answer, that it was
//! taken in the end, that it stalled, how it ended. At DEBUG every call and every status write, with result and duration.

use tracing::{Span, level_filters::LevelFilter};

use crate::{
    google::answer::CancelAnswer,
    lifecycle::{Notice, ObjectView, WriteKind},
};

/// What every line about an object carries: which one, of which operation, and the number of the last cancel request that
/// was announced.
pub fn span(object: &ObjectView) -> Span {
    let spec = object.spec.as_ref().ok();
    let target = spec.and_then(|spec| spec.target.as_ref().ok());
    // ERROR, so that warnings and errors have it too when nothing else is logged.
    tracing::error_span!(
        "cancellation",
        namespace = object.namespace,
        name = object.name,
        uid = object.uid,
        operation = target.map_or("", |target| target.operation()),
        attempt = object.status.cancel_attempts.unwrap_or(0),
    )
}

/// The span of a call or a write: none unless something below INFO is logged, because all that such a task says is. To make
/// a span costs more than to decide what the task is for.
pub fn task_span(object: &ObjectView) -> Span {
    if LevelFilter::current() < LevelFilter::DEBUG {
        return Span::none();
    }
    span(object)
}

/// A write went wrong in a way that people should know. To be called in the object's span.
pub fn write_failed(kind: WriteKind, why: &str) {
    tracing::warn!(write = kind.name(), "{why}");
}

/// A cancel request was answered. To be called in the object's span.
pub fn cancel_answered(object: &ObjectView, answer: &CancelAnswer) {
    match answer {
        Ok(()) => tracing::info!("the API took the cancel request"),
        Err(error) => {
            let why = format_args!("{}: {}", error.kind.name(), error.message);
            // The first answer stands for all of its kind: the last error is in the status.
            if object.status.cancel_attempts.unwrap_or(0) <= 1 {
                tracing::info!("the API did not take the cancel request: {why}");
            } else {
                tracing::debug!("the API did not take the cancel request: {why}");
            }
        }
    }
}

/// Something was recorded that people want to know. To be called in the object's span.
pub fn noticed(notice: &Notice) {
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
