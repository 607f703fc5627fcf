//! The table of the latest requests, on every page.

use std::fmt::Write;

use crate::{
    admin::html::Text,
    record::{Answer, Authorization, RequestRecord},
    shared::Shared,
};

/// How many requests the table has, and how many of the latest are searched for those of one operation.
const SHOWN_REQUESTS: usize = 20;
const SEARCHED_REQUESTS: usize = 50_000;

/// The latest requests, latest first: all, or those of one operation.
pub(super) fn latest(shared: &Shared, operation: Option<&str>) -> Vec<RequestRecord> {
    shared.requests.with(|requests| {
        let searched = requests.iter().rev().take(SEARCHED_REQUESTS);
        let wanted = searched
            .filter(|request| operation.is_none() || request.operation.as_deref() == operation);
        wanted.take(SHOWN_REQUESTS).cloned().collect()
    })
}

/// The table of requests.
pub(super) fn table(html: &mut String, requests: &[RequestRecord]) {
    html.push_str("<h2>Latest requests</h2>\n");
    if requests.is_empty() {
        html.push_str("<p>None.</p>\n");
        return;
    }
    html.push_str(
        r#"<table><caption>Latest first; times are UTC</caption><thead><tr><th scope="col">Request</th><th scope="col">Time</th><th scope="col">Answer</th><th scope="col">Token</th><th scope="col">User agent</th></tr></thead><tbody>
"#,
    );
    for request in requests {
        let (answer, class) = match request.answer {
            Answer::Pending => ("pending".to_owned(), ""),
            Answer::Status(status) if status < 400 => (status.to_string(), ""),
            Answer::Status(status) => (status.to_string(), " refused"),
            Answer::Closed => ("connection closed".to_owned(), " refused"),
            Answer::Abandoned => ("client disconnected".to_owned(), " refused"),
        };
        let token = match &request.authorization {
            Authorization::Absent => "none",
            Authorization::Unknown => "unknown",
            Authorization::Token(id) => id,
        };
        let _ = writeln!(
            html,
            r#"<tr><th scope="row" class="name">{} {}</th><td class="time" data-label="Time">{}</td><td class="{}" data-label="Answer">{answer}</td><td data-label="Token">{}</td><td data-label="User agent">{}</td></tr>"#,
            Text(&request.method),
            Text(&request.path),
            request.received.strftime("%H:%M:%S%.3f"),
            class.trim(),
            Text(token),
            Text(request.user_agent.as_deref().unwrap_or("–")),
        );
    }
    html.push_str("</tbody></table>\n");
}
