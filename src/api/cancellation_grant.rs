//! `CancellationGrant`: what a cluster administrator allows.
#![allow(
    clippy::duplicated_attributes,
    reason = "each printcolumn names its own type"
)]

use std::collections::BTreeSet;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::NamespaceSelector;

/// The namespaces that may cancel operations, the operations, the services and the identities.
///
/// Nothing is allowed without a grant, and grants add up. A grant allows an object if it contains the object's namespace (in
/// namespaces, or by namespaceSelector), service, identity and operation (in projects, parents or operationNames). An apply
/// replaces a list as a whole, so that a grant has one owner.
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
        description = "Allowed namespaces"
    ),
    printcolumn(
        name = "Selector",
        type_ = "string",
        json_path = ".spec.namespaceSelector",
        description = "Labels of allowed namespaces"
    ),
    printcolumn(
        name = "Projects",
        type_ = "string",
        json_path = ".spec.projects",
        description = "Projects whose operations are allowed"
    ),
    printcolumn(
        name = "Parents",
        type_ = "string",
        json_path = ".spec.parents",
        description = "Other parents whose operations are allowed"
    ),
    printcolumn(
        name = "Operations",
        type_ = "string",
        json_path = ".spec.operationNames",
        description = "Allowed operations without a parent"
    ),
    printcolumn(
        name = "Services",
        type_ = "string",
        json_path = ".spec.services",
        description = "Allowed Google APIs"
    ),
    printcolumn(
        name = "Identities",
        type_ = "string",
        json_path = ".spec.identities",
        description = "Allowed identities"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.namespaces) != has(self.namespaceSelector)").message("exactly one of spec.namespaces and spec.namespaceSelector is required; for namespaces by name and others by label, use two grants"),
    validation = Rule::new("has(self.projects) || has(self.parents) || has(self.operationNames)").message("at least one of spec.projects, spec.parents and spec.operationNames is required; name what may be cancelled, such as projects: [acme-prod]"),
    validation = Rule::new("!has(self.projects) || !('*' in self.projects) || self.identities.all(i, i == 'ServiceAccount')").message("spec.projects may be \"*\" only with identities: [ServiceAccount]; for the operator's identity, name each project").field_path(".projects"),
    validation = Rule::new("!has(self.operationNames) || !('*' in self.operationNames) || self.identities.all(i, i == 'ServiceAccount')").message("spec.operationNames may be \"*\" only with identities: [ServiceAccount]; for the operator's identity, name each operation").field_path(".operationNames"),
    validation = Rule::new("!('*' in self.services) || self.identities.all(i, i == 'ServiceAccount')").message("spec.services may be \"*\" only with identities: [ServiceAccount]; for the operator's identity, name each service").field_path(".services")
)]
pub struct CancellationGrantSpec {
    /// The allowed namespaces: names, or exactly "*" for all. Globs such as team-* are not supported.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(min = 1, max = 100), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub namespaces: BTreeSet<String>,

    /// The allowed namespaces by their labels, instead of namespaces. A user who can label a namespace can give it the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<NamespaceSelector>,

    /// The allowed Google Cloud projects: ids or numbers as in operation names, or exactly "*" for all (only with
    /// `identities: [ServiceAccount]`). Short for `parents: [projects/PROJECT]`. Globs such as acme-* are not supported.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(min = 1, max = 100), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub projects: BTreeSet<String>,

    /// The allowed parents of operations; all names below a parent are allowed, too. A parent is projects/PROJECT,
    /// organizations/NUMBER, folders/NUMBER, billingAccounts/ACCOUNT or projects/_/buckets/BUCKET; COLLECTION/ID pairs can follow. A
    /// project inside an organization is not below it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(min = 1, max = 100), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub parents: BTreeSet<String>,

    /// The allowed operations without a parent, such as operations/build/x1: exact names, or exactly "*" for all of them (only with
    /// `identities: [ServiceAccount]`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(min = 1, max = 100), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub operation_names: BTreeSet<String>,

    /// The allowed services, or exactly "*" for all (only with `identities: [ServiceAccount]`).
    #[schemars(length(min = 1, max = 100), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub services: BTreeSet<String>,

    /// The allowed identities: Operator (the operator's own Google identity), ServiceAccount (spec.serviceAccountName), or both.
    #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "atomic"))]
    pub identities: BTreeSet<IdentityKind>,
}

/// The identity that a cancellation uses at Google.
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
pub enum IdentityKind {
    /// The operator's own identity.
    Operator,
    /// A ServiceAccount of the object's namespace.
    ServiceAccount,
}

impl IdentityKind {
    /// The name as it stands in grants and in `status.identity.kind`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
