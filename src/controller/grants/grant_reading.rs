//! Reads one CancellationGrant, which may be from a newer release.
//!
//! Guarantees: a grant with an unknown field grants nothing, because the field may be a restriction; an unknown identity does not
//! affect the other identities of the grant; a grant that cannot be read grants nothing.

use std::{collections::BTreeMap, sync::LazyLock};

use schemars::{Schema, schema_for};
use serde_json::{Value, value::RawValue};

use crate::{
    api::{CancellationGrantSpec, IdentityKind},
    controller::{api_server::raw_object::RawObject, grants::label_selector::LabelSelector},
    google::clean::clean,
    telemetry::series::GrantState,
};

/// The fields of a grant's spec that this release knows.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| schema_for!(CancellationGrantSpec));

/// What a grant means to this release.
#[derive(Debug, PartialEq)]
pub struct GrantReading {
    /// What it grants; `None` if nothing.
    pub spec: Option<CancellationGrantSpec>,
    /// Its state in metrics.
    pub state: GrantState,
    /// What is wrong with it, and what to do.
    pub problem: Option<String>,
}

impl GrantReading {
    /// Reads it; `None` if it is being deleted: it grants nothing, and that is no problem to report.
    pub fn of(object: &RawObject) -> Option<Self> {
        if object.metadata.deletion_timestamp.is_some() {
            return None;
        }
        Some(match &object.spec {
            Some(spec) => Self::of_spec(spec),
            None => Self::nothing(GrantState::Invalid, "it has no spec"),
        })
    }

    fn of_spec(spec: &RawValue) -> Self {
        let mut fields: BTreeMap<String, Value> = match serde_json::from_str(spec.get()) {
            Ok(fields) => fields,
            Err(error) => return Self::unreadable(&error),
        };
        let unknown: Vec<_> = fields
            .keys()
            .filter(|field| !is_known(field))
            .map(|field| format!("spec.{field}"))
            .collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            return Self::nothing(
                GrantState::UnknownField,
                &format!(
                    "this release does not know {unknown}, which may be a restriction; upgrade the controller"
                ),
            );
        }
        let unknown = match fields.get_mut("identities") {
            Some(Value::Array(identities)) => identities
                .extract_if(.., |identity| {
                    identity.is_string() && !is_known_identity(identity)
                })
                .map(|identity| identity.to_string())
                .collect(),
            _ => Vec::new(),
        };
        let spec: CancellationGrantSpec =
            match serde_json::from_value(Value::Object(fields.into_iter().collect())) {
                Ok(spec) => spec,
                Err(error) => return Self::unreadable(&error),
            };
        if let Err(why) = check_namespaces(&spec) {
            return Self::nothing(GrantState::Invalid, &why);
        }
        if unknown.is_empty() {
            return Self {
                spec: Some(spec),
                state: GrantState::Valid,
                problem: None,
            };
        }
        let known: Vec<_> = spec.identities.iter().map(|kind| kind.name()).collect();
        let grants = match known.is_empty() {
            true => "it grants nothing".to_owned(),
            false => format!("it grants what it says for {}", known.join(" and ")),
        };
        let unknown = unknown.join(", ");
        let problem = format!(
            "{grants}: this release does not know {unknown} in spec.identities; upgrade the controller"
        );
        Self {
            spec: Some(spec),
            state: GrantState::UnknownIdentity,
            problem: Some(clean(&problem, &[])),
        }
    }

    fn unreadable(error: &serde_json::Error) -> Self {
        Self::nothing(GrantState::Invalid, &format!("it cannot be read: {error}"))
    }

    fn nothing(state: GrantState, why: &str) -> Self {
        Self {
            spec: None,
            state,
            problem: Some(clean(&format!("it grants nothing: {why}"), &[])),
        }
    }
}

/// Checks that it says in one way which namespaces it is for. The CRD checks this too.
fn check_namespaces(spec: &CancellationGrantSpec) -> Result<(), String> {
    match (&spec.namespace_selector, spec.namespaces.is_empty()) {
        (None, false) => Ok(()),
        (Some(selector), true) => LabelSelector::new(selector)
            .map(drop)
            .map_err(|why| format!("spec.namespaceSelector is invalid: {why}")),
        (None, true) => Err("it has neither spec.namespaces nor spec.namespaceSelector".to_owned()),
        (Some(_), false) => {
            Err("it has both spec.namespaces and spec.namespaceSelector; use two grants".to_owned())
        }
    }
}

fn is_known(field: &str) -> bool {
    let properties = SCHEMA.get("properties").and_then(Value::as_object);
    properties.is_some_and(|properties| properties.contains_key(field))
}

fn is_known_identity(identity: &Value) -> bool {
    serde_json::from_value::<IdentityKind>(identity.clone()).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(spec: &Value) -> GrantReading {
        let object = json!({"metadata": {"name": "g"}, "spec": spec});
        GrantReading::of(&serde_json::from_str(&object.to_string()).unwrap()).unwrap()
    }

    fn with(field: &str, value: Value) -> Value {
        let mut spec = json!({"namespaces": ["a"], "projects": ["p"], "services": ["dialogflow"],
            "identities": ["Operator"]});
        spec[field] = value;
        spec
    }

    #[test]
    fn every_field_of_this_release_is_known() {
        let whole = read(&with("identities", json!(["Operator", "ServiceAccount"])));
        assert_eq!((whole.state, &whole.problem), (GrantState::Valid, &None));
        let spec = serde_json::to_value(whole.spec.unwrap()).unwrap();
        for field in spec.as_object().unwrap().keys() {
            assert!(is_known(field), "{field}");
        }
        let selecting = read(&selecting(json!({"matchLabels": {"team": "a"}})));
        assert_eq!(
            (selecting.state, selecting.problem),
            (GrantState::Valid, None)
        );
    }

    /// A grant with a selector instead of names.
    fn selecting(selector: Value) -> Value {
        let mut spec = with("namespaceSelector", selector);
        spec.as_object_mut().unwrap().remove("namespaces");
        spec
    }

    #[test]
    fn a_grant_says_in_one_valid_way_which_namespaces_it_is_for() {
        let mut neither = with("namespaces", json!([]));
        let both = with("namespaceSelector", json!({"matchLabels": {"a": "b"}}));
        for (spec, said) in [
            (neither.clone(), "neither spec.namespaces nor"),
            (
                {
                    neither.as_object_mut().unwrap().remove("namespaces");
                    neither
                },
                "neither spec.namespaces nor",
            ),
            (both, "use two grants"),
            (selecting(json!({})), "no requirement"),
            (selecting(json!({"matchLabels": {"a": "b*"}})), "\"b*\""),
            (
                selecting(json!({"matchLabels": {"a": ["b"]}})),
                "cannot be read",
            ),
            (selecting(json!({"matchNames": ["b"]})), "matchNames"),
            (selecting(json!(null)), "neither spec.namespaces nor"),
            (selecting(json!("a=b")), "cannot be read"),
            (
                selecting(
                    json!({"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}),
                ),
                "Like",
            ),
        ] {
            let grant = read(&spec);
            assert_eq!(
                (grant.state, grant.spec),
                (GrantState::Invalid, None),
                "{spec}"
            );
            let problem = grant.problem.unwrap();
            assert!(
                problem.starts_with("it grants nothing") && problem.contains(said),
                "{spec}: {problem}"
            );
        }
    }

    #[test]
    fn a_field_that_is_not_known_may_be_a_restriction() {
        for value in [json!("2030-01-01"), json!(null), json!([]), json!({"a": 1})] {
            let grant = read(&with("notAfter", value));
            assert_eq!((grant.state, grant.spec), (GrantState::UnknownField, None));
            let problem = grant.problem.unwrap();
            assert!(problem.starts_with("it grants nothing") && problem.contains("spec.notAfter"));
        }
    }

    #[test]
    fn an_identity_that_is_not_known_takes_nothing_from_the_others() {
        for (identities, known) in [
            (json!(["Fleet"]), vec![]),
            (json!(["Fleet", "Operator"]), vec![IdentityKind::Operator]),
            (
                json!(["ServiceAccount", "Fleet", "Robot"]),
                vec![IdentityKind::ServiceAccount],
            ),
        ] {
            let grant = read(&with("identities", identities));
            assert_eq!(grant.state, GrantState::UnknownIdentity);
            let spec = grant.spec.unwrap();
            assert_eq!(spec.identities.into_iter().collect::<Vec<_>>(), known);
            assert!(grant.problem.unwrap().contains("\"Fleet\""));
        }
    }

    #[test]
    fn what_cannot_be_read_grants_nothing() {
        for spec in [
            json!(null),
            json!([]),
            json!({}),
            with("projects", json!("p")),
            with("identities", json!("Operator")),
            with("identities", json!([1])),
            with("identities", json!(null)),
        ] {
            let grant = read(&spec);
            assert_eq!((grant.state, grant.spec), (GrantState::Invalid, None));
            assert!(grant.problem.unwrap().starts_with("it grants nothing"));
        }
    }

    #[test]
    fn one_that_is_being_deleted_is_none() {
        let object = json!({"metadata": {"name": "g", "deletionTimestamp": "2026-01-02T03:04:05Z"},
            "spec": with("projects", json!(["p"]))});
        let object: RawObject = serde_json::from_str(&object.to_string()).unwrap();
        assert_eq!(GrantReading::of(&object), None);
    }
}
