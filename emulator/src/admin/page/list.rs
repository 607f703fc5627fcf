//! The page that lists the operations.

use std::fmt::Write;

use super::{
    links::{address, encoded, parameters},
    requests,
};
use crate::{
    admin::html::{Text, Value},
    operations::{
        operation_view::OperationView,
        store::{Order, Overview, Selection},
    },
    shared::Shared,
};

/// Operations on one page.
const PAGE_SIZE: usize = 50;

/// The phases, in the order of an operation's life.
const PHASES: [&str; 5] = ["running", "cancelling", "cancelled", "ended", "absent"];

/// Everything below the title: the filter and the live part.
pub(super) fn contents(selection: &Selection, part: &str, tag: &str) -> String {
    let mut phases = String::new();
    for phase in PHASES {
        let chosen = if selection.phase == phase {
            " selected"
        } else {
            ""
        };
        let _ = write!(phases, r#"<option{chosen}>{phase}</option>"#);
    }
    let asked = if selection.order == Order::Asked {
        " selected"
    } else {
        ""
    };
    format!(
        r#"<form class="choose" role="search" method="get" action="/">
<label class="wide">Name contains <input type="search" name="search" value="{search}" autocomplete="off"></label>
<label>Phase <select name="phase"><option value="">any</option>{phases}</select></label>
<label>Order <select name="order"><option value="name">by name</option><option value="asked"{asked}>by last request</option></select></label>
<button>Show</button>
</form>
<div id="live" data-from="{from}" data-tag="{tag}">
{part}</div>"#,
        search = Value(&selection.search),
        from = Text(&address("/live", selection, "")),
        tag = Text(tag),
    )
}

/// The live part.
pub(super) fn live(shared: &Shared, selection: &Selection) -> String {
    let overview = shared.store.overview(selection, PAGE_SIZE);
    let mut html = String::new();
    let all: usize = overview.phases.values().sum();
    let phases = PHASES
        .iter()
        .filter_map(|phase| Some(format!("{} {phase}", overview.phases.get(phase)?)));
    let phases: Vec<String> = phases.collect();
    let _ = writeln!(
        html,
        r#"<p class="quiet">{all} operation{}{}{}</p>"#,
        if all == 1 { "" } else { "s" },
        if all == 0 { "" } else { ": " },
        phases.join(", ")
    );
    if overview.rows.is_empty() {
        let sentence = if all == 0 {
            "There are no operations yet. They come from the scenario, from the admin API, or from a template when a client first asks for one."
        } else {
            "No operation matches."
        };
        let _ = writeln!(html, "<p>{sentence}</p>");
    } else {
        table(&mut html, selection, &overview);
    }
    requests::table(&mut html, &requests::latest(shared, None));
    html
}

fn table(html: &mut String, selection: &Selection, overview: &Overview) {
    let Overview {
        rows,
        page,
        pages,
        selected,
        ..
    } = overview;
    let first = (page - 1) * PAGE_SIZE + 1;
    let _ = write!(
        html,
        r#"<table><caption>{first} to {} of {selected}</caption><thead><tr><th scope="col">Operation</th><th scope="col">Phase</th><th scope="col">State</th>
<th scope="col">Result</th><th scope="col">GETs</th><th scope="col">Cancels</th><th scope="col">Last request</th><th scope="col">Actions</th></tr></thead><tbody>
"#,
        first + rows.len() - 1
    );
    for row in rows {
        line(html, selection, row);
    }
    html.push_str("</tbody></table>\n");
    if *pages > 1 {
        let link = |to: usize, word: &str| {
            let selection = Selection {
                page: to,
                ..selection.clone()
            };
            format!(
                r#"<a href="{}" data-key="{word}">{word}</a>"#,
                Text(&address("/", &selection, ""))
            )
        };
        let before = if *page > 1 {
            link(page - 1, "Previous")
        } else {
            String::new()
        };
        let after = if page < pages {
            link(page + 1, "Next")
        } else {
            String::new()
        };
        let _ = writeln!(
            html,
            r#"<nav aria-label="Pages">{before}<span>Page {page} of {pages}</span>{after}</nav>"#
        );
    }
}

fn line(html: &mut String, selection: &Selection, row: &OperationView) {
    let name = Text(&row.name);
    let asked = row
        .last_asked
        .map(|time| time.strftime("%H:%M:%S").to_string());
    let cell = |class: &str, label: &str, text: Option<&str>| {
        let empty = if text.is_none() { " empty" } else { "" };
        format!(
            r#"<td class="{class}{empty}" data-label="{label}">{}</td>"#,
            Text(text.unwrap_or("–"))
        )
    };
    let description = row.description.as_ref().map_or_else(String::new, |text| {
        format!(r#"<br><span class="quiet">{}</span>"#, Text(text))
    });
    let _ = write!(
        html,
        r#"<tr><th scope="row"><a class="name" href="/operation?name={link}" data-key="look {name}">{name}</a>{description}</th><td class="phase {phase}" data-label="Phase">{phase}</td>{state}{result}{gets}{cancels}{asked}<td class="do">"#,
        link = encoded(&row.name),
        phase = row.phase,
        state = cell("state", "State", row.state.as_deref()),
        result = cell("result", "Result", row.result.as_deref()),
        gets = cell("number", "GETs", Some(&row.gets.to_string())),
        cancels = cell("number", "Cancels", Some(&row.cancels.to_string())),
        asked = cell("time", "Last request (UTC)", asked.as_deref()),
    );
    actions(html, selection, row);
    html.push_str("</td></tr>\n");
}

/// The buttons of an operation; they return to this selection.
fn actions(html: &mut String, selection: &Selection, row: &OperationView) {
    let acts: &[(&str, &str)] = match row.phase {
        "absent" => &[],
        "running" | "cancelling" => &[
            ("complete", "Complete"),
            ("fail", "Fail"),
            ("vanish", "Vanish"),
        ],
        _ => &[("vanish", "Vanish")],
    };
    if acts.is_empty() {
        return;
    }
    let _ = write!(
        html,
        r#"<form class="acts" method="post" action="/change"><input type="hidden" name="name" value="{}">"#,
        Value(&row.name)
    );
    for (key, value) in parameters(selection) {
        let _ = write!(
            html,
            r#"<input type="hidden" name="{key}" value="{}">"#,
            Value(&value)
        );
    }
    let name = Text(&row.name);
    for (act, word) in acts {
        let _ = write!(
            html,
            r#"<button name="do" value="{act}" aria-label="{word} {name}" data-key="{act} {name}">{word}</button>"#
        );
    }
    html.push_str("</form>");
}
