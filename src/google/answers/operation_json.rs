//! An operation as GET shows it, and the empty answer of a cancel.
//!
//! Source: google/longrunning/operations.proto; for operations with `status` instead of `done`, the definitions of GKE and Cloud SQL. Of
//! `metadata` and `response` only what [`Operation`] keeps is opened; both may be anything. What is read here is the copy that
//! `operation_stream` makes of an answer.

use serde_json::value::RawValue;

use super::{
    answer::{Operation, OperationError},
    operation_stream::OperationStream,
    proto_json::{NotProtoJson, Object},
    rpc_error::code_name,
};
use crate::google::{catalogue::OperationForm, clean::clean, names::operation_name::OperationName};

const FIELDS: [&str; 5] = ["name", "metadata", "done", "error", "response"];

/// Reads a whole answer that shows an operation, in pieces of any length.
///
/// # Errors
/// As for the answer to a GET. The pieces make no difference.
pub fn read_operation_in_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    form: OperationForm,
    own: Option<&OperationName>,
    secrets: &[&str],
) -> Result<Operation, NotProtoJson> {
    let mut stream = OperationStream::new(form);
    for piece in pieces {
        stream.push(piece)?;
    }
    read_operation(&stream.finish()?, form, own, secrets)
}

/// Reads the answer to GET. Texts in the result are cleaned. `own` is the operation that was asked for, unless its name does not
/// matter.
///
/// # Errors
/// If it is no Operation: not JSON, a key twice, `done` no boolean, or an object with none of an Operation's fields; or if it is
/// not the one asked for.
pub(in super::super) fn read_operation(
    body: &[u8],
    form: OperationForm,
    own: Option<&OperationName>,
    secrets: &[&str],
) -> Result<Operation, NotProtoJson> {
    let operation = Object::from_body(body)?;
    let read = match form {
        OperationForm::Longrunning => read_longrunning(&operation, secrets)?,
        OperationForm::DoneStatus => read_done_status(&operation, secrets)?,
    };
    if let Some(own) = own {
        check_name(&operation.string("name")?.unwrap_or_default(), own)?;
    }
    Ok(read)
}

fn read_longrunning(operation: &Object<'_>, secrets: &[&str]) -> Result<Operation, NotProtoJson> {
    if !operation.keys().any(|key| FIELDS.contains(&key)) {
        // Some gateway's own JSON. As an operation it would read as "still running" for ever.
        return Err(NotProtoJson::new(
            "the JSON has none of an operation's fields",
        ));
    }
    operation.string("name")?;
    if operation.raw("error").is_some() && !operation.boolean("done")? {
        // Some error answer that came with 200. As an operation it would read as "still running".
        return Err(NotProtoJson::new(
            "the JSON has an error although it is not done",
        ));
    }
    let metadata = opened(operation.raw("metadata"))?;
    let response = opened(operation.raw("response"))?;
    let text = |text: String| clean(&text, secrets);
    Ok(Operation {
        done: operation.boolean("done")?,
        metadata_type: metadata.as_ref().and_then(type_name).map(text),
        metadata_state: metadata.as_ref().and_then(state).map(text),
        response_type: response.as_ref().and_then(type_name).map(text),
        has_response: operation.raw("response").is_some(),
        error: operation
            .object("error")?
            .map(|error| read_error(&error, secrets))
            .transpose()?
            .flatten(),
        result_unknown: false,
        reading_took: None,
    })
}

/// An operation that ends with the status `DONE`. If it has no error, it was completed or cancelled: this form does not say which.
fn read_done_status(operation: &Object<'_>, secrets: &[&str]) -> Result<Operation, NotProtoJson> {
    let status = operation
        .string("status")?
        .ok_or_else(|| NotProtoJson::new("the operation has no status"))?;
    let done = status == "DONE";
    let error = match operation.object("error")? {
        Some(error) if done => {
            read_error(&error, secrets)?.or_else(|| listed_error(&error, secrets))
        }
        _ => None,
    };
    Ok(Operation {
        done,
        metadata_type: operation
            .string("operationType")?
            .map(|text| clean(&text, secrets)),
        metadata_state: Some(clean(&status, secrets)),
        response_type: None,
        has_response: false,
        result_unknown: done && error.is_none(),
        error,
        reading_took: None,
    })
}

/// The first of a list of errors. Their codes are the API's own texts. None of these is known to mean that the operation was cancelled, so
/// each is an error like any other.
fn listed_error(error: &Object<'_>, secrets: &[&str]) -> Option<OperationError> {
    let errors = error.objects_that_can_be_read("errors");
    let first = errors.first()?;
    let text = |key: &str| first.string(key).ok().flatten().unwrap_or_default();
    let mut status = clean(&text("code"), secrets);
    if status.is_empty() {
        code_name(UNKNOWN).clone_into(&mut status);
    }
    Some(OperationError {
        code: UNKNOWN,
        status: status.chars().take(LONGEST_STATUS).collect(),
        message: clean(&text("message"), secrets),
    })
}

/// The google.rpc code of an error that has no number.
const UNKNOWN: i32 = 2;

/// The most characters of `status.operation.error.status`.
const LONGEST_STATUS: usize = 63;

/// Whether an answer is about the operation that was asked for. The project may be another text: its number for its id. An API may
/// also leave out the part before the operation. But an operation always has a name (AIP-151).
fn check_name(name: &str, own: &OperationName) -> Result<(), NotProtoJson> {
    if name.is_empty() {
        return Err(NotProtoJson::new("the operation has no name"));
    }
    let mut segments = name.split('/');
    let location = segments
        .find(|segment| *segment == "locations")
        .and_then(|_| segments.next());
    let same_location = location
        .zip(own.location())
        .is_none_or(|(theirs, ours)| theirs == ours);
    if same_location && name.rsplit('/').next() == Some(own.last_segment()) {
        Ok(())
    } else {
        Err(NotProtoJson::new("the name is another operation's"))
    }
}

/// Reads the answer to a cancel that an HTTP status calls a success: nothing, or an object without `error`.
///
/// # Errors
/// If it is anything else, such as a login page.
pub fn read_cancel_accepted(body: &[u8]) -> Result<(), NotProtoJson> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    if Object::from_body(body)?.raw("error").is_some() {
        return Err(NotProtoJson::new("the JSON object has an error"));
    }
    Ok(())
}

/// A `google.rpc.Status`; none if its code is 0 or absent, which means OK whatever else it says.
fn read_error(
    error: &Object<'_>,
    secrets: &[&str],
) -> Result<Option<OperationError>, NotProtoJson> {
    let code = error.int32("code")?;
    let message = error.string("message")?.unwrap_or_default();
    Ok((code != 0).then(|| OperationError {
        code,
        status: code_name(code),
        message: clean(&message, secrets),
    }))
}

/// An opaque value, opened one level deep if it is an object; a key twice there still counts as broken.
fn opened(value: Option<&RawValue>) -> Result<Option<Object<'_>>, NotProtoJson> {
    value
        .filter(|value| value.get().starts_with('{'))
        .map(|value| Object::from_body(value.get().as_bytes()))
        .transpose()
}

/// The last segment of `@type`.
fn type_name(any: &Object<'_>) -> Option<String> {
    let url = any.string("@type").ok().flatten()?;
    let name = url.rsplit('/').next().unwrap_or_default();
    (!name.is_empty()).then(|| name.to_owned())
}

/// `state`, or `genericMetadata.state`; shown and never judged by, so an odd one is simply left out.
fn state(metadata: &Object<'_>) -> Option<String> {
    let own = |object: &Object<'_>| {
        object.string("state").ok().flatten().or_else(|| {
            // ProtoJSON printers can be told to write enums as numbers.
            object.raw("state")?;
            object.int32("state").ok().map(|number| number.to_string())
        })
    };
    own(metadata).or_else(|| {
        let generic = metadata.object("genericMetadata").ok().flatten()?;
        own(&generic)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::google::answers::operation_stream::OperationStream;

    fn read(text: &str) -> Result<Operation, NotProtoJson> {
        read_form(OperationForm::Longrunning, text)
    }

    fn read_form(form: OperationForm, text: &str) -> Result<Operation, NotProtoJson> {
        let mut stream = OperationStream::new(form);
        stream.push(text.as_bytes())?;
        read_operation(&stream.finish()?, form, None, &["secret-token"])
    }

    #[test]
    fn operations_with_a_status_end_with_done() {
        let read = |text: &str| read_form(OperationForm::DoneStatus, text);
        for (text, done, state) in [
            (
                r#"{"name":"operation-1","status":"PENDING"}"#,
                false,
                "PENDING",
            ),
            (
                r#"{"name":"operation-1","status":"ABORTING","error":{"code":1}}"#,
                false,
                "ABORTING",
            ),
            (
                r#"{"name":"operation-1","status":"DONE","done":false}"#,
                true,
                "DONE",
            ),
        ] {
            let operation = read(text).unwrap();
            assert_eq!(operation.done, done, "{text}");
            assert_eq!(operation.metadata_state.as_deref(), Some(state), "{text}");
            assert_eq!(
                (operation.result_unknown, operation.error),
                (done, None),
                "{text}"
            );
        }
        let sql = r#"{"kind":"sql#operation","name":"c0ffee","operationType":"EXPORT","status":"DONE","error":{"kind":"sql#operationErrors",
            "errors":[{"kind":"sql#operationError","code":"ERROR_RDBMS","message":"no secret-token"},{"code":"OTHER"}]},"other":[[{}],1]}"#;
        let operation = read(sql).unwrap();
        assert_eq!(operation.metadata_type.as_deref(), Some("EXPORT"));
        let error = operation.error.unwrap();
        assert_eq!((error.code, error.status.as_str()), (2, "ERROR_RDBMS"));
        assert_eq!(error.message, "no [token removed]");
        assert!(!operation.result_unknown);
        for (error, code) in [
            (r#"{"code":1,"message":"cancelled"}"#, Some(1)),
            (r#"{"code":13}"#, Some(13)),
            (r#"{"code":0}"#, None),
            ("{}", None),
            ("null", None),
            (r#"{"errors":[]}"#, None),
            (r#"{"errors":[1,{"code":"CANCELLED"}]}"#, Some(2)),
            (r#"{"errors":[{}]}"#, Some(2)),
        ] {
            let text = format!(r#"{{"name":"n","status":"DONE","error":{error}}}"#);
            let operation = read(&text).unwrap();
            assert_eq!(operation.error.map(|error| error.code), code, "{text}");
            assert_eq!(operation.result_unknown, code.is_none(), "{text}");
        }
        for text in [
            r#"{"name":"n","done":true}"#,
            r#"{"name":"n","status":1}"#,
            r#"{"name":"n","status":"DONE","error":[]}"#,
            r#"{"name":"n","status":"DONE","error":{"code":"x"}}"#,
            r#"{"name":"n","status":"DONE","status":"RUNNING"}"#,
            r#"{"error":{"code":404}}"#,
            r#"{"name":"n","status":"DONE""#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_name_is_that_of_the_operation_asked_for() {
        let own = OperationName::parse("projects/acme/locations/eu/operations/o-1").unwrap();
        for (name, good) in [
            (r#""projects/acme/locations/eu/operations/o-1""#, true),
            (r#""projects/123/locations/eu/operations/o-1""#, true),
            (
                r#""projects\/123\/locations\/eu\/operations\/\u006f-1""#,
                true,
            ),
            (r#""projects/acme/operations/o-1""#, true),
            (r#""operations/o-1""#, true),
            (r#""o-1""#, true),
            (r#""projects/acme/locations/us/operations/o-1""#, false),
            (r#""projects/acme/locations/eu/operations/o-2""#, false),
            (r#""projects/acme/locations/eu/operations/o-1/""#, false),
            (r#""""#, false),
            ("null", false),
        ] {
            let text = format!(r#"{{"name":{name},"done":true}}"#);
            let read = read_operation(text.as_bytes(), OperationForm::Longrunning, Some(&own), &[]);
            assert_eq!(read.is_ok(), good, "{name}: {read:?}");
        }
        let absent = read_operation(
            br#"{"done":true}"#,
            OperationForm::Longrunning,
            Some(&own),
            &[],
        )
        .unwrap_err();
        assert_eq!(absent.to_string(), "the operation has no name");
        let wide = OperationName::parse("projects/acme/operations/o-1").unwrap();
        let with_location = br#"{"name":"projects/acme/locations/eu/operations/o-1"}"#;
        assert!(
            read_operation(with_location, OperationForm::Longrunning, Some(&wide), &[]).is_ok()
        );
    }

    #[test]
    fn running_operations() {
        for text in [
            r#"{"name":"projects/p/operations/o"}"#,
            r#"{"name":"n","done":false}"#,
            r#"{"name":"n","done":null,"error":null,"response":null,"metadata":null}"#,
            r#"{"name":"n","futureField":[1,2,{"a":"b"}]}"#,
        ] {
            assert_eq!(read(text).unwrap(), Operation::default(), "{text}");
        }
        let text = r#"{"name":"n","metadata":{"@type":"type.googleapis.com/google.cloud.dialogflow.v2.X","genericMetadata":{"state":"CANCELLING"}}}"#;
        let operation = read(text).unwrap();
        assert_eq!(
            operation.metadata_type.as_deref(),
            Some("google.cloud.dialogflow.v2.X")
        );
        assert_eq!(operation.metadata_state.as_deref(), Some("CANCELLING"));
        assert!(!operation.done);
    }

    #[test]
    fn ended_operations() {
        let error = |text: &str| {
            let operation = read(text).unwrap();
            assert!(operation.done, "{text}");
            operation.error.map(|e| (e.code, e.status, e.message))
        };
        assert_eq!(
            error(r#"{"done":true,"error":{"code":1,"message":"stopped"}}"#),
            Some((1, "CANCELLED".to_owned(), "stopped".to_owned()))
        );
        assert_eq!(
            error(r#"{"done":true,"error":{"code":"13"}}"#),
            Some((13, "INTERNAL".to_owned(), String::new()))
        );
        assert_eq!(
            error(r#"{"done":true,"error":{"code":99,"message":"a secret-token\n"}}"#),
            Some((99, "CODE_99".to_owned(), "a [token removed]".to_owned()))
        );
        for none in [
            r#"{"done":true}"#,
            r#"{"done":true,"error":{}}"#,
            r#"{"done":true,"error":{"code":0,"message":"fine"}}"#,
            r#"{"done":true,"error":null}"#,
        ] {
            assert_eq!(error(none), None, "{none}");
        }
    }

    #[test]
    fn responses_stay_opaque() {
        for (response, type_name) in [
            (
                r#"{"@type":"type.googleapis.com/a.B","x":{"y":[[]]}}"#,
                Some("a.B"),
            ),
            (r#"{"@type":7}"#, None),
            (r#"{"@type":"x/"}"#, None),
            ("{}", None),
            (r#""text""#, None),
            ("[1]", None),
        ] {
            let operation = read(&format!("{{\"done\":true,\"response\":{response}}}")).unwrap();
            assert!(operation.has_response, "{response}");
            assert_eq!(operation.response_type.as_deref(), type_name, "{response}");
        }
        let deep = format!(
            "{{\"done\":true,\"response\":{{\"a\":{}1{}}}}}",
            "[".repeat(200_000),
            "]".repeat(200_000)
        );
        assert!(read(&deep).unwrap().has_response);
        let both = read(r#"{"done":true,"response":{},"error":{"code":1}}"#).unwrap();
        assert!(both.has_response && both.error.is_some());
    }

    #[test]
    fn what_is_no_operation_is_unrecognised() {
        for (text, said) in [
            (r#"{"name":"n","done":"true"}"#, "done is not true or false"),
            (r#"{"name":"n","done":1}"#, "done is not true or false"),
            (
                r#"{"name":"n","done":true,"done":false}"#,
                "a key comes twice",
            ),
            (
                r#"{"done":true,"error":{"code":1,"code":0}}"#,
                "error: a key comes twice",
            ),
            (
                r#"{"done":true,"response":{"@type":"a","@type":"b"}}"#,
                "a key comes twice",
            ),
            (
                r#"{"done":true,"error":{"code":"x"}}"#,
                "code is not a 32-bit integer",
            ),
            (
                r#"{"done":true,"error":"x"}"#,
                "error: the JSON has another shape",
            ),
            (r#"{"name":7}"#, "name is not a string"),
            (r#"{"login":"please"}"#, "none of an operation's fields"),
            ("{}", "none of an operation's fields"),
            ("[]", "another shape"),
            ("", "ends too early"),
            (r#"{"name":"n","done":tr}"#, "not JSON"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn states_are_shown_whatever_they_are() {
        for (metadata, state) in [
            (r#"{"state":"RUNNING"}"#, Some("RUNNING")),
            (r#"{"state":3}"#, Some("3")),
            (r#"{"state":{}}"#, None),
            (
                r#"{"state":null,"genericMetadata":{"state":"DONE"}}"#,
                Some("DONE"),
            ),
            (r#"{"genericMetadata":"x"}"#, None),
            ("{}", None),
            ("[]", None),
        ] {
            let operation = read(&format!("{{\"name\":\"n\",\"metadata\":{metadata}}}")).unwrap();
            assert_eq!(operation.metadata_state.as_deref(), state, "{metadata}");
        }
    }

    #[test]
    fn a_cancel_is_taken_by_nothing_or_an_object_without_an_error() {
        for body in ["", " \n", "{}", " { }\n", r#"{"a":1}"#, r#"{"error":null}"#] {
            assert!(read_cancel_accepted(body.as_bytes()).is_ok(), "{body}");
        }
        for body in [
            "[]",
            "null",
            "{",
            "<html>",
            r#"{"error":{"code":403}}"#,
            r#"{"error":"x"}"#,
        ] {
            assert!(read_cancel_accepted(body.as_bytes()).is_err(), "{body}");
        }
    }
}
