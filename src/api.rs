//! The resource types: what a user declares and what the operator reports. Depends on nothing else of ours.
//!
//! The shapes stored in clusters are decided here once; see `docs/api.md` for the same as a reference.

mod cancellation_grant;
mod cancellation_status;
mod condition;
mod crd;
pub mod label_rules;
pub mod name_rules;
mod namespace_selector;
pub mod object_name;
mod operation_cancellation;
mod outcome;
mod reason;

pub use cancellation_grant::{CancellationGrant, CancellationGrantSpec, IdentityKind};
pub use cancellation_status::{
    Call, CancellationStatus, Identity, LastError, ObservedError, ObservedOperation, TargetStatus,
};
pub use condition::{Condition, ConditionStatus, ConditionType};
pub use crd::{cancellation_crd, grant_crd};
pub use namespace_selector::{LabelOperator, LabelRequirement, NamespaceSelector};
pub use operation_cancellation::{
    DEFAULT_DEADLINE_SECONDS, OperationCancellation, OperationCancellationSpec,
};
pub use outcome::{AcceptedOutcome, Outcome};
pub use reason::Reason;

/// The API group of both resources. The derive macros need it as a literal; a test holds them to this constant.
pub const GROUP: &str = "opcancel.github.io";

/// The one version of the API.
pub const VERSION: &str = "v1alpha1";
