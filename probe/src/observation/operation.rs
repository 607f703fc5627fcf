//! An operation as one GET showed it, with what the rest of opcancel does not keep.

use serde::{Deserialize, Serialize};

use super::keys;
use opcancel::google::{
    answer::Operation, client::Observation as RawAnswer, operation_name::OperationName,
};

/// An operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedOperation {
    /// `done`.
    pub done: bool,
    /// `error.code`.
    pub error_code: Option<i32>,
    /// The name of that code.
    pub error_status: Option<String>,
    /// How `name` relates to the one that was asked for.
    pub name: NameForm,
    /// The names of the operation's members.
    pub keys: Vec<String>,
    /// The type of `metadata`.
    pub metadata_type: Option<String>,
    /// The state in `metadata`.
    pub metadata_state: Option<String>,
    /// The names of the members of `metadata`.
    pub metadata_keys: Vec<String>,
    /// The type of `response`.
    pub response_type: Option<String>,
}

/// How an answer names an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NameForm {
    /// As it was asked for.
    AsAsked,
    /// With the project's number in place of its id.
    ProjectNumber,
    /// With another project in place of the number.
    ProjectId,
    /// The same operation at another place.
    ElsewhereInAnswer,
    /// Only the id, as operations with `status` have it.
    IdAlone,
    /// Another operation, or none.
    #[default]
    Other,
}

impl ObservedOperation {
    pub(super) fn new(
        raw: &RawAnswer,
        operation: &Operation,
        asked: Option<&OperationName>,
    ) -> Self {
        let body = raw.object();
        let member = |key: &str| body.as_ref()?.object(key).ok().flatten();
        let name = body
            .as_ref()
            .and_then(|body| body.string("name").ok().flatten());
        let has_status = body
            .as_ref()
            .is_some_and(|body| body.raw("status").is_some());
        Self {
            done: operation.done,
            error_code: operation.error.as_ref().map(|error| error.code),
            error_status: operation.error.as_ref().map(|error| error.status.clone()),
            name: name_form(name.as_deref(), asked, has_status),
            keys: body
                .as_ref()
                .map(|body| keys(raw, body))
                .unwrap_or_default(),
            metadata_type: operation.metadata_type.clone(),
            metadata_state: operation.metadata_state.clone(),
            metadata_keys: member("metadata")
                .map(|metadata| keys(raw, &metadata))
                .unwrap_or_default(),
            response_type: operation.response_type.clone(),
        }
    }
}

fn name_form(name: Option<&str>, asked: Option<&OperationName>, has_status: bool) -> NameForm {
    if has_status && name.is_some() && name == asked.map(OperationName::last_segment) {
        return NameForm::IdAlone;
    }
    if name.is_some() && name == asked.map(OperationName::as_str) {
        return NameForm::AsAsked;
    }
    let number = |project: &str| project.bytes().all(|b| b.is_ascii_digit());
    let (Some(name), Some(asked)) = (name.and_then(|n| OperationName::parse(n).ok()), asked) else {
        return NameForm::Other;
    };
    let (Some(asked_project), Some(project)) = (asked.project(), name.project()) else {
        return NameForm::Other;
    };
    let project = match (number(asked_project), number(project)) {
        _ if project == asked_project => NameForm::AsAsked,
        (false, true) => NameForm::ProjectNumber,
        (true, false) => NameForm::ProjectId,
        _ => NameForm::Other,
    };
    if name.last_segment() != asked.last_segment() || project == NameForm::Other {
        NameForm::Other
    } else if name.location() != asked.location() {
        NameForm::ElsewhereInAnswer
    } else {
        project
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_compared_as_google_may_spell_it() {
        for (asked, name, form) in [
            (
                "projects/p/operations/o",
                "projects/p/operations/o",
                NameForm::AsAsked,
            ),
            (
                "projects/p/operations/o",
                "projects/12/operations/o",
                NameForm::ProjectNumber,
            ),
            (
                "projects/12/operations/o",
                "projects/p/operations/o",
                NameForm::ProjectId,
            ),
            (
                "projects/p/operations/o",
                "projects/p/locations/global/operations/o",
                NameForm::ElsewhereInAnswer,
            ),
            (
                "projects/p/operations/o",
                "projects/q/operations/o",
                NameForm::Other,
            ),
            (
                "projects/p/operations/o",
                "projects/q/locations/global/operations/o",
                NameForm::Other,
            ),
            (
                "projects/12/operations/o",
                "projects/13/operations/o",
                NameForm::Other,
            ),
            (
                "projects/p/operations/o",
                "projects/p/operations/x",
                NameForm::Other,
            ),
            ("projects/p/operations/o", "", NameForm::Other),
        ] {
            let asked = OperationName::parse(asked).unwrap();
            assert_eq!(name_form(Some(name), Some(&asked), false), form, "{name}");
        }
        for (asked, name, has_status, form) in [
            ("projects/p/operations/o", "o", true, NameForm::IdAlone),
            ("projects/p/operations/o", "o", false, NameForm::Other),
            ("projects/p/operations/o", "x", true, NameForm::Other),
            ("projects/p/operations/o", "", true, NameForm::Other),
            (
                "operations/build/p/o",
                "operations/build/p/o",
                false,
                NameForm::AsAsked,
            ),
            (
                "operations/build/p/o",
                "operations/build/q/o",
                false,
                NameForm::Other,
            ),
        ] {
            let asked = OperationName::parse(asked).unwrap();
            assert_eq!(
                name_form(Some(name), Some(&asked), has_status),
                form,
                "{name}"
            );
        }
    }
}
