//! The rules of the CRD for the names of operations and their parents (docs/security.md#operation-names), as regular expressions (RE2, which
//! CEL and OpenAPI have in common).
//!
//! The code that parses names has the same grammar (`src/google/names/operation_name.rs`); a property test compares the two.

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

/// What people paste instead of a name, and what to write instead. The first that fits is said.
pub const PASTED: [(&str, &str); 17] = [
    (
        r"^[{ \t\x22\x27]*name[\x22\x27]?[ \t]*:",
        "leave out name: and the quotes, and write what follows them",
    ),
    (
        "^https?://([^/]*[.])?cloud[.]google[.]com(/|$)",
        "this is the address of a page of the console: write the name that the API or gcloud printed",
    ),
    (
        "[A-Za-z]://",
        "this is a URL: leave out https://, the host and the version, and write from projects/ on, without :cancel",
    ),
    (
        r"[ \t\r\n\f]",
        "write it without blanks and line breaks (in YAML, | and > add a line break at the end: write the name on the same line)",
    ),
    (
        "[^!-~]",
        "it has an invisible character, or one that is not ASCII, such as a curly quote: type the name anew",
    ),
    (
        r"[\x22\x27\x60]",
        "leave out the quotes, and what stands outside of them",
    ),
    (
        "[<>{}$]",
        "a placeholder was not filled in: write the value itself in place of < >, { } or $",
    ),
    (
        "^//",
        "this is an absolute resource name: leave out // and the host, and write from projects/ on",
    ),
    (
        "^/",
        "leave out the leading slash, and the version if one follows",
    ),
    (
        "^[^/]*[.][^/]*/",
        "leave out the host and the version, and write from projects/ on",
    ),
    (
        "^projects/projects/",
        "projects/ stands twice: write it once",
    ),
    (
        "^v[0-9][^/]*/",
        "leave out the version: it goes into spec.version",
    ),
    (":cancel$", "leave out :cancel: the controller adds it"),
    ("[?#]", "leave out ? or # and what follows"),
    (
        "%[0-9A-Fa-f]{2}",
        "leave out the percent-encoding: write the character itself, such as / for %2F",
    ),
    (
        "/$",
        "leave out the slash at the end, or write what is missing after it",
    ),
    (
        "^[^/]+$",
        "this is a part of a name: write the whole, such as projects/PROJECT/locations/LOCATION/operations/OPERATION",
    ),
];

/// What a name looks like.
pub const EXPECTED: &str = "expected the name alone, such as projects/PROJECT/locations/LOCATION/operations/OPERATION or projects/PROJECT/operations/OPERATION: at most 63 characters for PROJECT, 52 for LOCATION, 255 for any other part; PROJECT and LOCATION in lower-case letters, digits and hyphens; ids in letters, digits, and . _ ~ - after the first";

/// What the entries of one list of a grant must be.
#[derive(Debug)]
pub struct Entries {
    /// The list's name in the spec.
    pub list: &'static str,
    /// What each entry must match.
    pub must_match: &'static str,
    /// What no entry may match.
    pub must_not_match: &'static [&'static str],
    /// What is said of one that is refused. The API server names the list and the place in it.
    pub message: &'static str,
}

impl Entries {
    /// The rule for one entry, as it stands in the CRD. A pattern would do too, but the API server says no more of it than the
    /// expression.
    pub fn rule(&self) -> String {
        let must_not = self.must_not_match.iter();
        let must_not = must_not.map(|pattern| format!("!self.matches({})", literal(pattern)));
        [format!("self.matches({})", literal(self.must_match))]
            .into_iter()
            .chain(must_not)
            .collect::<Vec<_>>()
            .join(" && ")
    }
}

const PARENT: &str = concat!(
    "^(projects/",
    project!(),
    "|organizations/[0-9]+|folders/[0-9]+|billingAccounts/[0-9A-F]{6}(-[0-9A-F]{6}){2}|projects/_/buckets/",
    id!(),
    ")(/[a-z][A-Za-z]*/(",
    id!(),
    "|[(]default[)]))*$"
);
/// An operation where its parent should stand.
const OPERATION_IN_PARENT: &str = "/(operations|transferOperations)/";

/// A name whose parent a grant can name.
const WITH_PARENT: &str = "^(projects|organizations|folders|billingAccounts)/";

/// The lists of a grant whose entries are names.
pub const GRANT_ENTRIES: [Entries; 4] = [
    Entries {
        list: "namespaces",
        must_match: "^([*]|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$",
        must_not_match: &[],
        message: "expected the name of a namespace, or exactly \"*\" for all; globs such as team-* are not supported",
    },
    Entries {
        list: "projects",
        must_match: concat!("^([*]|", project!(), ")$"),
        must_not_match: &[],
        message: "expected the id or the number of a project as in operation names, such as acme-prod or \"123456789012\", without projects/; or exactly \"*\" for all; globs such as acme-* are not supported",
    },
    Entries {
        list: "parents",
        must_match: PARENT,
        must_not_match: &[
            BAD_LOCATION,
            OPERATION_IN_PARENT,
            LONG_PROJECT,
            LONG_SEGMENT,
        ],
        message: "expected a parent of operations: projects/PROJECT, organizations/NUMBER, folders/NUMBER, billingAccounts/ACCOUNT or projects/_/buckets/BUCKET, then whole pairs COLLECTION/ID, such as projects/acme-prod/locations/europe-west1; no operation, no glob, and no slash at either end",
    },
    Entries {
        list: "operationNames",
        must_match: concat!("^([*]|", form!(), ")$"),
        must_not_match: &[WITH_PARENT, ":", BAD_LOCATION, LONG_SEGMENT],
        message: "expected the full name of an operation without a parent, such as operations/build/x1, or exactly \"*\" for all of them; globs are not supported; for operations with a parent, use projects or parents",
    },
];

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
    // The API server says first that it is about spec.operationName.
    let message = format!("{hints}{}", literal(EXPECTED));
    Rule::new(rule.join(" && ")).message(Message::Expression(message))
}

/// A raw string literal of CEL. None of the texts has a quote in it.
fn literal(text: &str) -> String {
    format!("r'{text}'")
}
