//! The rules of the CRD for the names of operations and their parents (design section 5), as regular expressions (RE2, which
//! CEL and OpenAPI have in common).
//!
//! The code that parses names has the same grammar (`src/google/operation_name.rs`); a property test compares the two.

use kube::core::{Message, Rule};

/// A segment of a name: also what Spanner (`_auto_…`) makes.
macro_rules! id {
    () => {
        "[A-Za-z0-9_][A-Za-z0-9._~-]*"
    };
}
macro_rules! domain_project {
    () => {
        "[a-z0-9][a-z0-9.-]*:[a-z0-9][a-z0-9-]*"
    };
}
macro_rules! project {
    () => {
        "([a-z0-9][a-z0-9.-]*:)?[a-z0-9][a-z0-9-]*"
    };
}
macro_rules! pair {
    () => {
        concat!(
            "[a-z][A-Za-z]*/(",
            id!(),
            "|[(]default[)]|",
            domain_project!(),
            ")"
        )
    };
}

/// Whole pairs, perhaps a collection without an id, and the operation.
macro_rules! form {
    () => {
        concat!(
            "(",
            pair!(),
            "/)*([a-z][A-Za-z]*/)?(operations|transferOperations)(/",
            id!(),
            ")+"
        )
    };
}

const FORM: &str = concat!("^", form!(), "$");
/// A colon stands nowhere but in a project.
const COLON: &str = "^[^:]*$|^projects/[^/:]*:[^:]*$";
/// What begins with `projects/` names a project, or a bucket whose project is not told.
const PROJECT: &str = concat!("^projects/(", project!(), "|_/buckets/", id!(), ")/");
/// A location that could not stand in a host's name, in any place.
const BAD_LOCATION: &str = "(^|/)(locations|regions|zones)/([^/]*[^a-z0-9/-][^/]*|-[^/]*|[^/]*-|[^/]*--[^/]*|[^/]{53,}|)(/|$)";
/// `projects/` twice: read as pairs, the last collection before `operations/` would have no id.
const DOUBLED: &str = "^projects/projects/([^/]+/[^/]+/)*[^/]+/(operations|transferOperations)/";
/// A project that is too long.
const LONG_PROJECT: &str = "^projects/[^/]{64,}";
/// A segment that is too long.
const LONG_SEGMENT: &str = "[^/]{256,}";

/// What a name must match.
pub const MUST_MATCH: [&str; 2] = [FORM, COLON];
/// What a name must match if it begins with `projects/`.
pub const MUST_MATCH_IN_PROJECTS: &str = PROJECT;
/// What a name must not match.
pub const MUST_NOT_MATCH: [&str; 4] = [BAD_LOCATION, DOUBLED, LONG_PROJECT, LONG_SEGMENT];
/// Longest name.
pub const MAX_NAME: u32 = 1024;

/// What people paste instead of a name, and what to write instead.
pub const PASTED: [(&str, &str); 7] = [
    (
        r"[ \t\r\n\f]",
        "write it without blanks and line breaks (in YAML, | and > add a line break at the end: write the name on the same line)",
    ),
    (
        "^[A-Za-z]*://",
        "this is a URL: leave out https://, the host and the version, and write from projects/ on",
    ),
    (
        "^//",
        "this is an absolute resource name: leave out // and the host, and write from projects/ on",
    ),
    ("^/", "leave out the leading slash"),
    (
        "^projects/projects/",
        "projects/ stands twice: write it once",
    ),
    (
        "^v[0-9][^/]*/",
        "leave out the version: it goes into spec.version",
    ),
    (":cancel$", "leave out :cancel: the controller adds it"),
];

/// What a name looks like.
pub const EXPECTED: &str = "expected the name alone, such as projects/PROJECT/locations/LOCATION/operations/OPERATION or projects/PROJECT/operations/OPERATION: at most 63 characters for PROJECT, 52 for LOCATION, 255 for any other part; PROJECT and LOCATION in lower-case letters, digits and hyphens; ids in letters, digits, and . _ ~ - after the first";

/// A parent of operations in a grant.
pub const PARENT_PATTERN: &str = concat!(
    "^(projects/",
    project!(),
    "|organizations/[0-9]+|folders/[0-9]+|billingAccounts/[0-9A-F]{6}(-[0-9A-F]{6}){2}|projects/_/buckets/",
    id!(),
    ")(/[a-z][A-Za-z]*/(",
    id!(),
    "|[(]default[)]))*$"
);
/// A project in a grant, or all of them.
pub const PROJECTS_PATTERN: &str = concat!("^([*]|", project!(), ")$");
/// A namespace in a grant, or all of them.
pub const NAMESPACES_PATTERN: &str = "^([*]|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$";
/// An operation in a grant, or all of them.
pub const OPERATION_NAMES_PATTERN: &str = concat!("^([*]|", form!(), ")$");

/// The rule for `spec.operationName`. One message: it says what to write instead of what was pasted.
pub fn operation_name() -> Rule {
    let matches = |pattern: &str| format!("self.matches({})", literal(pattern));
    let must = MUST_MATCH.iter().map(|pattern| matches(pattern));
    let must_not = MUST_NOT_MATCH
        .iter()
        .map(|pattern| format!("!{}", matches(pattern)));
    let in_projects = format!(
        "(!self.startsWith('projects/') || {})",
        matches(MUST_MATCH_IN_PROJECTS)
    );
    let rule: Vec<_> = must.chain(must_not).chain([in_projects]).collect();
    let hints: String = PASTED
        .iter()
        .map(|(pattern, hint)| format!("{} ? {} : ", matches(pattern), literal(hint)))
        .collect();
    let message = format!("'spec.operationName: ' + ({hints}{})", literal(EXPECTED));
    Rule::new(rule.join(" && ")).message(Message::Expression(message))
}

/// A raw string literal of CEL. None of the texts has a quote in it.
fn literal(text: &str) -> String {
    format!("r'{text}'")
}
