//! Compares the output on a page with what its commands printed.

/// The first line of the page that is missing in the output, in the order of the page.
///
/// `…` matches any text. Ages, times, versions, loopback ports and the width of columns can differ.
pub fn first_missing_line<'a>(shown: &'a str, output: &str) -> Option<&'a str> {
    let output: Vec<String> = output.lines().map(normalised).collect();
    let mut rest = output.iter();
    shown
        .lines()
        .filter(|line| !line.trim().is_empty())
        .find(|line| {
            let wanted = normalised(line);
            wanted != "…" && !rest.any(|line| fits(&wanted, line))
        })
}

/// Whether `line` matches `wanted`, in which `…` matches any text.
fn fits(wanted: &str, line: &str) -> bool {
    let parts: Vec<&str> = wanted.split('…').collect();
    let [first, middle @ .., last] = &parts[..] else {
        return wanted == line;
    };
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The line with single spaces, and with placeholders for the words that change from run to run.
fn normalised(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        if is_age(word) {
            "AGE".to_owned()
        } else if word.parse::<jiff::Timestamp>().is_ok() {
            "TIME".to_owned()
        } else if is_version(word) {
            "VERSION".to_owned()
        } else {
            without_port(word)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Ages as kubectl prints them: 5s, 3m20s, 4d.
fn is_age(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.ends_with(['s', 'm', 'h', 'd'])
        && word
            .chars()
            .all(|c| c.is_ascii_digit() || "smhd".contains(c))
}

/// v1.37.2 and the like.
fn is_version(word: &str) -> bool {
    word.strip_prefix('v').is_some_and(|rest| {
        rest.split('.').count() == 3 && rest.chars().all(|c| c.is_ascii_digit() || c == '.')
    })
}

/// Replaces loopback ports, which differ in each run.
fn without_port(word: &str) -> String {
    let mut parts = word.split("127.0.0.1:");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        whole += "127.0.0.1:PORT";
        whole += part.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    whole
}

#[test]
fn only_what_changes_from_run_to_run_may_differ() {
    let output = "NAME      OUTCOME   AGE\nstop-it   Cancelled   12s\nendpoint http://127.0.0.1:4711/x 2026-11-23T06:40:00Z\n";
    for true_text in [
        "NAME OUTCOME AGE\nstop-it  Cancelled  3m2s\n",
        "NAME…\n…\nendpoint http://127.0.0.1:1/x 2025-01-01T00:00:00Z",
        "stop-it… 5m",
    ] {
        assert_eq!(first_missing_line(true_text, output), None, "{true_text}");
    }
    for (untrue, line) in [
        ("NAME\n", "NAME"),
        ("stop-it Completed 1s", "stop-it Completed 1s"),
        ("stop-it…\nNAME…", "NAME…"),
        ("…Cancelled", "…Cancelled"),
        (
            "stop-it Cancelled 12s\nstop-it Cancelled 12s",
            "stop-it Cancelled 12s",
        ),
    ] {
        assert_eq!(first_missing_line(untrue, output), Some(line), "{untrue}");
    }
}
