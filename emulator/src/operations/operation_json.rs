//! Operations as JSON, by ProtoJSON's rules: a `done` that is false is left out.

use serde_json::{Map, Value, json};

use crate::{
    operations::operation::Phase,
    protocol::{bindings::OperationForm, rpc_code::RpcCode},
    scenario::script::{EndResult, Failure, MetadataScript, Script, StatePlace},
};

/// The answer to a GET in this phase; `None` if the operation is absent.
pub fn operation_json(
    name: &str,
    script: &Script,
    phase: &Phase,
    form: OperationForm,
) -> Option<Value> {
    match form {
        OperationForm::Longrunning => longrunning_json(name, script, phase),
        OperationForm::Status => status_json(name, script, phase, "ABORTING", |failure| {
            error(failure.code, &failure.message, &failure.details)
        }),
        OperationForm::StatusAndErrors => status_json(
            name,
            script,
            phase,
            "RUNNING",
            |failure| json!({"errors": [{"code": failure.code.name(), "message": failure.message}]}),
        ),
    }
}

/// The form of GKE and Cloud SQL. A cancelled operation is done like a completed one: whether they say more is not documented.
fn status_json(
    name: &str,
    script: &Script,
    phase: &Phase,
    cancelling: &str,
    error: impl FnOnce(&Failure) -> Value,
) -> Option<Value> {
    let status = match phase {
        Phase::Absent => return None,
        Phase::Running => "RUNNING",
        Phase::Cancelling => cancelling,
        Phase::Cancelled | Phase::Ended(_) => "DONE",
    };
    let name = name.rsplit('/').next().unwrap_or_default();
    let name = script.name_in_answer.as_deref().unwrap_or(name);
    let mut operation = Map::from_iter([
        ("name".to_owned(), name.into()),
        ("status".to_owned(), status.into()),
    ]);
    match phase {
        Phase::Ended(EndResult::Failed(failure)) => {
            operation.insert("error".into(), error(failure));
        }
        Phase::Ended(EndResult::EmptyError) => {
            operation.insert("error".into(), json!({}));
        }
        Phase::Ended(EndResult::Raw(fields)) => operation.extend(fields.clone()),
        _ => {}
    }
    Some(Value::Object(operation))
}

fn longrunning_json(name: &str, script: &Script, phase: &Phase) -> Option<Value> {
    let mut operation = Map::new();
    operation.insert(
        "name".into(),
        script.name_in_answer.as_deref().unwrap_or(name).into(),
    );
    if let Some(metadata) = &script.metadata {
        operation.insert("metadata".into(), metadata_json(metadata, phase));
    }
    let result = match phase {
        Phase::Absent => return None,
        Phase::Running | Phase::Cancelling => None,
        Phase::Cancelled | Phase::Ended(EndResult::CancelledElsewhere) => Some((
            "error",
            error(RpcCode::Cancelled, "The operation was cancelled.", &[]),
        )),
        Phase::Ended(EndResult::Completed(response)) => {
            let mut any = Map::new();
            any.insert("@type".into(), response.type_url.clone().into());
            any.extend(response.fields.clone());
            Some(("response", Value::Object(any)))
        }
        Phase::Ended(EndResult::Failed(failure)) => Some((
            "error",
            error(failure.code, &failure.message, &failure.details),
        )),
        Phase::Ended(EndResult::EmptyError) => Some(("error", json!({}))),
        Phase::Ended(EndResult::NoResult) => None,
        Phase::Ended(EndResult::Raw(fields)) => {
            operation.extend(fields.clone());
            return Some(Value::Object(operation));
        }
    };
    if matches!(phase, Phase::Cancelled | Phase::Ended(_)) {
        operation.insert("done".into(), true.into());
    }
    if let Some((key, value)) = result {
        operation.insert(key.into(), value);
    }
    Some(Value::Object(operation))
}

/// The text of the state in this phase.
pub fn state_name<'a>(metadata: &'a MetadataScript, phase: &Phase) -> &'a str {
    let states = &metadata.states;
    match phase {
        Phase::Absent | Phase::Running => &states.running,
        Phase::Cancelling => &states.cancelling,
        Phase::Cancelled | Phase::Ended(EndResult::CancelledElsewhere) => &states.cancelled,
        Phase::Ended(EndResult::Failed(_)) => &states.failed,
        Phase::Ended(_) => &states.succeeded,
    }
}

fn metadata_json(metadata: &MetadataScript, phase: &Phase) -> Value {
    let mut json = Map::new();
    if let Some(type_url) = &metadata.type_url {
        json.insert("@type".into(), type_url.clone().into());
    }
    json.extend(metadata.fields.clone());
    if metadata.padding > 0 {
        json.insert("padding".into(), "x".repeat(metadata.padding).into());
    }
    let state = Value::from(state_name(metadata, phase));
    match metadata.state {
        StatePlace::Top => {
            json.insert("state".into(), state);
        }
        StatePlace::Generic => {
            let generic = json.entry("genericMetadata").or_insert_with(|| json!({}));
            if let Value::Object(fields) = generic {
                fields.insert("state".into(), state);
            }
        }
        StatePlace::None => {}
    }
    Value::Object(json)
}

fn error(code: RpcCode, message: &str, details: &[Value]) -> Value {
    let mut status = Map::new();
    status.insert("code".into(), code.number().into());
    status.insert("message".into(), message.into());
    if !details.is_empty() {
        status.insert("details".into(), details.into());
    }
    Value::Object(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::script::Response;

    const NAME: &str = "projects/p/operations/o";

    #[test]
    fn shows_each_phase_as_google_does() {
        let failure = Failure {
            code: RpcCode::Internal,
            message: "boom".into(),
            details: vec![json!({"@type": "t"})],
        };
        let response = Response {
            type_url: "T".into(),
            ..Response::default()
        };
        let raw = Map::from_iter([("done".to_owned(), json!("true"))]);
        for (phase, expected) in [
            (Phase::Running, json!({"name": NAME})),
            (Phase::Cancelling, json!({"name": NAME})),
            (
                Phase::Cancelled,
                json!({"name": NAME, "done": true, "error": {"code": 1, "message": "The operation was cancelled."}}),
            ),
            (
                Phase::Ended(EndResult::Completed(response)),
                json!({"name": NAME, "done": true, "response": {"@type": "T"}}),
            ),
            (
                Phase::Ended(EndResult::Failed(failure)),
                json!({"name": NAME, "done": true, "error": {"code": 13, "message": "boom", "details": [{"@type": "t"}]}}),
            ),
            (
                Phase::Ended(EndResult::NoResult),
                json!({"name": NAME, "done": true}),
            ),
            (
                Phase::Ended(EndResult::EmptyError),
                json!({"name": NAME, "done": true, "error": {}}),
            ),
            (
                Phase::Ended(EndResult::Raw(raw)),
                json!({"name": NAME, "done": "true"}),
            ),
        ] {
            assert_eq!(
                longrunning_json(NAME, &Script::default(), &phase),
                Some(expected)
            );
        }
        assert_eq!(
            longrunning_json(NAME, &Script::default(), &Phase::Absent),
            None
        );
    }

    #[test]
    fn operations_with_a_status_have_the_forms_of_gke_and_of_cloud_sql() {
        let failure = Failure {
            code: RpcCode::Internal,
            message: "boom".into(),
            details: Vec::new(),
        };
        for (phase, form, expected) in [
            (
                Phase::Running,
                OperationForm::Status,
                json!({"name": "o", "status": "RUNNING"}),
            ),
            (
                Phase::Cancelling,
                OperationForm::Status,
                json!({"name": "o", "status": "ABORTING"}),
            ),
            (
                Phase::Cancelled,
                OperationForm::Status,
                json!({"name": "o", "status": "DONE"}),
            ),
            (
                Phase::Ended(EndResult::Failed(failure.clone())),
                OperationForm::Status,
                json!({"name": "o", "status": "DONE", "error": {"code": 13, "message": "boom"}}),
            ),
            (
                Phase::Ended(EndResult::Failed(failure)),
                OperationForm::StatusAndErrors,
                json!({"name": "o", "status": "DONE", "error": {"errors": [{"code": "INTERNAL", "message": "boom"}]}}),
            ),
        ] {
            let json = operation_json(NAME, &Script::default(), &phase, form);
            assert_eq!(json, Some(expected));
        }
    }

    #[test]
    fn the_state_stands_where_the_script_says() {
        let with = |state| Script {
            metadata: Some(MetadataScript {
                state,
                ..MetadataScript::default()
            }),
            ..Script::default()
        };
        for (place, expected) in [
            (StatePlace::Top, json!({"state": "CANCELLING"})),
            (
                StatePlace::Generic,
                json!({"genericMetadata": {"state": "CANCELLING"}}),
            ),
            (StatePlace::None, json!({})),
        ] {
            let json = longrunning_json(NAME, &with(place), &Phase::Cancelling).expect("present");
            assert_eq!(json["metadata"], expected);
        }
    }
}
