//! The report: what was expected, what was observed, and the exit code.

use serde::{Deserialize, Serialize};

use super::observation::ObservedAnswer;

/// Exit code of a run that could not ask everything.
pub const UNANSWERED: u8 = 3;

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// The program and its version.
    pub program: String,
    /// The API.
    pub service: String,
    /// The version of the API in all rows but those about versions.
    pub api_version: String,
    /// The endpoints that were called.
    pub endpoints: Vec<String>,
    /// The source of the tokens.
    pub credentials: String,
    /// The caller, if known.
    pub principal: Option<String>,
    /// `x-goog-user-project` of all rows that do not name another; `None` if it was not sent.
    pub quota_project: Option<String>,
    /// The id of this run in the audit log.
    pub run: String,
    /// How many requests were sent.
    pub requests: u32,
    /// The table.
    pub rows: Vec<RowReport>,
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RowReport {
    /// Its name.
    pub id: String,
    /// The question.
    pub title: String,
    /// The request, if there is one.
    pub request: Option<String>,
    /// How many requests were sent.
    pub requests: u32,
    /// The answers that are expected.
    pub expected: String,
    /// The answer.
    pub observed: Option<ObservedAnswer>,
    /// The comparison.
    pub verdict: Verdict,
    /// Why the row was not tried.
    pub reason: Option<String>,
}

/// What the comparison says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The answer is one of the expected ones.
    #[serde(rename = "as expected")]
    AsExpected,
    /// It is not.
    #[serde(rename = "differs")]
    Differs,
    /// There is none, because of the network or the token. That says nothing about the API.
    #[serde(rename = "no answer")]
    NoAnswer,
    /// Nothing was sent.
    #[default]
    #[serde(rename = "not tried")]
    NotTried,
}

impl Verdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::AsExpected => "as expected",
            Self::Differs => "differs",
            Self::NoAnswer => "no answer",
            Self::NotTried => "not tried",
        }
    }
}

impl Report {
    /// How many rows have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        let with = self.rows.iter().filter(|row| row.verdict == verdict);
        with.count()
    }

    /// The exit code: 1 if something differs, else 3 if something had no answer, else 0.
    pub fn exit_code(&self) -> u8 {
        match (self.count(Verdict::Differs), self.count(Verdict::NoAnswer)) {
            (0, 0) => 0,
            (0, _) => UNANSWERED,
            _ => 1,
        }
    }

    /// The last line.
    pub fn summary(&self) -> String {
        format!(
            "{} as expected, {} differ, {} without an answer, {} not tried; {} requests",
            self.count(Verdict::AsExpected),
            self.count(Verdict::Differs),
            self.count(Verdict::NoAnswer),
            self.count(Verdict::NotTried),
            self.requests
        )
    }
}
