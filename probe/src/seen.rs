//! What an answer showed, in words that may be printed: every text of it was cut and cleaned.

mod operation;

use std::{collections::BTreeMap, time::SystemTime};

use http::Version;
use serde::{Deserialize, Serialize};

use opcancel::google::{
    answer::{CallError, ErrorKind, Operation},
    clean::cut,
    client::Observation,
    operation_name::OperationName,
    proto_json::Object,
};

pub use operation::{NameForm, OperationSeen};

/// Longest message that the report quotes, in bytes.
const MAX_MESSAGE: usize = 400;

/// Most names of members that are listed.
const MAX_KEYS: usize = 16;

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seen {
    /// `OK`, or the name of the error as `status.lastError.status` has it.
    pub status: String,
    /// The HTTP status; none if no answer came.
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
    /// The error's message, or ours.
    pub message: Option<String>,
    /// The operation, if it is one.
    pub operation: Option<OperationSeen>,
    /// The list, if it is one.
    pub page: Option<PageSeen>,
    /// What the product makes of it, for the judgement alone.
    #[serde(skip)]
    pub answer: Option<Result<Operation, ErrorKind>>,
}

/// A list. Names of operations are not kept: they are none of the report's business.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PageSeen {
    /// The names of its members.
    pub keys: Vec<String>,
    /// How many operations it has; none if that member is no list of objects.
    pub operations: Option<usize>,
}

/// What a list may have, by google/longrunning/operations.proto.
const MEMBERS_OF_A_LIST: [&str; 3] = ["operations", "nextPageToken", "unreachable"];

impl PageSeen {
    /// Whether it is one: any JSON object could else pass for an empty list.
    pub fn is_list(&self) -> bool {
        let known = |key: &String| MEMBERS_OF_A_LIST.contains(&key.as_str());
        self.operations.is_some() && self.keys.iter().all(known)
    }
}

impl Seen {
    /// The answer to a GET of this name; of what is no operation's path, without one.
    pub fn of_get(observed: &Observation, asked: Option<&OperationName>) -> Self {
        let answer = observed.get_answer(SystemTime::now());
        let mut seen = match &answer {
            Ok(operation) => {
                let operation = OperationSeen::new(observed, operation, asked);
                Self {
                    operation: Some(operation),
                    ..Self::ok(observed)
                }
            }
            Err(error) => Self::failed(Some(observed), error),
        };
        seen.answer = Some(answer.map_err(|error| error.kind));
        seen
    }

    /// The answer to a cancel.
    pub fn of_cancel(observed: &Observation) -> Self {
        match observed.cancel_answer(SystemTime::now()) {
            // The product takes any object without an error for a yes. What should be empty is shown if it is not.
            Ok(()) => Self {
                page: observed
                    .object()
                    .filter(|object| !object.is_empty())
                    .map(|object| PageSeen {
                        keys: keys(observed, &object),
                        operations: None,
                    }),
                ..Self::ok(observed)
            },
            Err(error) => Self::failed(Some(observed), &error),
        }
    }

    /// The answer to a list.
    pub fn of_page(observed: &Observation) -> Self {
        match observed.object_answer(SystemTime::now()) {
            Ok(()) => Self {
                page: observed.object().map(|page| PageSeen {
                    keys: keys(observed, &page),
                    operations: page.objects("operations").ok().map(|list| list.len()),
                }),
                ..Self::ok(observed)
            },
            Err(error) => Self::failed(Some(observed), &error),
        }
    }

    /// No answer at all.
    pub fn nothing(error: &CallError) -> Self {
        Self {
            answer: Some(Err(error.kind)),
            ..Self::failed(None, error)
        }
    }

    fn ok(observed: &Observation) -> Self {
        Self {
            status: "OK".to_owned(),
            http_status: Some(observed.http_status()),
            http_version: version(observed.http_version()),
            content_type: observed.content_type().map(|text| cut(&text, 80)),
            ..Self::default()
        }
    }

    fn failed(observed: Option<&Observation>, error: &CallError) -> Self {
        let (details, metadata_keys) = observed.map(details).unwrap_or_default();
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
            ..observed.map(Self::ok).unwrap_or_default()
        }
    }

    /// In a few words, for the table.
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
                "JSON that is no list"
            };
            return format!("{http} {what}");
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

    /// Whether a quota is used up, in whatever form that is told.
    pub fn is_throttled(&self) -> bool {
        self.http_status == Some(429) || self.status == ErrorKind::ResourceExhausted.name()
    }

    /// Whether it is an operation, and the one that was asked about.
    pub fn is_about_what_was_asked(&self) -> bool {
        let operation = self.operation.as_ref();
        operation.is_some_and(|operation| operation.name != NameForm::Other)
    }

    /// Whether it is a page for people.
    pub fn is_html(&self) -> bool {
        let html = |text: &String| text.starts_with("text/html");
        let unread = [ErrorKind::Unrecognised, ErrorKind::NotServed].map(ErrorKind::name);
        unread.contains(&self.status.as_str()) && self.content_type.as_ref().is_some_and(html)
    }
}

/// The types of an error's details, and the names of the members of ErrorInfo's metadata.
fn details(observed: &Observation) -> (Vec<String>, Vec<String>) {
    let found = || {
        let error = observed.object()?.object("error").ok()??;
        error.objects("details").ok()
    };
    let (mut types, mut metadata) = (Vec::new(), Vec::new());
    for detail in found().unwrap_or_default().iter().take(MAX_KEYS) {
        let url = detail.string("@type").ok().flatten().unwrap_or_default();
        let name = url.rsplit('/').next().unwrap_or_default();
        types.push(cut(&observed.clean(name), 80));
        if let Ok(Some(members)) = detail.object("metadata") {
            metadata.extend(keys(observed, &members));
        }
    }
    (types, metadata)
}

fn keys(observed: &Observation, object: &Object<'_>) -> Vec<String> {
    let shown = object.keys().take(MAX_KEYS);
    shown.map(|key| cut(&observed.clean(key), 60)).collect()
}

fn version(version: Version) -> String {
    format!("{version:?}")
}
