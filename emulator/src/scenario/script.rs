//! What happens to one operation: the part of a scenario that describes a fate. Plain data, read from YAML or JSON or
//! built in Rust; [`crate::operations::operation`] plays it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    duration_text::{self, DurationSchema},
    protocol::rpc_code::RpcCode,
    scenario::{fault::Fault, latency::Latency},
};

/// The fate of one operation. The default never ends by itself and is cancelled the moment it is asked to.
///
/// All times count from the operation's creation: when the scenario was loaded, the script was set, or, for a template,
/// somebody who may first asked for the name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Script {
    /// What the fate is for; free text, shown by the admin API.
    pub description: Option<String>,
    /// `false`: there is no such operation, ever. Everything else of the script is then without effect.
    pub exists: bool,
    /// NOT_FOUND to everything before that age, as real operations are in their first seconds or minutes.
    #[serde(with = "duration_text::option")]
    #[schemars(with = "Option<DurationSchema>")]
    pub appears_after: Option<Duration>,
    /// When the operation goes away again; absent means never.
    pub vanishes: Option<Vanishing>,
    /// How it ends by itself; absent means never.
    pub ends: Option<Ending>,
    /// What a cancel does.
    pub cancel: CancelBehaviour,
    /// `Operation.metadata`; absent means that answers have none.
    pub metadata: Option<MetadataScript>,
    /// `name` in answers, if it differs from the one asked for (real ones may carry the project's number).
    pub name_in_answer: Option<String>,
    /// Time that an answer takes, half of it before the request takes effect; goes before the scenario's.
    pub latency: Option<Latency>,
    /// Answers other than the usual ones; the first that matches a request decides.
    pub faults: Vec<Fault>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            description: None,
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

/// An end that comes by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ending {
    /// The age at which it comes; absent means that it was done from the start.
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
    /// `error` with code CANCELLED though nobody asked here: cancelled by somebody else, before or in between.
    CancelledElsewhere,
    /// Neither `response` nor `error`.
    NoResult,
    /// `error: {}`, which means no error.
    EmptyError,
    /// These fields, as they are, beside `name` and `metadata`: for `done: "true"` and other oddities.
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
    /// So many more bytes, as text in a field `padding`; at most 256 MiB. A GET sends them without having them in memory; lists
    /// leave them out.
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

/// What a cancel does to the operation and what it answers; refusals are [`Fault`]s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CancelBehaviour {
    /// What becomes of the operation.
    pub effect: CancelEffect,
    /// Time from the first accepted cancel to its effect.
    #[serde(with = "duration_text")]
    #[schemars(with = "DurationSchema")]
    pub after: Duration,
    /// What a further cancel of the still running operation answers.
    pub repeated: CancelAnswer,
    /// What a cancel of the finished operation answers; by default FAILED_PRECONDITION.
    pub when_done: CancelAnswer,
}

/// What an accepted cancel leads to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum CancelEffect {
    /// It ends with `error.code` 1, CANCELLED.
    #[default]
    Cancels,
    /// Nothing: the operation goes on as if it had not been asked.
    Ignored,
    /// Nothing, and while it runs the answer is 400 FAILED_PRECONDITION: not cancellable.
    NotCancellable,
    /// It ends otherwise, such as completed after all.
    Ends(EndResult),
}

/// What a cancel that changes nothing any more answers. Google's APIs differ.
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

/// When the operation goes away, after which it is NOT_FOUND; the first of the given moments counts.
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

/// `Operation.metadata`: an Any with a state that follows the operation's life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MetadataScript {
    /// `@type`; absent means that the metadata has none.
    #[serde(rename = "type")]
    pub type_url: Option<String>,
    /// Where the state stands.
    pub state: StatePlace,
    /// The texts of the states.
    pub states: StateNames,
    /// Further fields, as they are.
    pub fields: Map<String, Value>,
    /// So many more bytes, as text in a field `padding`; at most 16 MiB, since every answer and every list has them in
    /// memory.
    #[schemars(range(max = MOST_PADDING))]
    pub padding: usize,
}

/// Where the metadata carries the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StatePlace {
    /// `metadata.state`
    #[default]
    Top,
    /// `metadata.genericMetadata.state`
    Generic,
    /// Nowhere.
    None,
}

/// The text of `state` in each phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StateNames {
    /// Not done, no cancel taken (or taken and ignored).
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
