//! One object as kubectl shows it, and what waiting tools make of it.

use serde_json::Value;

/// An object as the API server has it.
#[derive(Clone, Debug)]
pub struct Object(pub Value);

impl Object {
    /// The text at a JSON pointer; `-` if there is none.
    pub fn text(&self, pointer: &str) -> String {
        match self.0.pointer(pointer) {
            None | Some(Value::Null) => "-".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// `status.outcome`, or `-`.
    pub fn outcome(&self) -> String {
        self.text("/status/outcome")
    }

    /// `status/reason` of a condition, or `-`.
    pub fn condition(&self, type_: &str) -> String {
        self.raw_condition(type_).map_or_else(
            || "-".to_owned(),
            |condition| {
                format!(
                    "{}/{}",
                    condition["status"].as_str().unwrap(),
                    condition["reason"].as_str().unwrap()
                )
            },
        )
    }

    /// A condition's message, or nothing.
    pub fn message(&self, type_: &str) -> String {
        self.raw_condition(type_)
            .and_then(|condition| condition["message"].as_str())
            .unwrap_or_default()
            .to_owned()
    }

    /// All conditions but `Authorized`: CancelRequested, Finished, Ready, Reconciling, Stalled.
    pub fn conditions(&self) -> [String; 5] {
        [
            "CancelRequested",
            "Finished",
            "Ready",
            "Reconciling",
            "Stalled",
        ]
        .map(|type_| self.condition(type_))
    }

    /// What kustomize, Flux and Helm 4 call it: in the order of cli-utils pkg/kstatus/status.
    pub fn kstatus(&self) -> &'static str {
        if self.0.pointer("/metadata/deletionTimestamp").is_some() {
            return "Terminating";
        }
        let observed = self.0.pointer("/status/observedGeneration");
        if observed.is_some_and(|observed| observed != &self.0["metadata"]["generation"]) {
            return "InProgress";
        }
        let is = |type_: &str| {
            self.raw_condition(type_)
                .and_then(|condition| condition["status"].as_str())
        };
        match (is("Reconciling"), is("Stalled"), is("Ready")) {
            (Some("True"), _, _) => "InProgress",
            (_, Some("True"), _) => "Failed",
            (_, _, Some("False" | "Unknown")) => "InProgress",
            _ => "Current",
        }
    }

    fn raw_condition(&self, type_: &str) -> Option<&Value> {
        self.0
            .pointer("/status/conditions")?
            .as_array()?
            .iter()
            .find(|condition| condition["type"] == type_)
    }
}
