//! What the Kubernetes client's errors say, without its internals.

use kube::Error;

use crate::google::clean::{clean, cut};

/// Longest piece of an error that is shown, in bytes.
const LONGEST: usize = 400;

/// The HTTP status of an answer; `None` if none came.
pub fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// One line for people: what the API server said, or the innermost cause if it said nothing.
pub fn describe(error: &Error) -> String {
    let text = match error {
        Error::Api(status) => {
            let message = status.message.trim();
            let message = if message.is_empty() { status.reason.as_str() } else { message };
            format!("HTTP {}: {message}", status.code)
        }
        other => {
            let mut innermost: &dyn std::error::Error = other;
            while let Some(cause) = innermost.source() {
                innermost = cause;
            }
            innermost.to_string()
        }
    };
    cut(&clean(&text, &[]), LONGEST)
}
