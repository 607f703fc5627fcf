//! The details of an answer, beside its short form in the table.

use crate::observation::{NameForm, ObservedAnswer, ObservedOperation, ObservedPage};

/// The details, a line each.
pub(super) fn details(observed: &ObservedAnswer) -> Vec<String> {
    let mut lines = Lines::default();
    lines.answer(observed);
    if let Some(operation) = &observed.operation {
        lines.operation(operation);
    }
    if let Some(page) = &observed.page {
        lines.page(page);
    }
    lines.0
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.push(format!("{name}: {value}"));
        }
    }

    fn add_some(&mut self, name: &str, value: Option<&String>) {
        self.add(name, value.map(String::as_str).unwrap_or_default());
    }

    fn answer(&mut self, observed: &ObservedAnswer) {
        let content_type = observed.content_type.as_ref();
        let transport = [Some(&observed.http_version), content_type];
        let transport: Vec<&str> = transport
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        self.add("transport", transport.join(", ").trim_start_matches(", "));
        self.add("ErrorInfo", error_info(observed));
        self.add(
            "ErrorInfo metadata fields",
            observed.metadata_keys.join(", "),
        );
        self.add("details", observed.details.join(", "));
        let wait = observed.retry_after_ms.map(|ms| format!("{ms} ms"));
        self.add_some("retry after", wait.as_ref());
        self.add_some("message", observed.message.as_ref());
    }

    fn operation(&mut self, operation: &ObservedOperation) {
        self.add_some("error", operation.error_status.as_ref());
        self.add("name", name_form(operation.name));
        self.add("fields", operation.keys.join(", "));
        self.add_some("metadata", operation.metadata_type.as_ref());
        self.add("metadata fields", operation.metadata_keys.join(", "));
        self.add_some("state", operation.metadata_state.as_ref());
        self.add_some("response", operation.response_type.as_ref());
    }

    fn page(&mut self, page: &ObservedPage) {
        self.add("fields", page.keys.join(", "));
        match page.operations {
            Some(count) => self.add("operations", count.to_string()),
            None => self.add("operations", "not a list"),
        }
    }
}

/// `reason`, `domain` and the metadata of ErrorInfo.
fn error_info(observed: &ObservedAnswer) -> String {
    let words = [observed.reason.clone(), observed.domain.clone()];
    let metadata = observed
        .metadata
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let words: Vec<String> = words.into_iter().flatten().chain(metadata).collect();
    words.join(", ")
}

fn name_form(form: NameForm) -> &'static str {
    match form {
        NameForm::AsAsked => "as requested",
        NameForm::ProjectNumber => "with the project's number",
        NameForm::ProjectId => "with the project's id",
        NameForm::ElsewhereInAnswer => "at another location",
        NameForm::IdAlone => "the id alone",
        NameForm::Other => "another name, or none",
    }
}
