//! The report and the plan as people and programs read them.

use super::{
    arguments::{Arguments, Output},
    form::words,
    plan::Plan,
    report::{Report, RowReport, Verdict},
    seen::{NameForm, Seen},
};

/// The report in the form that is asked for, with a newline at its end.
pub fn report(report: &Report, output: Output) -> String {
    match output {
        Output::Text => text(report),
        Output::Markdown => markdown(report),
        Output::Json => serde_json::to_string_pretty(report).unwrap_or_default() + "\n",
    }
}

/// What would be sent. `payer` is whom `x-goog-user-project` names, or why that is not known.
pub fn plan(plan: &Plan, arguments: &Arguments, payer: Result<Option<String>, String>) -> String {
    let mut lines: Vec<String> = Vec::new();
    for row in &plan.rows {
        let what = match &row.step {
            Err(needs) => format!("not tried: {needs}"),
            Ok(_) => plan.request(row, arguments).unwrap_or_default(),
        };
        lines.push(format!("{}: {what}", row.id));
        lines.push(format!(
            "    {}; expected: {}",
            row.title,
            words(row.expected)
        ));
    }
    let cancels = plan.cancels(arguments);
    let cancels = if cancels.is_empty() {
        "nothing".to_owned()
    } else {
        cancels.join("; ")
    };
    lines.push(String::new());
    lines.push(format!(
        "At most {} requests, one every {:?}, to {}.",
        plan.requests(),
        arguments.pace,
        plan.endpoints().join(", ")
    ));
    lines.push(match payer {
        Ok(Some(project)) => {
            format!("x-goog-user-project: {project}, but where a row says otherwise.")
        }
        Ok(None) => "No x-goog-user-project is sent, but where a row says so.".to_owned(),
        Err(why) => {
            format!("x-goog-user-project: not known, as there are no credentials here: {why}")
        }
    });
    lines.push(format!("It may cancel: {cancels}."));
    lines.push("Nothing was sent, and no token was fetched.".to_owned());
    lines.join("\n") + "\n"
}

fn text(report: &Report) -> String {
    let head = ["ROW", "EXPECTED", "SEEN", "VERDICT"].map(str::to_owned);
    let rows = report.rows.iter().map(|row| {
        [
            row.id.clone(),
            row.expected.clone(),
            short(row),
            row.verdict.words().to_owned(),
        ]
    });
    let table: Vec<[String; 4]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        let cells = table.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let mut lines = head_lines(report);
    lines.push(String::new());
    for [id, expected, seen, verdict] in &table {
        let [first, second, third] = widths;
        lines.push(format!(
            "{id:first$}  {expected:second$}  {seen:third$}  {verdict}"
        ));
    }
    lines.push(String::new());
    for row in report.rows.iter().filter(|row| row.seen.is_some()) {
        lines.push(format!("{}: {}", row.id, row.title));
        lines.push(format!(
            "    {}",
            row.request.as_deref().unwrap_or_default()
        ));
        let details = row.seen.as_ref().map(details).unwrap_or_default();
        lines.extend(details.into_iter().map(|detail| format!("    {detail}")));
    }
    lines.push(String::new());
    lines.push(report.summary());
    lines.join("\n") + "\n"
}

fn markdown(report: &Report) -> String {
    let mut lines = head_lines(report);
    lines
        .iter_mut()
        .for_each(|line| *line = format!("- {}", escaped(line)));
    lines.push(String::new());
    lines.push("| row | expected | seen | verdict |".to_owned());
    lines.push("|---|---|---|---|".to_owned());
    for row in &report.rows {
        let details = row.seen.as_ref().map(details).unwrap_or_default();
        let mut seen = vec![short(row)];
        seen.extend(details);
        let verdict = match row.verdict {
            Verdict::Differs => "**differs**".to_owned(),
            other => other.words().to_owned(),
        };
        lines.push(format!(
            "| {}<br>{} | {} | {} | {verdict} |",
            escaped(&row.id),
            escaped(row.request.as_deref().unwrap_or(&row.title)),
            escaped(&row.expected),
            seen.iter()
                .map(|line| escaped(line))
                .collect::<Vec<_>>()
                .join("<br>"),
        ));
    }
    lines.push(String::new());
    lines.push(report.summary());
    lines.join("\n") + "\n"
}

fn head_lines(report: &Report) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{}, {} {}",
            report.program, report.service, report.api_version
        ),
        format!("endpoints: {}", report.endpoints.join(", ")),
        format!(
            "as {}, by {}",
            report.principal.as_deref().unwrap_or("somebody unnamed"),
            report.credentials
        ),
        format!(
            "X-Goog-Request-Reason: opcancel - opcancel-probe/ROW {}",
            report.run
        ),
    ];
    let paid = report.quota_project.as_ref();
    lines.extend(paid.map(|project| format!("x-goog-user-project: {project}")));
    lines
}

fn short(row: &RowReport) -> String {
    match (&row.seen, &row.why) {
        (Some(seen), _) => seen.short(),
        (None, Some(why)) => why.clone(),
        (None, None) => String::new(),
    }
}

/// What was seen beside its short form, a line each.
fn details(seen: &Seen) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("{name}: {value}"));
        }
    };
    add(
        "by",
        [Some(seen.http_version.clone()), seen.content_type.clone()]
            .into_iter()
            .flatten()
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(", "),
    );
    let metadata = seen
        .metadata
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let info = [seen.reason.clone(), seen.domain.clone()]
        .into_iter()
        .flatten();
    add(
        "ErrorInfo",
        info.chain(metadata).collect::<Vec<_>>().join(", "),
    );
    add("members of its metadata", seen.metadata_keys.join(", "));
    add("details", seen.details.join(", "));
    add(
        "to wait",
        seen.retry_after_ms
            .map(|ms| format!("{ms} ms"))
            .unwrap_or_default(),
    );
    add("message", seen.message.clone().unwrap_or_default());
    if let Some(operation) = &seen.operation {
        add("error", operation.error_status.clone().unwrap_or_default());
        add("name", name_form(operation.name).to_owned());
        add("members", operation.keys.join(", "));
        add(
            "metadata",
            operation.metadata_type.clone().unwrap_or_default(),
        );
        add("members of metadata", operation.metadata_keys.join(", "));
        add(
            "state",
            operation.metadata_state.clone().unwrap_or_default(),
        );
        add(
            "response",
            operation.response_type.clone().unwrap_or_default(),
        );
    }
    if let Some(page) = &seen.page {
        add("members", page.keys.join(", "));
        let operations = page.operations.map(|count| count.to_string());
        add(
            "operations",
            operations.unwrap_or_else(|| "no list".to_owned()),
        );
    }
    lines
}

fn name_form(form: NameForm) -> &'static str {
    match form {
        NameForm::AsAsked => "as asked",
        NameForm::ProjectNumber => "with the project's number",
        NameForm::ProjectId => "with the project's id",
        NameForm::ElsewhereInAnswer => "at another location",
        NameForm::Other => "another, or none",
    }
}

/// A text that cannot leave its cell, and is no markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '!' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // Nobody is called by a foreign message.
            '@' => escaped.push_str("&#64;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_message_stays_in_its_cell() {
        let seen = Seen {
            message: Some("a|b <img src=x> @somebody **bold**".to_owned()),
            http_status: Some(400),
            ..Seen::default()
        };
        let row = RowReport {
            id: "some-row".to_owned(),
            seen: Some(seen),
            ..RowReport::default()
        };
        let text = markdown(&Report {
            rows: vec![row],
            ..Report::default()
        });
        let line = text
            .lines()
            .find(|line| line.starts_with("| some-row"))
            .unwrap();
        assert_eq!(line.replace("\\|", "").matches('|').count(), 5, "{line}");
        assert!(!line.contains("<img") && !line.contains('@'), "{line}");
        assert!(line.contains("\\*\\*bold"), "{line}");
    }
}
