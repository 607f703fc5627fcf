//! `CancellationGrant`: what a cluster administrator allows.
#![allow(
    clippy::duplicated_attributes,
    reason = "each printcolumn names its own type"
)]

use std::collections::BTreeSet;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

fn default_services() -> BTreeSet<String> {
    BTreeSet::from(["dialogflow".to_owned()])
}

/// Which namespaces may cancel operations of which projects and services, and as whom.
///
/// Nothing is allowed until a grant allows it; grants add up. An object is allowed if one grant has its namespace, project,
/// service and identity all at once.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "opcancel.github.io",
    version = "v1alpha1",
    kind = "CancellationGrant",
    derive = "PartialEq",
    doc = "Allows namespaces to cancel operations of Google Cloud projects. Without a grant no OperationCancellation makes any call.",
    printcolumn(
        name = "Namespaces",
        type_ = "string",
        json_path = ".spec.namespaces",
        description = "Who is allowed"
    ),
    printcolumn(
        name = "Projects",
        type_ = "string",
        json_path = ".spec.projects",
        description = "Whose operations"
    ),
    printcolumn(
        name = "Identities",
        type_ = "string",
        json_path = ".spec.identities",
        description = "With whose rights at Google"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!('*' in self.projects) || self.identities.all(i, i == 'ServiceAccount')").message("spec.projects may be \"*\" only with identities: [ServiceAccount]; the operator's own rights are lent project by project, so name the projects").field_path(".projects")
)]
pub struct CancellationGrantSpec {
    /// The namespaces that are allowed: names, or exactly "*" for all.
    #[schemars(length(min = 1, max = 500), inner(length(max = 63)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("self.all(n, n == '*' || n.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))").message("spec.namespaces: each entry must be a namespace's name, or exactly \"*\" for all of them; globs such as team-* are not supported"))]
    pub namespaces: BTreeSet<String>,

    /// The Google Cloud projects that are allowed: ids or numbers as operation names spell them, or exactly "*" for all
    /// (only if identities has ServiceAccount alone).
    #[schemars(length(min = 1, max = 500), inner(length(max = 63)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("self.all(p, p == '*' || p.matches('^([a-z0-9][a-z0-9.-]*:)?[a-z0-9][a-z0-9-]*$'))").message("spec.projects: each entry must be a project's id or number as operation names spell it, or exactly \"*\" for all of them; globs such as acme-* are not supported"))]
    pub projects: BTreeSet<String>,

    /// The services that are allowed.
    #[serde(default = "default_services")]
    #[schemars(length(min = 1, max = 100), inner(length(max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub services: BTreeSet<String>,

    /// As whom: Operator (the operator's own Google identity), ServiceAccount (spec.serviceAccountName), or both.
    #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub identities: BTreeSet<IdentityKind>,
}

/// Whose rights at Google a cancellation uses.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum IdentityKind {
    /// The operator's own.
    Operator,
    /// Those of a ServiceAccount of the object's namespace.
    ServiceAccount,
}

impl IdentityKind {
    /// The name as it stands in grants and in `status.identity.kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "Operator",
            Self::ServiceAccount => "ServiceAccount",
        }
    }
}
