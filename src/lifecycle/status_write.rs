//! What is written to `/status`, and when a write is worth making.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};

use super::{
    Cancellation, Context, Notice,
    cancellation::{CancelState, WriteInFlight},
    ending::Ending,
    final_report::final_report,
    gate::Gate,
    report::{Report, report},
    time,
};
use crate::api::CancellationStatus;

/// Why a write is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteKind {
    /// Announces a cancel request. It counts only if the answer has the raised `cancelAttempts` and a new version.
    Intent,
    /// Records how it ended.
    Outcome,
    /// Everything in between.
    Progress,
}

impl WriteKind {
    /// The name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::Progress => "progress",
        }
    }
}

/// A write to `/status`: a JSON merge patch that names uid and resource version, so that it is a compare-and-set.
///
/// A patch and not the whole status: what a newer release wrote, and this one does not know, stays.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusWrite {
    /// Why.
    pub kind: WriteKind,
    /// The version that it changes.
    pub base: String,
    /// `cancelAttempts` afterwards.
    pub attempts: i64,
    /// The merge patch (RFC 7386).
    pub patch: Value,
    /// The status afterwards, as far as this release knows it.
    pub status: Box<CancellationStatus>,
    notice: Option<Notice>,
}

impl StatusWrite {
    pub(super) fn in_flight(&self) -> WriteInFlight {
        WriteInFlight {
            kind: self.kind,
            base: self.base.clone(),
            attempts: self.attempts,
            notice: self.notice.clone(),
        }
    }
}

/// The write that announces the next cancel request.
pub fn intent(known: &Cancellation, context: &Context<'_>) -> StatusWrite {
    // The request is about to be sent: whatever the last one came to, a crash from here on leaves it open.
    let mut report = report(known, &Gate::Go, CancelState::Sending, context);
    let status = &mut report.status;
    status.cancel_attempts = Some(known.object.cancel_attempts().saturating_add(1));
    let now = Time(time::stored_now(&known.object, context.now));
    let first = time::credible(
        status.cancel_request_time.as_ref(),
        &known.object,
        context.now,
    );
    status.cancel_request_time = Some(first.map_or(now, Time));
    make(known, WriteKind::Intent, report)
}

/// The write that records how it ended.
pub fn outcome(known: &Cancellation, ending: Ending, context: &Context<'_>) -> StatusWrite {
    make(
        known,
        WriteKind::Outcome,
        final_report(known, ending, context),
    )
}

/// The write of anything else.
pub fn progress(known: &Cancellation, report: &Report) -> StatusWrite {
    make(known, WriteKind::Progress, report.clone())
}

/// Whether the stored status says anything else than it should: texts, the last observation and the principal do not count,
/// because they change without anybody having to know.
pub fn is_due(known: &Cancellation, report: &Report) -> bool {
    material(&known.object.status) != material(&report.status)
}

fn material(status: &CancellationStatus) -> CancellationStatus {
    let mut status = status.clone();
    status.operation = None;
    if let Some(identity) = &mut status.identity {
        identity.principal = None;
    }
    if let Some(error) = &mut status.last_error {
        error.message.clear();
        error.metadata.clear();
        error.domain = None;
        error.http_status = None;
    }
    for condition in &mut status.conditions {
        condition.message.clear();
        condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
    }
    status.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    status
}

fn make(known: &Cancellation, kind: WriteKind, report: Report) -> StatusWrite {
    let object = &known.object;
    let notice = match kind {
        WriteKind::Outcome => report.finished,
        _ if known.write.told_stalled => None,
        _ => report.stalled,
    };
    // A status that cannot be written as JSON does not exist: all keys are strings.
    let before = serde_json::to_value(&object.status).unwrap_or_default();
    let after = serde_json::to_value(&report.status).unwrap_or_default();
    let changes = merge_patch(&before, &after).unwrap_or_else(|| Value::Object(Map::new()));
    StatusWrite {
        kind,
        base: object.resource_version.clone(),
        attempts: report.status.cancel_attempts.unwrap_or(0),
        patch: json!({
            "metadata": { "uid": object.uid, "resourceVersion": object.resource_version },
            "status": changes,
        }),
        status: Box::new(report.status),
        notice,
    }
}

/// The merge patch that makes `after` of `before`; `None` if they are the same.
fn merge_patch(before: &Value, after: &Value) -> Option<Value> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let removed = before
                .keys()
                .filter(|key| !after.contains_key(*key))
                .map(|key| (key.clone(), Value::Null));
            let changed = after.iter().filter_map(|(key, value)| {
                let change = match before.get(key) {
                    Some(old) => merge_patch(old, value),
                    None => Some(value.clone()),
                };
                change.map(|change| (key.clone(), change))
            });
            let patch: Map<String, Value> = removed.chain(changed).collect();
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        _ if before == after => None,
        _ => Some(after.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_names_what_changed_and_only_that() {
        let before = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1], "f": 5});
        let after = json!({"a": 1, "b": {"c": 4}, "e": [1, 2], "g": 6});
        let patch = merge_patch(&before, &after);
        assert_eq!(
            patch,
            Some(json!({"b": {"c": 4, "d": null}, "e": [1, 2], "f": null, "g": 6}))
        );
        assert_eq!(merge_patch(&before, &before), None);
    }
}
