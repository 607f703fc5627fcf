//! The plan of `--dry-run`.

use crate::{arguments::Arguments, expectation::describe, plan::Plan};

/// The project that `x-goog-user-project` will name, or why it is not known.
pub type Payer = Result<Option<String>, String>;

/// What would be sent.
pub fn plan(plan: &Plan, arguments: &Arguments, payer: Payer) -> String {
    let mut lines = rows(plan, arguments);
    lines.push(String::new());
    lines.push(format!(
        "At most {} requests, one every {:?}, to {}.",
        plan.max_requests(),
        arguments.pace,
        plan.endpoints().join(", ")
    ));
    lines.push(payer_line(payer));
    lines.push(format!("It may cancel: {}.", cancels(plan, arguments)));
    lines.push("Nothing was sent, and no token was fetched.".to_owned());
    lines.join("\n") + "\n"
}

fn rows(plan: &Plan, arguments: &Arguments) -> Vec<String> {
    let mut lines = Vec::new();
    for row in &plan.rows {
        let request = match &row.step {
            Err(needs) => format!("not tried: {needs}"),
            Ok(_) => plan.request(row, arguments).unwrap_or_default(),
        };
        let expected = describe(row.expected);
        lines.push(format!("{}: {request}", row.id));
        lines.push(format!("    {}; expected: {expected}", row.title));
    }
    lines
}

fn payer_line(payer: Payer) -> String {
    match payer {
        Ok(Some(project)) => {
            format!("x-goog-user-project: {project}, unless a row says otherwise.")
        }
        Ok(None) => "No x-goog-user-project is sent, unless a row says otherwise.".to_owned(),
        Err(error) => {
            format!("x-goog-user-project: unknown, because no credentials were found: {error}")
        }
    }
}

fn cancels(plan: &Plan, arguments: &Arguments) -> String {
    let cancels = plan.cancels(arguments);
    if cancels.is_empty() {
        "nothing".to_owned()
    } else {
        cancels.join("; ")
    }
}
