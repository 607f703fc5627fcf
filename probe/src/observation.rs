//! What an answer contained, as the report may print it: every text from outside is shortened and cleaned.

mod operation;

use std::{collections::BTreeMap, time::SystemTime};

use http::Version;
use serde::{Deserialize, Serialize};

use opcancel::google::{
    answer::{CallError, ErrorKind, Operation},
    clean::cut,
    client::Observation as RawAnswer,
    operation_name::OperationName,
    proto_json::Object,
};

pub use operation::{NameForm, ObservedOperation};

/// Longest message that the report quotes, in bytes.
const MAX_MESSAGE: usize = 400;

/// Most names of members that are listed.
const MAX_KEYS: usize = 16;

/// An answer, or its absence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedAnswer {
    /// `OK`, or the name of the error as `status.lastError.status` has it.
    pub status: String,
    /// The HTTP status; `None` without an answer.
    pub http_status: Option<u16>,
    /// Such as `HTTP/2.0`.
    pub http_version: String,
    /// The `Content-Type`.
    pub content_type: Option<String>,
    /// `reason` of ErrorInfo.
    pub reason: Option<String>,
    /// `domain` of ErrorInfo.
    pub domain: Option<String>,
    /// `metadata` of ErrorInfo, as far as opcancel keeps it.
    pub metadata: BTreeMap<String, String>,
    /// The names of all members of ErrorInfo's `metadata`.
    pub metadata_keys: Vec<String>,
    /// The types of the error's details.
    pub details: Vec<String>,
    /// How long the server asks to wait, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The message of the error, or of the failure to get an answer.
    pub message: Option<String>,
    /// Whether an answer to a cancel has no body.
    pub no_body: bool,
    /// The operation, if the answer is one.
    pub operation: Option<ObservedOperation>,
    /// The list, if the answer is one.
    pub page: Option<ObservedPage>,
    /// What opcancel reads from it; only for the comparison.
    #[serde(skip)]
    pub answer: Option<Result<Operation, ErrorKind>>,
}

/// A list. The report has no names of operations from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedPage {
    /// The names of its members.
    pub keys: Vec<String>,
    /// How many operations it has; `None` if that member is not a list of objects.
    pub operations: Option<usize>,
}

/// The members that a list may have, by google/longrunning/operations.proto.
const MEMBERS_OF_A_LIST: [&str; 3] = ["operations", "nextPageToken", "unreachable"];

impl ObservedPage {
    /// Whether it is a list: otherwise every JSON object would count as an empty one.
    pub fn is_list(&self) -> bool {
        let known = |key: &String| MEMBERS_OF_A_LIST.contains(&key.as_str());
        self.operations.is_some() && self.keys.iter().all(known)
    }
}

impl ObservedAnswer {
    /// The answer to a GET of this name; `asked` is `None` for a path that is not an operation's.
    pub fn of_get(raw: &RawAnswer, asked: Option<&OperationName>) -> Self {
        let answer = raw.get_answer(SystemTime::now());
        let mut observed = match &answer {
            Ok(operation) => {
                let operation = ObservedOperation::new(raw, operation, asked);
                Self {
                    operation: Some(operation),
                    ..Self::ok(raw)
                }
            }
            Err(error) => Self::failed(Some(raw), error),
        };
        observed.answer = Some(answer.map_err(|error| error.kind));
        observed
    }

    /// The answer to a cancel.
    pub fn of_cancel(raw: &RawAnswer) -> Self {
        match raw.cancel_answer(SystemTime::now()) {
            // opcancel accepts any object without an error. The report shows one that should be empty and is not.
            Ok(()) => Self {
                no_body: raw.has_no_body(),
                page: raw
                    .object()
                    .filter(|object| !object.is_empty())
                    .map(|object| ObservedPage {
                        keys: keys(raw, &object),
                        operations: None,
                    }),
                ..Self::ok(raw)
            },
            Err(error) => Self::failed(Some(raw), &error),
        }
    }

    /// The answer to a list.
    pub fn of_page(raw: &RawAnswer) -> Self {
        match raw.object_answer(SystemTime::now()) {
            Ok(()) => Self {
                page: raw.object().map(|page| ObservedPage {
                    keys: keys(raw, &page),
                    operations: page.objects("operations").ok().map(|list| list.len()),
                }),
                ..Self::ok(raw)
            },
            Err(error) => Self::failed(Some(raw), &error),
        }
    }

    /// No answer at all.
    pub fn missing(error: &CallError) -> Self {
        Self {
            answer: Some(Err(error.kind)),
            ..Self::failed(None, error)
        }
    }

    fn ok(raw: &RawAnswer) -> Self {
        Self {
            status: "OK".to_owned(),
            http_status: Some(raw.http_status()),
            http_version: version(raw.http_version()),
            content_type: raw.content_type().map(|text| cut(&text, 80)),
            ..Self::default()
        }
    }

    fn failed(raw: Option<&RawAnswer>, error: &CallError) -> Self {
        let (details, metadata_keys) = raw.map(details).unwrap_or_default();
        Self {
            status: error.kind.name().to_owned(),
            http_status: error.http_status,
            reason: error.reason.clone(),
            domain: error.domain.clone(),
            metadata: error.metadata.clone(),
            metadata_keys,
            details,
            retry_after_ms: error
                .retry_after
                .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            message: Some(cut(&error.message, MAX_MESSAGE)),
            ..raw.map(Self::ok).unwrap_or_default()
        }
    }

    /// The answer in a few words, for the table.
    pub fn short(&self) -> String {
        let Some(http) = self.http_status else {
            return format!("no answer: {}", self.status);
        };
        if let Some(operation) = &self.operation {
            return match (operation.done, operation.error_code) {
                (false, _) => format!("{http} running"),
                (true, None) => format!("{http} done"),
                (true, Some(code)) => format!("{http} done, error.code {code}"),
            };
        }
        if let Some(page) = &self.page {
            let what = if page.is_list() {
                "a list"
            } else {
                "JSON that is not a list"
            };
            return format!("{http} {what}");
        }
        if self.no_body {
            return format!("{http} without a body");
        }
        if self.status == "OK" {
            return format!("{http} {{}}");
        }
        if self.is_html() {
            return format!("{http} HTML");
        }
        let reason = self.reason.as_deref().map(|reason| cut(reason, 60));
        let words = [
            Some(self.status.clone()),
            reason,
            self.metadata.get("permission").cloned(),
        ];
        let words: Vec<_> = words.into_iter().flatten().collect();
        format!("{http} {}", words.join(" "))
    }

    /// Whether a quota is used up, with or without Google's JSON.
    pub fn is_throttled(&self) -> bool {
        self.http_status == Some(429) || self.status == ErrorKind::ResourceExhausted.name()
    }

    /// Whether the answer is the operation that was asked for.
    pub fn is_about_what_was_asked(&self) -> bool {
        let operation = self.operation.as_ref();
        operation.is_some_and(|operation| operation.name != NameForm::Other)
    }

    /// Whether it is a page of HTML.
    pub fn is_html(&self) -> bool {
        let html = |text: &String| text.starts_with("text/html");
        let unread = [ErrorKind::Unrecognised, ErrorKind::NotServed].map(ErrorKind::name);
        unread.contains(&self.status.as_str()) && self.content_type.as_ref().is_some_and(html)
    }
}

/// The types of an error's details, and the names of the members of ErrorInfo's metadata.
fn details(raw: &RawAnswer) -> (Vec<String>, Vec<String>) {
    let found = || {
        let error = raw.object()?.object("error").ok()??;
        error.objects("details").ok()
    };
    let (mut types, mut metadata) = (Vec::new(), Vec::new());
    for detail in found().unwrap_or_default().iter().take(MAX_KEYS) {
        let url = detail.string("@type").ok().flatten().unwrap_or_default();
        let name = url.rsplit('/').next().unwrap_or_default();
        types.push(cut(&raw.clean(name), 80));
        if let Ok(Some(members)) = detail.object("metadata") {
            metadata.extend(keys(raw, &members));
        }
    }
    (types, metadata)
}

fn keys(raw: &RawAnswer, object: &Object<'_>) -> Vec<String> {
    let shown = object.keys().take(MAX_KEYS);
    shown.map(|key| cut(&raw.clean(key), 60)).collect()
}

fn version(version: Version) -> String {
    format!("{version:?}")
}
