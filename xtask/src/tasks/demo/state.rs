//! Where one cancellation stands, read from its object as any client can read it.

use jiff::Timestamp;
use serde_json::Value;

/// Where one cancellation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// `Finished`, or the reason why it is not.
    pub(super) phase: String,
    /// `status.outcome`.
    pub(super) outcome: Option<String>,
    /// The status of the condition `Ready`.
    pub(super) ready: Option<String>,
    /// What the controller says about it.
    pub(super) why: String,
    created: Option<Timestamp>,
    completed: Option<Timestamp>,
}

impl State {
    /// The state of an object without any event so far.
    pub(super) fn unseen() -> Self {
        Self::of(&Value::Null)
    }

    /// Reads an OperationCancellation.
    pub(super) fn of(object: &Value) -> Self {
        let text = |pointer: &str| Some(object.pointer(pointer)?.as_str()?.to_owned());
        let time = |pointer: &str| object.pointer(pointer)?.as_str()?.parse().ok();
        let conditions = object
            .pointer("/status/conditions")
            .and_then(Value::as_array);
        let condition = |name: &str, field: &str| {
            let mut all = conditions?.iter();
            let found = all.find(|condition| condition["type"] == name)?;
            Some(found.get(field)?.as_str()?.to_owned())
        };
        let outcome = text("/status/outcome");
        let phase = match &outcome {
            Some(_) => "Finished".to_owned(),
            None => condition("Finished", "reason").unwrap_or_else(|| "New".to_owned()),
        };
        // A suspended object that was looked at has no Ready; then CancelRequested says what is.
        let why = condition("Ready", "message").or_else(|| condition("CancelRequested", "message"));
        Self {
            phase,
            outcome,
            ready: condition("Ready", "status"),
            why: why.unwrap_or_default(),
            created: time("/metadata/creationTimestamp"),
            completed: time("/status/completionTime"),
        }
    }

    /// What the annotation of an example calls this: the outcome, or why it is not finished.
    pub(super) fn ends_as(&self) -> &str {
        self.outcome.as_deref().unwrap_or(&self.phase)
    }

    /// Whether nothing more is expected to happen to an object that is to end as `expected`.
    pub(super) fn is_settled(&self, expected: &str) -> bool {
        self.outcome.is_some() || self.ends_as() == expected
    }

    /// Its age in whole seconds, at the end if it has ended.
    pub(super) fn age(&self, now: Timestamp) -> Option<i64> {
        let until = self.completed.unwrap_or(now);
        Some(until.duration_since(self.created?).as_secs().max(0))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_finished_object_stands_where_it_ended() {
        let state = State::of(&json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {
                "outcome": "Failed", "completionTime": "2026-01-01T00:00:09Z",
                "conditions": [
                    {"type": "Finished", "status": "True", "reason": "Failed", "message": ""},
                    {"type": "Ready", "status": "True", "reason": "OutcomeAccepted", "message": "It failed"},
                ],
            },
        }));
        assert_eq!(state.phase, "Finished");
        assert_eq!(state.ends_as(), "Failed");
        assert_eq!(state.why, "It failed");
        assert!(state.is_settled("Cancelled"), "an outcome never changes");
        let later = "2026-01-01T00:01:00Z".parse().unwrap();
        assert_eq!(state.age(later), Some(9));
    }

    #[test]
    fn an_object_that_waits_is_settled_only_if_it_should_wait() {
        let state = State::of(&json!({
            "status": {"conditions": [
                {"type": "CancelRequested", "status": "False", "reason": "Suspended", "message": "held"},
                {"type": "Finished", "status": "False", "reason": "Suspended", "message": ""},
            ]},
        }));
        assert_eq!(state.why, "held");
        assert!(state.is_settled("Suspended"));
        assert!(!state.is_settled("Cancelled"));
        assert_eq!(State::unseen().phase, "New");
    }
}
