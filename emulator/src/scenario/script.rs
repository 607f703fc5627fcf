//! The script of one operation: what happens to it. Plain data, read from YAML or JSON, or built in Rust;
//! [`crate::operations::operation`] runs it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    duration_text::{self, DurationSchema},
    protocol::rpc_code::RpcCode,
    scenario::{fault::Fault, latency::Latency},
};

/// What happens to one operation. By default it never ends by itself, and a cancel takes effect at once.
///
/// All times count from the creation of the operation: when the scenario was loaded, when the script was set, or, for a
/// template, at the first permitted request for the name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Script {
    /// Free text, shown by the admin API.
    pub description: Option<String>,
    /// The service that has the operation, such as `container`. It decides the paths and the form of the answers. If absent, every service
    /// with such names has the operation, and the host of the request names the service. For any other host, the service is dialogflow,
    /// if dialogflow has the path.
    pub service: Option<String>,
    /// `false`: the operation never exists, and the rest of the script has no effect.
    pub exists: bool,
    /// Before this age every request gets NOT_FOUND, like real operations in their first seconds or minutes.
    #[serde(with = "duration_text::option")]
    #[schemars(with = "Option<DurationSchema>")]
    pub appears_after: Option<Duration>,
    /// When the operation disappears. If absent, never.
    pub vanishes: Option<Vanishing>,
    /// How it ends by itself. If absent, never.
    pub ends: Option<Ending>,
    /// What a cancel does.
    pub cancel: CancelBehaviour,
    /// `Operation.metadata`. If absent, answers have none.
    pub metadata: Option<MetadataScript>,
    /// `name` in answers, if it differs from the requested one (real answers may have the project's number).
    pub name_in_answer: Option<String>,
    /// Delay of an answer, half of it before the request takes effect. Overrides that of the scenario.
    pub latency: Option<Latency>,
    /// Answers instead of the usual ones; the first fault that matches a request applies.
    pub faults: Vec<Fault>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            description: None,
            service: None,
            exists: true,
            appears_after: None,
            vanishes: None,
            ends: None,
            cancel: CancelBehaviour::default(),
            metadata: None,
            name_in_answer: None,
            latency: None,
            faults: Vec::new(),
        }
    }
}

/// An end without a cancel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ending {
    /// The age at which it comes. If absent, the operation is done from the start.
    #[serde(with = "duration_text", default)]
    #[schemars(with = "DurationSchema")]
    pub after: Duration,
    /// What a GET shows from then on.
    pub result: EndResult,
}

/// What a GET of a finished operation shows, `done: true` in every case but [`EndResult::Raw`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum EndResult {
    /// A `response`.
    Completed(Response),
    /// An `error` with a code other than CANCELLED.
    Failed(Failure),
    /// `error` with code CANCELLED without a cancel here: another client cancelled the operation.
    CancelledElsewhere,
    /// Neither `response` nor `error`.
    NoResult,
    /// `error: {}`, which means no error.
    EmptyError,
    /// These fields, unchanged, in addition to `name` and `metadata`: for `done: "true"` and other malformed answers.
    Raw(Map<String, Value>),
}

/// `Operation.response`: an Any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Response {
    /// `@type`; a type URL.
    #[serde(rename = "type")]
    pub type_url: String,
    /// The further fields.
    pub fields: Map<String, Value>,
    /// Number of bytes in an extra text field `padding`; at most 256 MiB. A GET streams them; lists omit them.
    #[schemars(range(max = MOST_RESPONSE_PADDING))]
    pub padding: usize,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            type_url: "type.googleapis.com/google.cloud.dialogflow.v2.ExportAgentResponse".into(),
            fields: Map::new(),
            padding: 0,
        }
    }
}

/// Most bytes that [`Response::padding`] may add.
pub(crate) const MOST_RESPONSE_PADDING: usize = 256 * 1024 * 1024;

/// `Operation.error`: a google.rpc.Status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failure {
    /// Its code.
    pub code: RpcCode,
    /// Its message.
    #[serde(default)]
    pub message: String,
    /// Its details, each an object with `@type`.
    #[serde(default)]
    pub details: Vec<Value>,
}

/// The effect of a cancel and its answer. Refusals are [`Fault`]s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CancelBehaviour {
    /// The effect on the operation.
    pub effect: CancelEffect,
    /// Time from the first accepted cancel to its effect.
    #[serde(with = "duration_text")]
    #[schemars(with = "DurationSchema")]
    pub after: Duration,
    /// The answer to another cancel while the operation still runs.
    pub repeated: CancelAnswer,
    /// The answer to a cancel of the finished operation; by default FAILED_PRECONDITION.
    pub when_done: CancelAnswer,
}

/// The effect of an accepted cancel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum CancelEffect {
    /// It ends with `error.code` 1, CANCELLED.
    #[default]
    Cancels,
    /// None: the operation continues.
    Ignored,
    /// None, and while the operation runs the answer is 400 FAILED_PRECONDITION: not cancellable.
    NotCancellable,
    /// It ends with this result, for example completed after all.
    Ends(EndResult),
}

/// The answer to a cancel that changes nothing. Google's APIs differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CancelAnswer {
    /// `{}`
    #[default]
    Ok,
    /// 400 FAILED_PRECONDITION
    FailedPrecondition,
}

impl Default for CancelBehaviour {
    fn default() -> Self {
        Self {
            effect: CancelEffect::Cancels,
            after: Duration::ZERO,
            repeated: CancelAnswer::Ok,
            when_done: CancelAnswer::FailedPrecondition,
        }
    }
}

/// When the operation disappears, after which every request gets NOT_FOUND. The earliest of the given times counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Vanishing {
    /// At this age.
    #[serde(with = "duration_text::option")]
    #[schemars(with = "Option<DurationSchema>")]
    pub after: Option<Duration>,
    /// This long after the first accepted cancel.
    #[serde(with = "duration_text::option")]
    #[schemars(with = "Option<DurationSchema>")]
    pub after_cancel: Option<Duration>,
    /// This long after its end.
    #[serde(with = "duration_text::option")]
    #[schemars(with = "Option<DurationSchema>")]
    pub after_end: Option<Duration>,
}

/// Most bytes that [`MetadataScript::padding`] may add.
pub(crate) const MOST_PADDING: usize = 16 * 1024 * 1024;

/// `Operation.metadata`: an Any with a state that follows the phase of the operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MetadataScript {
    /// `@type`. If absent, the metadata has none.
    #[serde(rename = "type")]
    pub type_url: Option<String>,
    /// Which field has the state.
    pub state: StatePlace,
    /// The texts of the states.
    pub states: StateNames,
    /// More fields, unchanged.
    pub fields: Map<String, Value>,
    /// Number of bytes in an extra text field `padding`; at most 16 MiB, since every answer and every list holds them in
    /// memory.
    #[schemars(range(max = MOST_PADDING))]
    pub padding: usize,
}

/// Which field of the metadata has the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StatePlace {
    /// `metadata.state`
    #[default]
    Top,
    /// `metadata.genericMetadata.state`
    Generic,
    /// None.
    None,
}

/// The text of `state` in each phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StateNames {
    /// Not done; no cancel is accepted, or it is ignored.
    pub running: String,
    /// Not done, and the cancel is taking effect.
    pub cancelling: String,
    /// Ended CANCELLED.
    pub cancelled: String,
    /// Ended without error.
    pub succeeded: String,
    /// Ended with an error.
    pub failed: String,
}

impl Default for StateNames {
    fn default() -> Self {
        let [running, cancelling, cancelled, succeeded, failed] =
            ["RUNNING", "CANCELLING", "CANCELLED", "SUCCEEDED", "FAILED"].map(str::to_owned);
        Self {
            running,
            cancelling,
            cancelled,
            succeeded,
            failed,
        }
    }
}
