//! A JSON merge patch (RFC 7386) of `/status`, serialised once, as it is sent.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Serialize, Serializer};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use super::ObjectView;
use crate::api::{
    CancellationStatus, Condition, Identity, LastError, ObservedOperation, TargetStatus,
};

/// It has uid and resource version, so that it is a compare-and-set, and only the changed part of the status.
#[derive(Clone, Debug)]
pub struct MergePatch(Box<RawValue>);

impl MergePatch {
    /// The patch that changes the status of an object to this one.
    pub fn new(object: &ObjectView, after: &CancellationStatus) -> Self {
        let body = Body {
            metadata: Metadata {
                uid: &object.uid,
                resource_version: &object.resource_version,
            },
            status: Changes::between(&object.status, after),
        };
        // Every status can be written as JSON: all keys are strings.
        Self(to_raw_value(&body).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    /// The patch as a JSON value.
    pub fn value(&self) -> Value {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }
}

impl PartialEq for MergePatch {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Serialize for MergePatch {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    metadata: Metadata<'a>,
    status: Changes<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    uid: &'a str,
    resource_version: &'a str,
}

/// The changed fields of a status.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Changes<'a> {
    #[serde(skip_serializing_if = "Change::is_none")]
    observed_generation: Change<'a, i64>,
    #[serde(skip_serializing_if = "Change::is_none")]
    outcome: Change<'a, String>,
    #[serde(skip_serializing_if = "Change::is_none")]
    target: Change<'a, TargetStatus>,
    #[serde(skip_serializing_if = "Change::is_none")]
    identity: Change<'a, Identity>,
    #[serde(skip_serializing_if = "Change::is_none")]
    start_time: Change<'a, Time>,
    #[serde(skip_serializing_if = "Change::is_none")]
    cancel_attempts: Change<'a, i64>,
    #[serde(skip_serializing_if = "Change::is_none")]
    cancel_attempted_by: Change<'a, String>,
    #[serde(skip_serializing_if = "Change::is_none")]
    cancel_request_time: Change<'a, Time>,
    #[serde(skip_serializing_if = "Change::is_none")]
    completion_time: Change<'a, Time>,
    #[serde(skip_serializing_if = "Change::is_none")]
    operation: Change<'a, ObservedOperation>,
    #[serde(skip_serializing_if = "Change::is_none")]
    last_error: Change<'a, LastError>,
    #[serde(skip_serializing_if = "Change::is_none")]
    conditions: Change<'a, Vec<Condition>>,
}

impl<'a> Changes<'a> {
    fn between(before: &CancellationStatus, after: &'a CancellationStatus) -> Self {
        // Every field is named, so that a new one cannot be forgotten.
        let CancellationStatus {
            observed_generation,
            outcome,
            target,
            identity,
            start_time,
            cancel_attempts,
            cancel_attempted_by,
            cancel_request_time,
            completion_time,
            operation,
            last_error,
            conditions,
        } = after;
        Self {
            observed_generation: Change::of(&before.observed_generation, observed_generation),
            outcome: Change::of(&before.outcome, outcome),
            target: Change::of(&before.target, target),
            identity: Change::of(&before.identity, identity),
            start_time: Change::of(&before.start_time, start_time),
            cancel_attempts: Change::of(&before.cancel_attempts, cancel_attempts),
            cancel_attempted_by: Change::of(&before.cancel_attempted_by, cancel_attempted_by),
            cancel_request_time: Change::of(&before.cancel_request_time, cancel_request_time),
            completion_time: Change::of(&before.completion_time, completion_time),
            operation: Change::of(&before.operation, operation),
            last_error: Change::of(&before.last_error, last_error),
            conditions: Change::of_list(&before.conditions, conditions),
        }
    }
}

/// The change of one field.
#[derive(Serialize)]
#[serde(untagged)]
enum Change<'a, T> {
    /// No change.
    None,
    /// The field is removed: null.
    Removed,
    /// The field is new.
    Whole(&'a T),
    /// A part of the field changes.
    Part(Value),
}

impl<'a, T: PartialEq + Serialize> Change<'a, T> {
    /// Comparing is much cheaper than serialising.
    fn of(before: &Option<T>, after: &'a Option<T>) -> Self {
        match (before, after) {
            (before, after) if before == after => Self::None,
            (_, None) => Self::Removed,
            (None, Some(after)) => Self::Whole(after),
            (Some(before), Some(after)) => {
                let json = |value| serde_json::to_value(value).unwrap_or_default();
                merge_patch(&json(before), &json(after)).map_or(Self::None, Self::Part)
            }
        }
    }
}

impl<'a, T: PartialEq> Change<'a, Vec<T>> {
    /// A merge patch replaces a list as a whole; an empty list is never stored.
    fn of_list(before: &[T], after: &'a Vec<T>) -> Self {
        if *after == before {
            Self::None
        } else if after.is_empty() {
            Self::Removed
        } else {
            Self::Whole(after)
        }
    }
}

impl<T> Change<'_, T> {
    const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// The merge patch from `before` to `after`; `None` if they are the same.
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
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::{api::ObservedError, lifecycle::MalformedSpec};

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

    /// A status that has every field, and the same with every field changed.
    fn full(n: i64) -> CancellationStatus {
        let time = || Some(Time(Timestamp::from_second(1_700_000_000 + n).unwrap()));
        let text = |what: &str| format!("{what}-{n}");
        let error = ObservedError {
            code: i32::try_from(n).unwrap(),
            status: text("status"),
            message: text("message"),
        };
        CancellationStatus {
            observed_generation: Some(n),
            outcome: Some(text("Outcome")),
            target: Some(TargetStatus {
                parent: Some(text("parent")),
                project: Some(text("project")),
                location: Some(text("location")),
                ..TargetStatus::default()
            }),
            identity: Some(Identity {
                kind: text("kind"),
                name: Some(text("name")),
                principal: Some(text("principal")),
            }),
            start_time: time(),
            cancel_attempts: Some(n),
            cancel_attempted_by: Some(text("holder")),
            cancel_request_time: time(),
            completion_time: time(),
            operation: Some(ObservedOperation {
                done: n > 1,
                error: Some(error),
                ..ObservedOperation::default()
            }),
            last_error: Some(LastError {
                call: text("call"),
                status: text("status"),
                since: time(),
                ..LastError::default()
            }),
            conditions: vec![Condition {
                type_: "Ready".to_owned(),
                status: text("status"),
                reason: text("reason"),
                message: text("message"),
                last_transition_time: time().unwrap(),
                observed_generation: Some(n),
            }],
        }
    }

    fn object(status: CancellationStatus) -> ObjectView {
        ObjectView {
            uid: "u".to_owned(),
            namespace: "team".to_owned(),
            name: "stop".to_owned(),
            resource_version: "7".to_owned(),
            generation: 1,
            created: Timestamp::UNIX_EPOCH,
            deleting: false,
            spec: Err(MalformedSpec {
                message: String::new(),
            }),
            status,
        }
    }

    #[test]
    fn changes_are_those_of_the_whole_statuses() {
        let statuses = [CancellationStatus::default(), full(1), full(2)];
        for before in &statuses {
            for after in &statuses {
                let json = |status| serde_json::to_value(status).unwrap();
                let patch = MergePatch::new(&object(before.clone()), after).value();
                assert_eq!(
                    patch["metadata"],
                    json!({"uid": "u", "resourceVersion": "7"})
                );
                let patch = &patch["status"];
                let whole = merge_patch(&json(before), &json(after));
                assert_eq!(*patch, whole.unwrap_or_else(|| json!({})));
                let fields = if before == after { 0 } else { 12 };
                assert_eq!(patch.as_object().unwrap().len(), fields, "{patch}");
            }
        }
    }
}
