//! The answer to GET: read strictly, the same in pieces of any length, and bounded.

use opcancel::google::{
    answer::Operation, catalogue::OperationForm, operation_json::read_operation_in_pieces,
    operation_name::OperationName,
};
use serde_json::Value;

use crate::cleaned_text::{self, SENT};

const NAME: &str = "projects/p/locations/eu/operations/o";

/// Checks any bytes as an answer, in both forms.
pub fn check(data: &[u8]) {
    let own = OperationName::parse(NAME).unwrap();
    for form in [OperationForm::Longrunning, OperationForm::DoneStatus] {
        for own in [None, Some(&own)] {
            let whole = read_operation_in_pieces([data], form, own, &[SENT]);
            let bytes = read_operation_in_pieces(data.chunks(1), form, own, &[SENT]);
            assert_eq!(whole, bytes, "byte by byte");
            let some = read_operation_in_pieces(data.chunks(7), form, own, &[SENT]);
            assert_eq!(whole, some, "in pieces");
            let Ok(operation) = whole else { continue };
            check_texts(&operation);
            check_against_serde(data, &operation, form, own);
        }
    }
}

fn check_texts(operation: &Operation) {
    let error = operation.error.as_ref();
    assert!(error.is_none_or(|error| error.code != 0));
    let texts = [
        operation.metadata_type.as_ref(),
        operation.metadata_state.as_ref(),
        operation.response_type.as_ref(),
        error.map(|error| &error.status),
        error.map(|error| &error.message),
    ];
    for text in texts.into_iter().flatten() {
        cleaned_text::check(text, 1024);
    }
}

/// What was accepted is JSON to another parser too, and says the same.
fn check_against_serde(
    data: &[u8],
    operation: &Operation,
    form: OperationForm,
    own: Option<&OperationName>,
) {
    let value: Value = match serde_json::from_slice(data) {
        Ok(value) => value,
        Err(error) => {
            let why = error.to_string();
            // Both are JSON.
            let is_limit = why.contains("recursion limit") || why.contains("out of range");
            assert!(is_limit, "it is not JSON: {why}");
            return;
        }
    };
    let done = match form {
        OperationForm::Longrunning => value["done"] == Value::Bool(true),
        OperationForm::DoneStatus => value["status"] == "DONE",
    };
    assert_eq!(operation.done, done);
    if form == OperationForm::Longrunning {
        assert_eq!(operation.has_response, !value["response"].is_null());
        let code = value["error"]["code"].as_i64();
        if let (Some(code), Some(error)) = (code, &operation.error) {
            assert_eq!(i64::from(error.code), code);
        }
    }
    if let Some(own) = own {
        let name = value["name"].as_str().unwrap();
        assert_eq!(name.rsplit('/').next(), Some(own.last_segment()));
    }
}
