//! Placeholders for what a stranger need not read: projects, principals, operations, private hosts.

use serde_json::Value;

use super::{arguments::Arguments, report::Report};
use crate::google::endpoint::EndpointOverrides;

/// Members of the report that are the probe's own words.
const OWN_WORDS: [&str; 5] = ["id", "title", "expected", "verdict", "status"];

/// So many digits in a row are taken for a project's number.
const NUMBER_DIGITS: usize = 6;

/// What is replaced, and by what.
#[derive(Clone, Debug)]
pub struct Redactor {
    /// The longest first, so that no part of one is taken for another.
    names: Vec<(String, &'static str)>,
}

impl Redactor {
    /// For these arguments, with what they override and who asks.
    pub fn new(arguments: &Arguments, report: &Report, overrides: &EndpointOverrides) -> Self {
        let operation = |name: &Option<crate::google::operation_name::OperationName>| {
            name.as_ref().map(|name| name.operation().to_owned())
        };
        let mut names = vec![
            (Some(arguments.project.clone()), "PROJECT"),
            (arguments.forbidden_project.clone(), "FORBIDDEN-PROJECT"),
            (arguments.quota_project.clone(), "QUOTA-PROJECT"),
            (operation(&arguments.finished), "FINISHED"),
            (operation(&arguments.cancel), "CANCELLED"),
            (report.principal.clone(), "PRINCIPAL"),
            (Some(report.credentials.clone()), "CREDENTIALS"),
        ];
        for location in [None, arguments.location.as_deref()] {
            // Only an override can lead to a host that is not Google's own.
            let service = crate::google::catalogue::service(&arguments.service);
            let endpoint = service.and_then(|row| overrides.endpoint(row.name, location));
            names.push((endpoint.map(|url| without_scheme(&url)), "ENDPOINT"));
        }
        let mut all: Vec<(String, &'static str)> = Vec::new();
        for (name, placeholder) in names {
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                continue;
            };
            if name.contains(':') {
                all.push((name.replace(':', "%3A"), placeholder));
            }
            all.push((name, placeholder));
        }
        all.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self { names: all }
    }

    /// The report with placeholders.
    ///
    /// # Errors
    /// If it cannot be rewritten; nothing may then be shown.
    pub fn report(&self, report: &Report) -> Result<Report, String> {
        let mut value = serde_json::to_value(report).map_err(|error| error.to_string())?;
        self.walk(&mut value);
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    fn walk(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item)),
            Value::Object(members) => members
                .iter_mut()
                .filter(|(name, _)| !OWN_WORDS.contains(&name.as_str()))
                .for_each(|(_, member)| self.walk(member)),
            _ => {}
        }
    }

    /// A text with placeholders.
    pub fn text(&self, text: &str) -> String {
        let named = self
            .names
            .iter()
            .fold(text.to_owned(), |text, (name, placeholder)| {
                replace_word(&text, name, placeholder)
            });
        without_numbers(&without_principals(&named))
    }
}

fn without_scheme(url: &str) -> String {
    url.split_once("://")
        .map_or(url, |(_, host)| host)
        .to_owned()
}

/// Replaces a name where it is not a part of a longer word.
fn replace_word(text: &str, name: &str, placeholder: &str) -> String {
    let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, found) = rest.split_at(at);
        let after = found.get(name.len()..).unwrap_or_default();
        let alone = !before.ends_with(in_word) && !after.starts_with(in_word);
        replaced.push_str(before);
        replaced.push_str(if alone { placeholder } else { name });
        rest = after;
    }
    replaced + rest
}

/// Replaces e-mail addresses and `principal://` names.
fn without_principals(text: &str) -> String {
    let of_word = |c: char| {
        !c.is_whitespace() && !matches!(c, '"' | '\'' | '(' | ')' | ',' | '`' | '<' | '>')
    };
    let mut replaced = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let start = rest.find(of_word).unwrap_or(rest.len());
        let (between, word_on) = rest.split_at(start);
        let end = word_on.find(|c| !of_word(c)).unwrap_or(word_on.len());
        let (word, after) = word_on.split_at(end);
        let principal =
            word.contains('@') || word.contains("principal://") || word.contains("principalSet://");
        replaced.push_str(between);
        replaced.push_str(if principal { "PRINCIPAL" } else { word });
        rest = after;
    }
    replaced
}

/// Replaces what may be a project's number. Digits within a word (a random name) stay.
fn without_numbers(text: &str) -> String {
    let of_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut replaced = String::new();
    for piece in text.split_inclusive(|c| !of_word(c)) {
        let body = piece.trim_end_matches(|c| !of_word(c));
        let separator = piece.get(body.len()..).unwrap_or_default();
        let number = body.len() >= NUMBER_DIGITS && body.bytes().all(|b| b.is_ascii_digit());
        replaced.push_str(if number { "NUMBER" } else { body });
        replaced.push_str(separator);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::{super::arguments::tests::parse, *};

    fn redactor() -> Redactor {
        let arguments = parse(&[
            "--project=ex.com:acme",
            "--forbidden-project=acme-2",
            "--quota-project=payer",
            "--finished=projects/ex.com:acme/operations/done-1",
            "--cancel=projects/ex.com:acme/operations/run-1",
        ]);
        let overriding = "dialogflow=https://dialogflow.private.example:8443".parse();
        let overrides = EndpointOverrides::new([overriding.unwrap()]);
        let report = Report {
            principal: Some("opcancel@acme-2.iam.gserviceaccount.com".to_owned()),
            credentials: "external_account file /home/bob/c.json".to_owned(),
            ..Report::default()
        };
        Redactor::new(&arguments.unwrap(), &report, &overrides)
    }

    #[test]
    fn what_names_somebody_is_replaced_and_nothing_else() {
        let redactor = redactor();
        for (text, shown) in [
            (
                "GET https://dialogflow.private.example:8443/v2/projects/ex.com%3Aacme/operations/done-1",
                "GET https://ENDPOINT/v2/projects/PROJECT/operations/FINISHED",
            ),
            (
                "projects/acme-2/operations/run-1",
                "projects/FORBIDDEN-PROJECT/operations/CANCELLED",
            ),
            (
                "for consumer 'project_number:123456789012'.",
                "for consumer 'project_number:NUMBER'.",
            ),
            (
                "projects/123456/operations/o",
                "projects/NUMBER/operations/o",
            ),
            (
                "0b2c5f3e-9a41-4f5e-8d10-6a4d2c1e7b90",
                "0b2c5f3e-9a41-4f5e-8d10-6a4d2c1e7b90",
            ),
            ("HTTP 404 in 12345 ms", "HTTP 404 in 12345 ms"),
            (
                "denied to \"bob@example.com\", sorry",
                "denied to \"PRINCIPAL\", sorry",
            ),
            ("principal://iam.googleapis.com/a/b c", "PRINCIPAL c"),
            ("opcancel@acme-2.iam.gserviceaccount.com", "PRINCIPAL"),
            ("acme-20 payers x-acme-2", "acme-20 payers x-acme-2"),
            ("payer", "QUOTA-PROJECT"),
            ("external_account file /home/bob/c.json", "CREDENTIALS"),
            ("größer als", "größer als"),
        ] {
            assert_eq!(redactor.text(text), shown);
        }
    }

    #[test]
    fn the_probes_own_words_stay() {
        let row = super::super::report::RowReport {
            id: "payer".to_owned(),
            request: Some("payer".to_owned()),
            ..Default::default()
        };
        let report = Report {
            rows: vec![row],
            ..Report::default()
        };
        let redacted = redactor().report(&report).unwrap();
        let row = &redacted.rows[0];
        assert_eq!(
            (row.id.as_str(), row.request.as_deref()),
            ("payer", Some("QUOTA-PROJECT"))
        );
    }
}
