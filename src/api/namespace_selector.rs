//! The selector of a grant: which namespaces, by their labels. It is a Kubernetes label selector.

use std::collections::{BTreeMap, BTreeSet};

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Selects namespaces by their labels, as in NetworkPolicies. All requirements must match. A selector without any requirement is
/// invalid: for all namespaces, use `namespaces: ["*"]`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
// A field of a newer release may be a requirement.
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.matchLabels) || has(self.matchExpressions)").message("at least one of matchLabels and matchExpressions is required; for all namespaces, use namespaces: [\"*\"]")
)]
pub struct NamespaceSelector {
    /// The labels that a namespace must have, with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic", "minProperties" = 1, "maxProperties" = 16))]
    pub match_labels: BTreeMap<String, String>,

    /// More requirements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// A requirement on one label.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!(self.operator in ['In', 'NotIn']) || has(self.values)").message("values is required for the operators In and NotIn").field_path(".values"),
    validation = Rule::new("!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values)").message("values is not allowed for the operators Exists and DoesNotExist").field_path(".values")
)]
pub struct LabelRequirement {
    /// The key of the label, such as kubernetes.io/metadata.name.
    #[schemars(length(max = 317))]
    pub key: String,

    /// In and NotIn compare the label with `values`; Exists and DoesNotExist have no values. NotIn and DoesNotExist also match
    /// namespaces without the label.
    pub operator: LabelOperator,

    /// The values for In and NotIn.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(min = 1, max = 100), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: BTreeSet<String>,
}

/// How a requirement compares a label.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
)]
pub enum LabelOperator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or the namespace does not have the label.
    NotIn,
    /// The namespace has the label.
    Exists,
    /// The namespace does not have the label.
    DoesNotExist,
}

impl LabelOperator {
    /// The name as it stands in grants.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
