//! The report as people and programs read it.

mod details;
mod plan;

pub use plan::{Payer, plan};

use super::{
    arguments::Output,
    report::{Report, RowReport, Verdict},
};
use details::details;

/// The report in the given form, with a newline at its end.
pub fn report(report: &Report, output: Output) -> String {
    match output {
        Output::Text => text(report),
        Output::Markdown => markdown(report),
        Output::Json => serde_json::to_string_pretty(report).unwrap_or_default() + "\n",
    }
}

fn text(report: &Report) -> String {
    let mut lines = head_lines(report);
    lines.push(String::new());
    lines.extend(table(report));
    lines.push(String::new());
    for row in &report.rows {
        lines.extend(row_lines(row));
    }
    lines.push(String::new());
    lines.push(report.summary());
    lines.join("\n") + "\n"
}

/// The table, each column as wide as its widest cell.
fn table(report: &Report) -> Vec<String> {
    let head = ["ROW", "EXPECTED", "OBSERVED", "VERDICT"].map(str::to_owned);
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
    let [first, second, third] = [width(0), width(1), width(2)];
    let line = |[id, expected, observed, verdict]: &[String; 4]| {
        format!("{id:first$}  {expected:second$}  {observed:third$}  {verdict}")
    };
    table.iter().map(line).collect()
}

/// A row below the table, if there is an answer: the question, the request and the details.
fn row_lines(row: &RowReport) -> Vec<String> {
    let Some(observed) = &row.observed else {
        return Vec::new();
    };
    let request = row.request.clone().unwrap_or_default();
    let indented = std::iter::once(request).chain(details(observed));
    let title = format!("{}: {}", row.id, row.title);
    std::iter::once(title)
        .chain(indented.map(|line| format!("    {line}")))
        .collect()
}

fn markdown(report: &Report) -> String {
    let head = head_lines(report);
    let mut lines: Vec<String> = head
        .iter()
        .map(|line| format!("- {}", escaped(line)))
        .collect();
    lines.push(String::new());
    lines.push("| row | expected | observed | verdict |".to_owned());
    lines.push("|---|---|---|---|".to_owned());
    lines.extend(report.rows.iter().map(markdown_row));
    lines.push(String::new());
    lines.push(report.summary());
    lines.join("\n") + "\n"
}

fn markdown_row(row: &RowReport) -> String {
    let details = row.observed.as_ref().map(details).unwrap_or_default();
    let observed: Vec<String> = std::iter::once(short(row))
        .chain(details)
        .map(|line| escaped(&line))
        .collect();
    let verdict = match row.verdict {
        Verdict::Differs => "**differs**",
        other => other.words(),
    };
    format!(
        "| {}<br>{} | {} | {} | {verdict} |",
        escaped(&row.id),
        escaped(row.request.as_deref().unwrap_or(&row.title)),
        escaped(&row.expected),
        observed.join("<br>"),
    )
}

fn head_lines(report: &Report) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{}, {} {}",
            report.program, report.service, report.api_version
        ),
        format!("endpoints: {}", report.endpoints.join(", ")),
        format!(
            "caller: {}",
            report.principal.as_deref().unwrap_or("unknown")
        ),
        format!("credentials: {}", report.credentials),
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
    match (&row.observed, &row.reason) {
        (Some(observed), _) => observed.short(),
        (None, Some(reason)) => reason.clone(),
        (None, None) => String::new(),
    }
}

/// Escapes a text so that it stays in its cell and is not read as markup.
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
            // A message from outside must not mention anyone.
            '@' => escaped.push_str("&#64;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{super::observation::ObservedAnswer, *};

    #[test]
    fn a_foreign_message_stays_in_its_cell() {
        let observed = ObservedAnswer {
            message: Some("a|b <img src=x> @somebody **bold**".to_owned()),
            http_status: Some(400),
            ..ObservedAnswer::default()
        };
        let row = RowReport {
            id: "some-row".to_owned(),
            observed: Some(observed),
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
