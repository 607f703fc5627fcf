//! A request that waits for its answer, with the contents of its log line: the record may have dropped it by then.

use std::time::Instant;

use super::{Answer, Authorization, Record, RequestRecord};

/// Notes and logs the answer to a request. Without an answer it notes `Abandoned`: when a client disconnects, the handler is
/// dropped.
#[derive(Debug)]
pub struct Pending<'a> {
    record: &'a Record,
    sequence: u64,
    arrived: Instant,
    answer: Answer,
    line: Option<Line>,
}

/// The other contents of the log line.
#[derive(Debug)]
struct Line {
    method: String,
    path: String,
    authorization: Authorization,
    user_agent: Option<String>,
}

impl<'a> Pending<'a> {
    pub(super) fn new(record: &'a Record, request: &RequestRecord) -> Self {
        let line = || Line {
            method: request.method.clone(),
            path: request.path.clone(),
            authorization: request.authorization.clone(),
            user_agent: request.user_agent.clone(),
        };
        Self {
            record,
            sequence: request.sequence,
            arrived: Instant::now(),
            answer: Answer::Abandoned,
            line: tracing::enabled!(tracing::Level::INFO).then(line),
        }
    }

    /// Notes this HTTP status as the answer, or that the connection is closed without one.
    pub fn answered(mut self, status: Option<u16>) {
        self.answer = status.map_or(Answer::Closed, Answer::Status);
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.record.answered(self.sequence, self.answer);
        // Not under the record's lock: a slow reader of the log must not delay answers.
        let Some(line) = &self.line else { return };
        let (status, what) = match self.answer {
            Answer::Status(status) => (Some(status), "request".to_owned()),
            other => (None, format!("request: {other:?}")),
        };
        tracing::info!(
            sequence = self.sequence, surface = ?self.record.surface, method = line.method, path = line.path,
            authorization = ?line.authorization, user_agent = line.user_agent, took = ?self.arrived.elapsed(),
            status, "{what}"
        );
    }
}
