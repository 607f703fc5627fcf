//! Texts that people paste instead of an operation's name, and what to write instead. The CRD says the same
//! (`src/api/name_rules.rs`); a property test holds the two together.

/// What to write instead, if the text is of a known kind. Call it only for invalid names.
pub fn hint(text: &str) -> Option<&'static str> {
    let has = |characters: &[char]| text.contains(characters);
    let first = text.split_once('/').map(|(first, _)| first);
    Some(if is_field(text) {
        "leave out name: and the quotes, and write what follows them"
    } else if is_console(text) {
        "this is the address of a page of the console: write the name that the API or gcloud printed"
    } else if has_scheme(text) {
        "this is a URL: leave out https://, the host and the version, and write from projects/ on, without :cancel"
    } else if text.bytes().any(|b| b.is_ascii_whitespace()) {
        "write it without blanks and line breaks (in YAML, | and > add a line break at the end: write the name on the same line)"
    } else if !text.bytes().all(|b| b.is_ascii_graphic()) {
        "it has an invisible character, or one that is not ASCII, such as a curly quote: type the name anew"
    } else if has(&['"', '\'', '`']) {
        "leave out the quotes, and what stands outside of them"
    } else if has(&['<', '>', '{', '}', '$']) {
        "a placeholder was not filled in: write the value itself in place of < >, { } or $"
    } else if text.starts_with("//") {
        "this is an absolute resource name: leave out // and the host, and write from projects/ on"
    } else if text.starts_with('/') {
        "leave out the leading slash, and the version if one follows"
    } else if first.is_some_and(|first| first.contains('.')) {
        "leave out the host and the version, and write from projects/ on"
    } else if text.starts_with("projects/projects/") {
        "projects/ stands twice: write it once"
    } else if first.is_some_and(is_version) {
        "leave out the version: it goes into spec.version"
    } else if text.ends_with(":cancel") {
        "leave out :cancel: the controller adds it"
    } else if has(&['?', '#']) {
        "leave out ? or # and what follows"
    } else if has_percent_encoding(text) {
        "leave out the percent-encoding: write the character itself, such as / for %2F"
    } else if text.ends_with('/') {
        "leave out the slash at the end, or write what is missing after it"
    } else if first.is_none() && !text.is_empty() {
        "this is a part of a name: write the whole, such as projects/PROJECT/locations/LOCATION/operations/OPERATION"
    } else {
        return None;
    })
}

/// A line from the output of `gcloud … describe` or curl.
fn is_field(text: &str) -> bool {
    let text = text.trim_start_matches(['{', ' ', '\t', '"', '\'']);
    text.strip_prefix("name").is_some_and(|rest| {
        let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
        rest.trim_start_matches([' ', '\t']).starts_with(':')
    })
}

fn is_console(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split('/').next());
    host.is_some_and(|host| host == "cloud.google.com" || host.ends_with(".cloud.google.com"))
}

fn has_scheme(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default();
        before.ends_with(|c: char| c.is_ascii_alphabetic())
    })
}

fn is_version(text: &str) -> bool {
    let number = text.strip_prefix('v');
    number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}

fn has_percent_encoding(text: &str) -> bool {
    text.as_bytes()
        .windows(3)
        .any(|part| matches!(part, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}
