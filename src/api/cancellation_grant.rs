//! `CancellationGrant`: what a cluster administrator allows.
#![allow(
    clippy::duplicated_attributes,
    reason = "each printcolumn names its own type"
)]

use std::collections::BTreeSet;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which namespaces may cancel which operations of which services, and as whom.
///
/// Nothing is allowed until a grant allows it; grants add up. An object is allowed if one grant has its namespace, its service,
/// its identity, and its operation (by projects, parents or operationNames) all at once. Lists are replaced as a whole when they
/// are applied, so that one grant has one owner.
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
        name = "Parents",
        type_ = "string",
        json_path = ".spec.parents",
        description = "Below what operations are allowed, besides the projects"
    ),
    printcolumn(
        name = "Operations",
        type_ = "string",
        json_path = ".spec.operationNames",
        description = "Which operations without a parent are allowed"
    ),
    printcolumn(
        name = "Services",
        type_ = "string",
        json_path = ".spec.services",
        description = "Of which Google APIs"
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
    validation = Rule::new("has(self.projects) || has(self.parents) || has(self.operationNames)").message("at least one of spec.projects, spec.parents and spec.operationNames is required; name what may be cancelled, such as projects: [acme-prod]"),
    validation = Rule::new("!has(self.projects) || !('*' in self.projects) || self.identities.all(i, i == 'ServiceAccount')").message("spec.projects may be \"*\" only with identities: [ServiceAccount]; the operator's own rights are lent project by project, so name the projects").field_path(".projects"),
    validation = Rule::new("!has(self.operationNames) || !('*' in self.operationNames) || self.identities.all(i, i == 'ServiceAccount')").message("spec.operationNames may be \"*\" only with identities: [ServiceAccount]; the operator's own rights are lent by name, so name the operations").field_path(".operationNames"),
    validation = Rule::new("!('*' in self.services) || self.identities.all(i, i == 'ServiceAccount')").message("spec.services may be \"*\" only with identities: [ServiceAccount]; the operator's own rights are lent service by service, so name the services").field_path(".services")
)]
pub struct CancellationGrantSpec {
    /// The namespaces that are allowed: names, or exactly "*" for all. Globs such as team-* are not supported.
    #[schemars(length(min = 1, max = 100), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub namespaces: BTreeSet<String>,

    /// The Google Cloud projects that are allowed, short for parents: [projects/PROJECT]: ids or numbers as operation names
    /// spell them, or exactly "*" for all (only if identities has ServiceAccount alone). Globs such as acme-* are not supported.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(min = 1, max = 100), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub projects: BTreeSet<String>,

    /// What operations may stand under: the entry itself, and all names below it. projects/PROJECT, organizations/NUMBER,
    /// folders/NUMBER, billingAccounts/ACCOUNT or projects/_/buckets/BUCKET; pairs COLLECTION/ID may follow. A project inside an
    /// organization is not below it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(min = 1, max = 100), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub parents: BTreeSet<String>,

    /// Operations that stand under no parent, such as operations/build/x1, by their exact names; or exactly "*" for all of them
    /// (only if identities has ServiceAccount alone).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(min = 1, max = 100), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub operation_names: BTreeSet<String>,

    /// The services that are allowed, or exactly "*" for all (only if identities has ServiceAccount alone).
    #[schemars(length(min = 1, max = 100), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub services: BTreeSet<String>,

    /// As whom: Operator (the operator's own Google identity), ServiceAccount (spec.serviceAccountName), or both.
    #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "atomic"))]
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
