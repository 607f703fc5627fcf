//! A scenario: the configuration of the emulated services. Read from YAML or JSON, or built in Rust.

pub(crate) mod check;
pub(crate) mod connection_fault;
pub(crate) mod consumer;
pub mod credentials;
pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod fault;
pub(crate) mod fault_answer;
pub(crate) mod latency;
pub(crate) mod lists;
pub(crate) mod permission;
mod presets;
pub(crate) mod schema;
pub(crate) mod script;
pub(crate) mod yaml;

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    duration_text::{self, DurationSchema},
    scenario::{
        connection_fault::ConnectionFault,
        consumer::Consumer,
        credentials::Credentials,
        endpoint::{Endpoint, ProjectNames, WrongLocation},
        fault::Fault,
        latency::Latency,
        lists::Lists,
        permission::Permission,
        script::Script,
    },
};

/// A scenario. Every field has a default; the default scenario has no operations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scenario {
    /// Free text.
    pub description: Option<String>,
    /// Delay of every answer of the Operations API, unless the script of the operation has its own.
    pub latency: Latency,
    /// The identity that the metadata server gives out tokens for, and how these behave.
    pub identity: Identity,
    /// The credentials that STS, IAM Credentials and the OAuth server accept.
    pub credentials: Credentials,
    /// More bearer tokens that the Operations API accepts.
    pub tokens: Vec<AcceptedToken>,
    /// Whether the API accepts tokens of federated principals (`principal://...`) without impersonation.
    pub federated_tokens: FederatedTokens,
    /// The projects that requests count against, by ID. Without any, requests need no project.
    pub consumers: BTreeMap<String, Consumer>,
    /// Who may make which calls. If absent, everybody may make all.
    pub permissions: Option<Vec<Permission>>,
    /// Which host serves which locations. Other hosts serve all locations.
    pub endpoints: Vec<Endpoint>,
    /// The answer to a name whose operation exists at another location.
    pub wrong_location: WrongLocation,
    /// How answers name the project.
    pub project_names: ProjectNames,
    /// How lists behave.
    pub lists: Lists,
    /// Faults of the whole endpoint, counted over all operations. They take precedence over the faults of a script.
    pub faults: Vec<Fault>,
    /// Faults of connections to the Operations API, before any request.
    pub connections: Vec<ConnectionFault>,
    /// The operations by name. A name that ends in `*` is a template for all names with this prefix.
    pub operations: BTreeMap<String, Script>,
    /// The answer to names that no operation and no template has.
    pub unknown_operations: UnknownOperations,
    /// How many requests the record keeps; the oldest are dropped first. The default is a million.
    pub record_limit: Option<usize>,
}

/// The answer to a name that no operation and no template has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum UnknownOperations {
    /// NOT_FOUND.
    #[default]
    NotFound,
    /// An operation with this script, created at the first request for it.
    Script(Box<Script>),
}

/// Whether the API accepts tokens of federated principals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FederatedTokens {
    /// Accepted like all others.
    #[default]
    Taken,
    /// 401: only service accounts and users are accepted, so callers must impersonate a service account.
    Refused,
}

/// A bearer token that the emulator did not issue.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptedToken {
    /// The token itself.
    pub token: String,
    /// Its principal; records have it instead of the token.
    pub principal: String,
}

impl std::fmt::Debug for AcceptedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcceptedToken")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// The answers of the metadata server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Identity {
    /// E-mail address of the default service account; the principal of the tokens.
    pub email: String,
    /// `universe/universe-domain`
    pub universe_domain: String,
    /// `project/project-id`
    pub project_id: String,
    /// `project/numeric-project-id`
    pub project_number: String,
    /// `instance/attributes/cluster-name`
    pub cluster_name: String,
    /// `instance/attributes/cluster-location`
    pub cluster_location: String,
    /// The scopes of the service account, for tokens that request none.
    pub scopes: Vec<String>,
    /// `expires_in` of the tokens.
    #[serde(with = "duration_text")]
    #[schemars(with = "DurationSchema")]
    pub expires_in: Duration,
    /// How long the API really accepts a token. If absent, for as long as `expires_in`.
    #[serde(with = "duration_text::option")]
    #[schemars(with = "Option<DurationSchema>")]
    pub accepted_for: Option<Duration>,
    /// The server is not ready at first, like GKE's in the first seconds of a pod.
    pub not_ready: NotReady,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            email: "opcancel@emulated-project.iam.gserviceaccount.com".into(),
            universe_domain: "googleapis.com".into(),
            project_id: "emulated-project".into(),
            project_number: "123456789012".into(),
            cluster_name: "emulated-cluster".into(),
            cluster_location: "europe-west1".into(),
            scopes: vec!["https://www.googleapis.com/auth/cloud-platform".into()],
            expires_in: Duration::from_secs(3599),
            accepted_for: None,
            not_ready: NotReady::default(),
        }
    }
}

/// How the metadata server fails before it is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NotReady {
    /// How many requests fail, counted over all paths.
    pub requests: u64,
    /// The HTTP status of these failures.
    pub status: u16,
}

impl Default for NotReady {
    fn default() -> Self {
        Self {
            requests: 0,
            status: 503,
        }
    }
}

impl Scenario {
    /// The same scenario with one more operation.
    #[must_use]
    pub fn with_operation(mut self, name: impl Into<String>, script: Script) -> Self {
        self.operations.insert(name.into(), script);
        self
    }
}
