//! Converts an object of the API server to the life cycle's [`ObjectView`].
//!
//! Lenient on purpose: the CRD may be older or newer than this program, and one bad object must never stop the others. A spec from
//! which no release can make a request is a [`MalformedSpec`]; one that a newer release may know waits; the status is read field by
//! field.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Map, Value, value::RawValue};

use crate::{
    api::{AcceptedOutcome, CancellationStatus, Condition, DEFAULT_DEADLINE_SECONDS, Reason},
    controller::api_server::raw_object::RawObject,
    google::{
        catalogue::{self, ResolveError},
        clean::clean,
        endpoint::EndpointOverrides,
    },
    lifecycle::{MalformedSpec, ObjectView, Spec, UnknownTarget},
};

/// The range of `spec.deadlineSeconds`, as the CRD has it.
const DEADLINES: std::ops::RangeInclusive<i64> = 10..=2_592_000;

/// Reads an object; `None` if it lacks uid, namespace, name or creation time, which every stored object has.
pub fn read(object: RawObject, overrides: &EndpointOverrides) -> Option<ObjectView> {
    let metadata = object.metadata;
    let spec = object.spec.and_then(|spec| parse(&spec));
    Some(ObjectView {
        uid: metadata.uid?,
        namespace: metadata.namespace?,
        name: metadata.name?,
        resource_version: metadata.resource_version.unwrap_or_default(),
        generation: metadata.generation.unwrap_or(0),
        created: metadata.creation_timestamp?.0,
        deleting: metadata.deletion_timestamp.is_some(),
        spec: read_spec(spec.as_ref(), overrides),
        status: read_status(object.status.as_deref()),
    })
}

fn read_spec(spec: Option<&Value>, overrides: &EndpointOverrides) -> Result<Spec, MalformedSpec> {
    let Some(Value::Object(spec)) = spec else {
        return Err(malformed("spec: missing; spec.operationName is required"));
    };
    let name = string(spec, "operationName")?.ok_or_else(|| {
        malformed("spec.operationName: missing; expected the name of an operation")
    })?;
    // No service counts as an unknown one: the object waits.
    let service = string(spec, "service")?.unwrap_or_default();
    let version = string(spec, "version")?;
    let service_account_name = string(spec, "serviceAccountName")?;
    if service_account_name == Some("") {
        // An empty name must never mean the operator's own identity.
        return Err(malformed(
            "spec.serviceAccountName: empty; set the name of a ServiceAccount, or remove the field",
        ));
    }
    Ok(Spec {
        target: catalogue::read(service, version, name, overrides).map_err(unknown),
        service_account_name: service_account_name.map(str::to_owned),
        accepted_outcomes: accepted_outcomes(spec)?,
        deadline: deadline(spec)?,
        suspend: match field(spec, "suspend") {
            None => false,
            Some(Value::Bool(suspend)) => *suspend,
            Some(_) => return Err(malformed("spec.suspend: expected true or false")),
        },
    })
}

/// What this release does not know has to wait: a newer release may know it, and the CRD is upgraded first.
fn unknown(error: ResolveError) -> UnknownTarget {
    UnknownTarget {
        reason: match error {
            ResolveError::UnknownService { .. } => Reason::UnknownService,
            ResolveError::UnknownVersion { .. } => Reason::UnknownVersion,
            ResolveError::UnknownName { .. } => Reason::UnknownName,
        },
        message: clean(&error.to_string(), &[]),
    }
}

fn accepted_outcomes(
    spec: &Map<String, Value>,
) -> Result<BTreeSet<AcceptedOutcome>, MalformedSpec> {
    let wrong = || {
        malformed(
            "spec.acceptedOutcomes: expected at least one of Cancelled, Completed, Failed, NotFound",
        )
    };
    let names = match field(spec, "acceptedOutcomes") {
        None => return Ok(AcceptedOutcome::DEFAULT.into_iter().collect()),
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => names,
        Some(_) => return Err(wrong()),
    };
    if names.is_empty() {
        return Err(wrong());
    }
    // An outcome that only a newer release knows is never reported by this one.
    Ok(names
        .iter()
        .filter_map(|name| serde_json::from_value(name.clone()).ok())
        .collect())
}

/// A value out of range counts as the nearest valid one: the field can be edited, so it must not end the object.
fn deadline(spec: &Map<String, Value>) -> Result<Duration, MalformedSpec> {
    let seconds = match field(spec, "deadlineSeconds") {
        None => DEFAULT_DEADLINE_SECONDS,
        Some(value) => value.as_i64().ok_or_else(|| {
            malformed("spec.deadlineSeconds: expected a whole number of seconds, 10 to 2592000")
        })?,
    };
    let seconds = seconds.clamp(*DEADLINES.start(), *DEADLINES.end());
    Ok(Duration::from_secs(
        u64::try_from(seconds).unwrap_or_default(),
    ))
}

/// A field that is present and not null.
fn field<'a>(spec: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    spec.get(name).filter(|value| !value.is_null())
}

fn string<'a>(spec: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, MalformedSpec> {
    match field(spec, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(malformed(&format!("spec.{name}: expected a string"))),
    }
}

fn malformed(message: &str) -> MalformedSpec {
    MalformedSpec {
        message: clean(message, &[]),
    }
}

/// Parses JSON; `None` if it is nested too deeply.
fn parse(json: &RawValue) -> Option<Value> {
    serde_json::from_str(json.get()).ok()
}

/// The whole status, or otherwise the fields that can be read.
fn read_status(status: Option<&RawValue>) -> CancellationStatus {
    let Some(status) = status else {
        return CancellationStatus::default();
    };
    // serde would read an array as the fields in their order.
    let whole = status
        .get()
        .starts_with('{')
        .then(|| serde_json::from_str(status.get()).ok())
        .flatten();
    let mut read = whole.unwrap_or_else(|| match parse(status) {
        Some(Value::Object(fields)) => read_piecemeal(&fields),
        _ => CancellationStatus::default(),
    });
    // The watch's selector treats an empty outcome as no outcome.
    read.outcome = read.outcome.filter(|outcome| !outcome.is_empty());
    read
}

fn read_piecemeal(fields: &Map<String, Value>) -> CancellationStatus {
    let readable = fields.iter().filter_map(|(key, value)| {
        let value = match value {
            Value::Array(items) if key == "conditions" => {
                Value::Array(items.iter().filter(|c| is_condition(c)).cloned().collect())
            }
            other => other.clone(),
        };
        let alone = Map::from_iter([(key.clone(), value.clone())]);
        serde_json::from_value::<CancellationStatus>(Value::Object(alone))
            .is_ok()
            .then(|| (key.clone(), value))
    });
    let readable: Map<String, Value> = readable.collect();
    serde_json::from_value(Value::Object(readable)).unwrap_or_default()
}

fn is_condition(value: &Value) -> bool {
    serde_json::from_value::<Condition>(value.clone()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view(spec: Value, status: Value) -> ObjectView {
        let object = json!({
            "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
            "metadata": {
                "name": "stop", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 2,
                "creationTimestamp": "2026-01-02T03:04:05Z",
            },
            "spec": spec, "status": status,
        });
        read(
            serde_json::from_value(object).unwrap(),
            &EndpointOverrides::default(),
        )
        .unwrap()
    }

    fn spec(spec: Value) -> Result<Spec, MalformedSpec> {
        view(spec, json!({})).spec
    }

    #[test]
    fn absent_fields_have_their_defaults() {
        let read = view(
            json!({"operationName": "projects/p/locations/europe-west1/operations/o", "service": "dialogflow"}),
            Value::Null,
        );
        assert_eq!(
            (
                read.uid.as_str(),
                read.resource_version.as_str(),
                read.generation
            ),
            ("u", "7", 2)
        );
        assert_eq!(read.created.to_string(), "2026-01-02T03:04:05Z");
        assert!(!read.deleting);
        assert_eq!(read.status, CancellationStatus::default());
        let spec = read.spec.unwrap();
        let target = spec.target.unwrap();
        assert_eq!(
            (target.service.as_str(), target.version.as_str()),
            ("dialogflow", "v2")
        );
        assert_eq!(
            target.endpoint,
            "https://europe-west1-dialogflow.googleapis.com"
        );
        assert_eq!(spec.deadline, Duration::from_secs(86_400));
        assert_eq!(
            spec.accepted_outcomes,
            AcceptedOutcome::DEFAULT.into_iter().collect()
        );
        assert!(!spec.suspend);
        assert_eq!(spec.service_account_name, None);
    }

    #[test]
    fn what_no_release_could_send_names_field_and_form() {
        const NAME: &str = "projects/p/operations/o";
        for (given, said) in [
            (Value::Null, "spec.operationName"),
            (json!({}), "spec.operationName: missing"),
            (
                json!({"operationName": 5}),
                "spec.operationName: expected a string",
            ),
            (
                json!({"operationName": NAME, "service": 1}),
                "spec.service: expected a string",
            ),
            (
                json!({"operationName": NAME, "version": ["v2"]}),
                "spec.version",
            ),
            (
                json!({"operationName": NAME, "serviceAccountName": ""}),
                "spec.serviceAccountName: empty",
            ),
            (
                json!({"operationName": NAME, "serviceAccountName": {}}),
                "spec.serviceAccountName",
            ),
            (
                json!({"operationName": NAME, "acceptedOutcomes": []}),
                "spec.acceptedOutcomes: expected at least one",
            ),
            (
                json!({"operationName": NAME, "acceptedOutcomes": "Cancelled"}),
                "spec.acceptedOutcomes",
            ),
            (
                json!({"operationName": NAME, "deadlineSeconds": "soon"}),
                "spec.deadlineSeconds",
            ),
            (
                json!({"operationName": NAME, "deadlineSeconds": 10.5}),
                "spec.deadlineSeconds",
            ),
            (
                json!({"operationName": NAME, "suspend": "yes"}),
                "spec.suspend",
            ),
        ] {
            let message = spec(given.clone()).unwrap_err().message;
            assert!(message.contains(said), "{given}: {message}");
        }
    }

    #[test]
    fn deadlines_out_of_range_are_those_of_its_ends() {
        for (given, read) in [
            (0, 10),
            (-5, 10),
            (10, 10),
            (3_000_000, 2_592_000),
            (i64::MAX, 2_592_000),
        ] {
            let spec =
                spec(json!({"operationName": "projects/p/operations/o", "deadlineSeconds": given}))
                    .unwrap();
            assert_eq!(spec.deadline.as_secs(), read, "{given}");
        }
    }

    /// The CRD is upgraded first, so this release must not reject what the CRD accepts.
    #[test]
    fn services_versions_and_names_of_a_newer_release_wait() {
        const NAME: &str = "projects/p/operations/o";
        for (name, service, version, reason, said) in [
            (
                NAME,
                json!("gke"),
                Value::Null,
                Reason::UnknownService,
                "this release does not have it",
            ),
            (
                NAME,
                json!("*"),
                Value::Null,
                Reason::UnknownService,
                "this release does not have it",
            ),
            (
                NAME,
                Value::Null,
                Value::Null,
                Reason::UnknownService,
                "this release does not have it",
            ),
            (
                NAME,
                json!("dialogflow"),
                json!("v9"),
                Reason::UnknownVersion,
                "this release knows",
            ),
            (
                "operations/build/x1",
                json!("dialogflow"),
                Value::Null,
                Reason::UnknownName,
                "this release knows",
            ),
            (
                "organizations/1/operations/o",
                json!("dialogflow"),
                Value::Null,
                Reason::UnknownName,
                "a form of securitycenter",
            ),
            (
                "projects/p/operations/o!",
                json!("dialogflow"),
                Value::Null,
                Reason::UnknownName,
                "expected",
            ),
            (
                "projects/p/operations/..",
                json!("dialogflow"),
                Value::Null,
                Reason::UnknownName,
                "expected",
            ),
            (
                "projects/p/operations/o\n",
                json!("dialogflow"),
                Value::Null,
                Reason::UnknownName,
                "line break",
            ),
            (
                "",
                json!("dialogflow"),
                Value::Null,
                Reason::UnknownName,
                "expected",
            ),
        ] {
            let read = spec(json!({"operationName": name, "service": service, "version": version}));
            let unknown = read.unwrap().target.unwrap_err();
            assert_eq!(unknown.reason, reason, "{name} {service} {version}");
            assert!(
                unknown.message.contains(said),
                "{name:?}: {}",
                unknown.message
            );
        }
    }

    #[test]
    fn outcomes_of_a_newer_release_are_never_reported() {
        let read = spec(
            json!({"operationName": "projects/p/operations/o", "acceptedOutcomes": ["Exploded", "NotFound"]}),
        );
        assert_eq!(
            read.unwrap().accepted_outcomes,
            BTreeSet::from([AcceptedOutcome::NotFound])
        );
    }

    #[test]
    fn one_unreadable_field_of_the_status_does_not_hide_the_others() {
        let good = json!({"type": "Ready", "status": "Unknown", "reason": "Polling", "message": "m",
            "lastTransitionTime": "2026-01-02T03:04:05Z"});
        let status = json!({
            "cancelAttempts": 2, "startTime": "yesterday", "target": "projects/p", "outcome": "",
            "cancelRequestTime": "2026-01-02T03:04:06Z", "conditions": [{"type": 5}, good, null], "newer": {"a": 1},
        });
        let read = view(json!({"operationName": "projects/p/operations/o"}), status).status;
        assert_eq!(read.cancel_attempts, Some(2));
        assert_eq!(
            (read.start_time, read.target, read.outcome),
            (None, None, None)
        );
        assert!(read.cancel_request_time.is_some());
        assert_eq!(
            read.conditions
                .iter()
                .map(|c| c.type_.as_str())
                .collect::<Vec<_>>(),
            ["Ready"]
        );
    }

    #[test]
    fn statuses_of_no_known_shape_are_as_good_as_none() {
        for status in [
            json!("done"),
            json!([1]),
            json!(5),
            json!({"conditions": "none", "operation": 3}),
        ] {
            let read = view(
                json!({"operationName": "projects/p/operations/o"}),
                status.clone(),
            )
            .status;
            assert_eq!(read, CancellationStatus::default(), "{status}");
        }
    }
}
