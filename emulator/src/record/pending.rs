//! A request that waits for its answer, with all that its log line says: the record may have let go of it by then.

use std::time::Instant;

use super::{Answer, Authorization, Record, RequestRecord};

/// Notes and logs how a request was answered: as `Abandoned` unless it is told, for a caller that goes away drops the handler.
#[derive(Debug)]
pub struct Pending<'a> {
    record: &'a Record,
    sequence: u64,
    arrived: Instant,
    answer: Answer,
    line: Option<Line>,
}

/// What the log says of a request besides.
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

    /// It was answered with this HTTP status, or the connection is closed without an answer.
    pub fn answered(mut self, status: Option<u16>) {
        self.answer = status.map_or(Answer::Closed, Answer::Status);
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.record.answered(self.sequence, self.answer);
        // Not under the record's lock: a slow reader of the log must not slow the answers.
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
