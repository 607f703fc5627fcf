//! Finds names in a text by their form: projects, project numbers and principals that the probe does not know.

use opcancel::google::operation_name::is_project;

/// A word of at least this many digits counts as a project's number.
const NUMBER_DIGITS: usize = 6;

/// Stands for a project that the probe's arguments do not name.
const OTHER_PROJECT: &str = "OTHER-PROJECT";

/// Stands for a project's number.
const NUMBER: &str = "NUMBER";

/// What precedes a project in Google's texts, and no other word in lower case.
const BEFORE_PROJECTS: [&str; 8] = [
    "projects/",
    "projects%2F",
    "project=",
    "project:",
    "project_number:",
    "project '",
    "project \"",
    "project `",
];

/// Precedes other words too: after it, only a text that does not look like a word counts as a project.
const BEFORE_WORDS: &str = "project ";

/// Replaces a name where it is not a part of a longer word.
pub fn replace_word(text: &str, name: &str, placeholder: &str) -> String {
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

/// A shorter beginning of a name does not identify it.
const TELLING: usize = 4;

/// Replaces the beginning of a name at the end of a shortened text.
pub fn replace_cut(text: &str, name: &str, placeholder: &str) -> String {
    let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let cut = text.strip_suffix('…').and_then(|kept| {
        let lengths = (TELLING..name.len()).rev();
        let beginnings = lengths.filter_map(|length| name.get(..length));
        let mut befores = beginnings.filter_map(|beginning| kept.strip_suffix(beginning));
        befores.find(|before| !before.ends_with(in_word))
    });
    cut.map_or_else(
        || text.to_owned(),
        |before| format!("{before}{placeholder}…"),
    )
}

/// Replaces what is in the place of a project: `projects/X`, `project 'X'`.
pub fn without_projects(text: &str) -> String {
    let named = BEFORE_PROJECTS
        .iter()
        .fold(text.to_owned(), |text, before| {
            after_each(&text, before, is_project)
        });
    let like_no_word = |project: &str| {
        is_project(project)
            && project.contains(['-', ':', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
    };
    after_each(&named, BEFORE_WORDS, like_no_word)
}

/// The project in a `consumer` of ErrorInfo.
pub fn consumer(text: &str) -> &str {
    let after = BEFORE_PROJECTS
        .iter()
        .find_map(|before| text.strip_prefix(before));
    after.unwrap_or(text)
}

fn after_each(text: &str, before: &str, is_name: impl Fn(&str) -> bool) -> String {
    let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '%' | '_');
    let mut parts = text.split(before);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c| !of_name(c)).unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        // The full stop of a sentence is not part of the name.
        let name = name.trim_end_matches(['.', ':']);
        let after = part.get(name.len()..).unwrap_or(rest);
        let number = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
        replaced.push_str(before);
        replaced.push_str(match name {
            _ if number => NUMBER,
            name if is_name(&name.replace("%3A", ":")) => OTHER_PROJECT,
            name => name,
        });
        replaced.push_str(after);
    }
    replaced
}

/// Replaces e-mail addresses and `principal://` names.
pub fn without_principals(text: &str) -> String {
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
            is_address(word) || word.contains("principal://") || word.contains("principalSet://");
        replaced.push_str(between);
        replaced.push_str(if principal { "PRINCIPAL" } else { word });
        rest = after;
    }
    replaced
}

/// Whether there is a word on both sides of an `@`: `@type` is a member of many answers.
fn is_address(word: &str) -> bool {
    word.split_once('@').is_some_and(|(name, host)| {
        name.ends_with(|c: char| c.is_alphanumeric())
            && host.starts_with(|c: char| c.is_alphanumeric())
    })
}

/// Replaces what may be a project's number. Digits within a word (a random name) stay.
pub fn without_numbers(text: &str) -> String {
    let of_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut replaced = String::new();
    for piece in text.split_inclusive(|c| !of_word(c)) {
        let body = piece.trim_end_matches(|c| !of_word(c));
        let separator = piece.get(body.len()..).unwrap_or_default();
        let number = body.len() >= NUMBER_DIGITS && body.bytes().all(|b| b.is_ascii_digit());
        replaced.push_str(if number { NUMBER } else { body });
        replaced.push_str(separator);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_known_by_what_stands_before_it() {
        for (text, shown) in [
            (
                "on resource '//dialogflow.googleapis.com/projects/acme-prod/agent'",
                "on resource '//dialogflow.googleapis.com/projects/OTHER-PROJECT/agent'",
            ),
            ("projects/acme.", "projects/OTHER-PROJECT."),
            ("projects/12/x", "projects/NUMBER/x"),
            ("projects/ex.com:acme/x", "projects/OTHER-PROJECT/x"),
            ("projects/ex.com%3Aacme: x", "projects/OTHER-PROJECT: x"),
            (
                "visit https://console/overview?project=acme then retry",
                "visit https://console/overview?project=OTHER-PROJECT then retry",
            ),
            (
                "has not been used in project acme-2 before",
                "has not been used in project OTHER-PROJECT before",
            ),
            ("use project 'acme'.", "use project 'OTHER-PROJECT'."),
            ("the project that pays", "the project that pays"),
            ("a project: x", "a project: x"),
            ("project_number:123456", "project_number:NUMBER"),
            ("projects/PROJECT/o", "projects/PROJECT/o"),
            ("projects/*/o projects/…/o", "projects/*/o projects/…/o"),
            ("projects/", "projects/"),
        ] {
            assert_eq!(without_projects(text), shown);
        }
    }

    #[test]
    fn a_name_that_was_cut_is_known_by_its_beginning() {
        let name = "dialogflow.private.example:8443";
        for (text, shown) in [
            ("not served by dialogflow.priv…", "not served by ENDPOINT…"),
            (
                "https://dialogflow.private.example:844…",
                "https://ENDPOINT…",
            ),
            ("dialogflow.priv", "dialogflow.priv"),
            ("by dia…", "by dia…"),
            ("x-dialogflow.priv…", "x-dialogflow.priv…"),
            ("nothing of it…", "nothing of it…"),
        ] {
            assert_eq!(replace_cut(text, name, "ENDPOINT"), shown);
        }
    }

    #[test]
    fn a_consumer_is_a_project() {
        for (text, project) in [
            ("projects/acme", "acme"),
            ("project_number:12", "12"),
            ("projects/ex.com:acme", "ex.com:acme"),
            ("acme", "acme"),
        ] {
            assert_eq!(consumer(text), project);
        }
    }

    #[test]
    fn an_address_has_two_sides() {
        for (text, shown) in [
            ("@type, b@c.example", "@type, PRINCIPAL"),
            ("a@ b @", "a@ b @"),
            ("serviceAccount:a@b", "PRINCIPAL"),
            ("ErrorInfo.@type", "ErrorInfo.@type"),
        ] {
            assert_eq!(without_principals(text), shown);
        }
    }
}
