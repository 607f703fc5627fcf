//! A scenario: everything that the emulator is told before it starts. Read from YAML or JSON, or built in Rust.

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

/// A scenario. Everything has a default; the default knows no operations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scenario {
    /// What it is for; free text.
    pub description: Option<String>,
    /// Time that every answer of the Operations API takes, unless the operation's script says otherwise.
    pub latency: Latency,
    /// Whom the metadata server speaks for, and how its tokens behave.
    pub identity: Identity,
    /// Whom STS, IAM Credentials and the OAuth server believe.
    pub credentials: Credentials,
    /// Further bearer tokens that the Operations API takes.
    pub tokens: Vec<AcceptedToken>,
    /// Whether the API takes the tokens of federated principals (`principal://...`) themselves.
    pub federated_tokens: FederatedTokens,
    /// The projects that requests are charged to, by id; without any, nobody asks for one.
    pub consumers: BTreeMap<String, Consumer>,
    /// Who may call what; absent means everybody everything.
    pub permissions: Option<Vec<Permission>>,
    /// Which host serves which location; hosts that are not among them serve all.
    pub endpoints: Vec<Endpoint>,
    /// What a name gets whose operation exists at another location.
    pub wrong_location: WrongLocation,
    /// How answers name the project.
    pub project_names: ProjectNames,
    /// How lists behave.
    pub lists: Lists,
    /// Faults of the endpoint as a whole, counted over all operations; they go before those of a script.
    pub faults: Vec<Fault>,
    /// What is wrong with connections to the Operations API, before any request.
    pub connections: Vec<ConnectionFault>,
    /// The operations by name. A name that ends in `*` is a template for every name that starts so.
    pub operations: BTreeMap<String, Script>,
    /// What names that are not among the operations get.
    pub unknown_operations: UnknownOperations,
    /// How many requests are kept for tests to read; the oldest go first. Absent means a million.
    pub record_limit: Option<usize>,
}

/// What a name gets that no operation and no template has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum UnknownOperations {
    /// NOT_FOUND.
    #[default]
    NotFound,
    /// An operation with this script, created when it is first asked for.
    Script(Box<Script>),
}

/// Whether an API takes the tokens of federated principals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FederatedTokens {
    /// As any other.
    #[default]
    Taken,
    /// 401: only service accounts and users count, so that they must be impersonated.
    Refused,
}

/// A bearer token that was not issued here.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptedToken {
    /// The token itself.
    pub token: String,
    /// Whose it is; records show this in place of the token.
    pub principal: String,
}

impl std::fmt::Debug for AcceptedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcceptedToken")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// What the metadata server answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Identity {
    /// E-mail address of the default service account; the principal of the tokens.
    pub email: String,
    /// `project/project-id`
    pub project_id: String,
    /// `project/numeric-project-id`
    pub project_number: String,
    /// `instance/attributes/cluster-name`
    pub cluster_name: String,
    /// `instance/attributes/cluster-location`
    pub cluster_location: String,
    /// The service account's scopes, for tokens that name none.
    pub scopes: Vec<String>,
    /// `expires_in` of the tokens.
    #[serde(with = "duration_text")]
    #[schemars(with = "DurationSchema")]
    pub expires_in: Duration,
    /// How long the API really takes a token; absent means as long as `expires_in` says.
    #[serde(with = "duration_text::option")]
    #[schemars(with = "Option<DurationSchema>")]
    pub accepted_for: Option<Duration>,
    /// The server is not ready at first, as GKE's is in a pod's first seconds.
    pub not_ready: NotReady,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            email: "opcancel@emulated-project.iam.gserviceaccount.com".into(),
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

/// How the metadata server fails at first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NotReady {
    /// How many requests fail, counted over all of its paths.
    pub requests: u64,
    /// With this HTTP status.
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
