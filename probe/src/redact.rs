//! Replaces projects, principals, operations and private hosts by placeholders, so that a report can be published.

mod patterns;

use serde_json::Value;

use super::{arguments::Arguments, plan::Plan, report::Report};
use opcancel::google::{endpoint::EndpointOverrides, operation_name::OperationName};
use patterns::{
    consumer, replace_cut, replace_word, without_numbers, without_principals, without_projects,
};

/// Members of the report whose texts are the probe's own.
const OWN_WORDS: [&str; 5] = ["id", "title", "expected", "verdict", "status"];

/// The names that are replaced, each with its placeholder.
#[derive(Clone, Debug)]
pub struct Redactor {
    /// The longest first, so that a name inside another one is not replaced first.
    names: Vec<(String, &'static str)>,
}

impl Redactor {
    /// Knows the names of the arguments, of overridden endpoints, of the caller, of the project that pays, and of the projects
    /// that answers name.
    pub fn new(
        arguments: &Arguments,
        plan: &Plan,
        report: &Report,
        overrides: &EndpointOverrides,
    ) -> Self {
        let operation = |name: &Option<OperationName>| {
            let id = name.as_ref().map(OperationName::last_segment);
            id.map(str::to_owned)
        };
        let mut names = vec![
            (Some(arguments.project.clone()), "PROJECT"),
            (arguments.forbidden_project.clone(), "FORBIDDEN-PROJECT"),
            (report.quota_project.clone(), "QUOTA-PROJECT"),
            (operation(&arguments.finished), "FINISHED"),
            (operation(&arguments.cancel), "CANCELLED"),
            (report.principal.clone(), "PRINCIPAL"),
            (Some(report.credentials.clone()), "CREDENTIALS"),
        ];
        // Only an override can lead to a host that is not Google's.
        let endpoints = plan.overridden().chain(overrides.fixed_endpoints());
        let hosts = endpoints.flat_map(hosts);
        names.extend(hosts.map(|host| (Some(host.to_owned()), "ENDPOINT")));
        let observed = report.rows.iter().filter_map(|row| row.observed.as_ref());
        let consumers = observed.filter_map(|answer| answer.metadata.get("consumer"));
        names.extend(consumers.map(|text| (Some(consumer(text).to_owned()), "OTHER-PROJECT")));
        let given = names
            .into_iter()
            .filter_map(|(name, placeholder)| Some((name?, placeholder)));
        let mut names: Vec<_> = given.flat_map(spellings).collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self { names }
    }

    /// The report with placeholders.
    ///
    /// # Errors
    /// If the report cannot be rewritten; it must then not be printed.
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
                replace_cut(&replace_word(&text, name, placeholder), name, placeholder)
            });
        without_numbers(&without_projects(&without_principals(&named)))
    }
}

/// The host of an endpoint, with and without its port.
fn hosts(endpoint: &str) -> [&str; 2] {
    let place = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, place)| place);
    match place.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => [place, host],
        _ => [place, place],
    }
}

/// A name as it is, and as it is encoded in a path.
fn spellings((name, placeholder): (String, &'static str)) -> Vec<(String, &'static str)> {
    let mut spellings = Vec::new();
    if name.contains(':') {
        spellings.push((name.replace(':', "%3A"), placeholder));
    }
    if !name.is_empty() {
        spellings.push((name, placeholder));
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::{
        super::{arguments::tests::parse, observation::ObservedAnswer, report::RowReport},
        *,
    };

    fn redactor() -> Redactor {
        let arguments = parse(&[
            "--project=ex.com:acme",
            "--forbidden-project=acme-2",
            "--finished=projects/ex.com:acme/operations/done-1",
            "--cancel=projects/ex.com:acme/operations/run-1",
        ])
        .unwrap();
        let overrides = [
            "dialogflow=https://dialogflow.private.example:8443",
            "dialogflow/eu=https://[::1]:8443",
        ];
        let overrides = EndpointOverrides::new(overrides.map(|text| text.parse().unwrap()));
        let refused = ObservedAnswer {
            metadata: [("consumer".to_owned(), "projects/folder".to_owned())].into(),
            ..ObservedAnswer::default()
        };
        let report = Report {
            principal: Some("opcancel@acme-2.iam.gserviceaccount.com".to_owned()),
            credentials: "external_account file /home/bob/c.json".to_owned(),
            quota_project: Some("payer".to_owned()),
            rows: vec![RowReport {
                observed: Some(refused),
                ..RowReport::default()
            }],
            ..Report::default()
        };
        let plan = Plan::new(&arguments, &overrides).unwrap();
        Redactor::new(&arguments, &plan, &report, &overrides)
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
            (
                "folder pays for projects/folder, not for folders",
                "OTHER-PROJECT pays for projects/OTHER-PROJECT, not for folders",
            ),
            (
                "the certificate is not for dialogflow.private.example",
                "the certificate is not for ENDPOINT",
            ),
            ("GET https://[::1]:8443/v2/x", "GET https://ENDPOINT/v2/x"),
            ("@type, details", "@type, details"),
            ("external_account file /home/bob/c.json", "CREDENTIALS"),
            ("größer als", "größer als"),
        ] {
            assert_eq!(redactor.text(text), shown);
        }
    }

    #[test]
    fn the_probes_own_words_stay() {
        let row = RowReport {
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
