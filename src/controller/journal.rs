//! What the log says of an object's life, in at most four lines: the first cancel request's answer, that it was taken in the
//! end, that it stalled, how it ended.

use crate::{
    google::answer::CancelAnswer,
    lifecycle::{Notice, ObjectView, WriteAnswer},
    telemetry::metrics::Metrics,
};

/// The last segment of the operation's name, for logs.
fn operation(object: &ObjectView) -> &str {
    let target = object
        .spec
        .as_ref()
        .ok()
        .and_then(|spec| spec.target.as_ref().ok());
    target.map_or("", |target| target.operation.as_str())
}

/// A cancel request was answered.
pub fn cancel_answered(object: &ObjectView, answer: &CancelAnswer) {
    let attempt = object.status.cancel_attempts.unwrap_or(0);
    let (namespace, name, uid, operation) = (
        &object.namespace,
        &object.name,
        &object.uid,
        operation(object),
    );
    match answer {
        Ok(()) => tracing::info!(
            namespace,
            name,
            uid,
            operation,
            attempt,
            "the API took the cancel request"
        ),
        Err(error) if attempt <= 1 => tracing::info!(
            namespace,
            name,
            uid,
            operation,
            attempt,
            "the API did not take the cancel request: {}: {}",
            error.kind.name(),
            error.message
        ),
        Err(error) => tracing::debug!(
            namespace,
            name,
            uid,
            operation,
            attempt,
            "the API did not take the cancel request: {}: {}",
            error.kind.name(),
            error.message
        ),
    }
}

/// Something was recorded that people want to know.
pub fn noticed(object: &ObjectView, notice: &Notice, metrics: &Metrics) {
    let attempt = object.status.cancel_attempts.unwrap_or(0);
    let (namespace, name, uid, operation) = (
        &object.namespace,
        &object.name,
        &object.uid,
        operation(object),
    );
    match notice {
        Notice::Finished {
            outcome,
            accepted,
            message,
        } => {
            metrics.finished(outcome.name());
            tracing::info!(
                namespace,
                name,
                uid,
                operation,
                attempt,
                outcome = outcome.name(),
                accepted,
                "finished: {message}"
            );
        }
        Notice::Stalled { reason, message } => {
            tracing::warn!(
                namespace,
                name,
                uid,
                operation,
                attempt,
                reason,
                "stalled: {message}"
            );
        }
    }
}

/// The name of a write's result, for metrics.
pub const fn result(answer: &WriteAnswer) -> &'static str {
    match answer {
        WriteAnswer::Written(_) => "written",
        WriteAnswer::Conflict(_) => "conflict",
        WriteAnswer::Unsure => "unsure",
        WriteAnswer::Failed => "failed",
        WriteAnswer::Gone => "gone",
    }
}
