//! What the CRD accepts as the name of an operation, by its own regular expressions.
//!
//! The unit tests of names and the fuzz target include this file, each with `name_rules` beside it.

use regex::Regex;

use super::name_rules;

/// The regular expressions of the CRD.
pub struct Crd {
    must: Vec<Regex>,
    must_in_projects: Regex,
    must_not: Vec<Regex>,
    pasted: Vec<(Regex, &'static str)>,
}

impl Crd {
    pub fn new() -> Self {
        let regex = |pattern: &str| Regex::new(pattern).unwrap();
        Self {
            must: name_rules::MUST_MATCH.map(regex).into(),
            must_in_projects: regex(name_rules::MUST_MATCH_IN_PROJECTS),
            must_not: name_rules::MUST_NOT_MATCH.map(regex).into(),
            pasted: name_rules::PASTED
                .map(|(pattern, hint)| (regex(pattern), hint))
                .into(),
        }
    }

    /// Whether it accepts a name.
    pub fn takes(&self, name: &str) -> bool {
        let longest = usize::try_from(name_rules::MAX_NAME).unwrap();
        let in_projects = !name.starts_with("projects/") || self.must_in_projects.is_match(name);
        (1..=longest).contains(&name.len())
            && in_projects
            && self.must.iter().all(|pattern| pattern.is_match(name))
            && !self.must_not.iter().any(|pattern| pattern.is_match(name))
    }

    /// What its message says of a text that is not a name.
    pub fn hint(&self, name: &str) -> Option<&'static str> {
        let found = self
            .pasted
            .iter()
            .find(|(pattern, _)| pattern.is_match(name));
        found.map(|(_, hint)| *hint)
    }
}
