//! The page of one operation: its state, and every way to end it.

use std::fmt::Write;

use super::{links::encoded, requests};
use crate::{
    admin::html::{Text, Value},
    protocol::{bindings::operation_form, rpc_code::TABLE},
    shared::Shared,
};

/// Longest JSON on the page, in characters: metadata may have megabytes.
const LONGEST_JSON: usize = 20_000;

/// Everything below the title: the live part and the forms.
pub(super) fn contents(name: &str, part: &str, tag: &str) -> String {
    let codes: String = TABLE
        .iter()
        .filter(|row| row.2 != "CANCELLED")
        .map(|row| {
            format!(
                "<option{}>{}</option>",
                if row.2 == "INTERNAL" { " selected" } else { "" },
                row.2
            )
        })
        .collect();
    let hidden = format!(
        r#"<input type="hidden" name="name" value="{}"><input type="hidden" name="back" value="operation">"#,
        Value(name)
    );
    format!(
        r#"<nav><a href="/">All operations</a></nav>
<p class="name">{name}</p>
<div id="live" data-from="/live/operation?name={link}" data-tag="{tag}">
{part}</div>
<form method="post" action="/change"><fieldset><legend>Fail the operation</legend><div class="end">{hidden}
<label>Code <select name="code">{codes}</select></label>
<label class="wide">Message <input name="message" maxlength="4096" autocomplete="off"></label>
<button name="do" value="fail">Fail</button></div></fieldset></form>
<form method="post" action="/change"><fieldset><legend>End the operation</legend><div class="end">{hidden}
<button name="do" value="complete">Complete</button>
<button name="do" value="cancelledElsewhere">Cancelled by another client</button>
<button name="do" value="noResult">Done without a result</button>
<button name="do" value="vanish">Vanish</button></div></fieldset></form>"#,
        name = Text(name),
        link = encoded(name),
        tag = Text(tag),
    )
}

/// The live part; `None` if there is no such operation.
pub(super) fn live(shared: &Shared, name: &str) -> Option<String> {
    let view = shared.store.view(name)?;
    let name_in_answer = shared.rules.now().name_in_answers(name);
    let form = operation_form(shared.store.service_of(name).as_deref());
    let json = shared
        .store
        .get(name, &name_in_answer, form)
        .map(|(json, _)| format!("{json:#}"));
    let mut html = String::new();
    let asked = view
        .last_asked
        .map(|time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    let rows = [
        ("Phase", Some(view.phase)),
        ("Description", view.description.as_deref()),
        ("State", view.state.as_deref()),
        ("Result", view.result.as_deref()),
        (
            "Cancel",
            Some(if view.cancel_accepted {
                "accepted"
            } else {
                "not requested, or not accepted"
            }),
        ),
        ("Last request", asked.as_deref()),
    ];
    html.push_str("<dl>");
    for (word, text) in rows {
        if let Some(text) = text {
            let _ = write!(html, "<dt>{word}</dt><dd>{}</dd>", Text(text));
        }
    }
    let _ = writeln!(
        html,
        "<dt>Requests</dt><dd>{} GETs, {} cancels</dd></dl>",
        view.gets, view.cancels
    );
    html.push_str("<h2>Response to a GET</h2>\n");
    match json {
        None => html.push_str("<p>NOT_FOUND.</p>\n"),
        Some(json) => {
            let cut: String = json.chars().take(LONGEST_JSON).collect();
            let more = if cut.len() < json.len() { "\n…" } else { "" };
            let _ = writeln!(
                html,
                "<pre tabindex=\"0\" data-key=\"response\">{}{more}</pre>",
                Text(&cut)
            );
        }
    }
    requests::table(&mut html, &requests::latest(shared, Some(name)));
    Some(html)
}
