//! The report: what was expected, what was seen, and what follows for who started the program.

use serde::{Deserialize, Serialize};

use super::seen::Seen;

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
    /// Where requests went.
    pub endpoints: Vec<String>,
    /// Where tokens came from.
    pub credentials: String,
    /// Who asked, as far as known.
    pub principal: Option<String>,
    /// Who paid, where no row says otherwise; none if nothing said who.
    pub quota_project: Option<String>,
    /// This run's name in the audit log.
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
    /// What is sent for it, if anything is.
    pub request: Option<String>,
    /// How many requests were sent.
    pub requests: u32,
    /// What the answer should be.
    pub expected: String,
    /// What it was.
    pub seen: Option<Seen>,
    /// The comparison.
    pub verdict: Verdict,
    /// Why it was not tried.
    pub why: Option<String>,
}

/// What the comparison says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The answer has one of the forms that are expected.
    #[serde(rename = "as expected")]
    AsExpected,
    /// It has none of them.
    #[serde(rename = "differs")]
    Differs,
    /// There was none: a matter of the network or of tokens, which says nothing about the API.
    #[serde(rename = "no answer")]
    NoAnswer,
    /// Nobody asked.
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
