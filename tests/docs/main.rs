//! Tests of the documents: their commands work and print the output that the page shows, their links and the references in
//! the code exist, and every reason has its heading. CONTRIBUTING.md describes how to write a page.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

// The end-to-end tests use the rest of it.
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

mod environment;
mod expected_output;
mod links;
mod page;
mod references;
mod security;
mod shell;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use environment::Environment;
use opcancel::api::{Outcome, Reason, name_rules::PASTED};
use page::Page;
use support::cluster::root;

/// Pages that run at the same time, each on its own cluster. Most of their time is waiting.
const CONCURRENCY: usize = 3;

/// The variable that selects pages, separated by commas: `OPCANCEL_DOCS=docs/install.md`. Unset, all pages run. Selected pages
/// also print the output of their commands (use `--nocapture`).
const ONLY: &str = "OPCANCEL_DOCS";

#[test]
fn every_command_works_and_prints_what_is_shown() {
    let pages = page::all(root());
    let only = std::env::var(ONLY).unwrap_or_default();
    let mut wrong: Vec<String> = Vec::new();
    let mut executed: Vec<&Page> = Vec::new();
    for page in pages.values() {
        let path = page.path.display().to_string();
        if !only.is_empty() && !only.split(',').any(|name| name == path) {
            continue;
        }
        wrong.extend(page.faults.iter().map(|fault| format!("{path}: {fault}")));
        for block in &page.blocks {
            if let Some(skip_reason) = block.skip_reason {
                println!("{path}:{}: not executed: {skip_reason}", block.line);
            }
        }
        if page.is_executed() {
            executed.push(page);
        }
    }
    assert!(!executed.is_empty(), "no page with commands: {only:?}");
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..CONCURRENCY {
            scope.spawn(|| {
                while let Some(page) = executed.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = execute(page, !only.is_empty()) {
                        failures.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    wrong.extend(failures.into_inner().unwrap());
    assert!(wrong.is_empty(), "\n\n{}\n", wrong.join("\n\n"));
}

fn execute(page: &Page, show: bool) -> Result<(), String> {
    let begun = Instant::now();
    // A page without it is reported as a fault.
    let Some(start) = page.start else {
        return Ok(());
    };
    let environment = Environment::start(start)?;
    let result = shell::execute(page, &environment.shell_options(show), shell::LIMIT);
    let verdict = if result.is_ok() { "ok" } else { "FAILED" };
    println!(
        "{}: {verdict}, {}",
        page.path.display(),
        shell::seconds(begun)
    );
    result
}

#[test]
fn every_link_has_a_target() {
    let broken = links::broken(root(), &page::all(root()));
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Details belong in the pages of docs/.
#[test]
fn the_readme_is_short() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 120);
}

#[test]
fn the_index_names_every_page() {
    let pages = page::all(root());
    let index = &pages[Path::new("docs/README.md")];
    let links: Vec<_> = index.links.iter().map(|(_, link)| link.as_str()).collect();
    for path in pages.keys() {
        let Ok(name) = path.strip_prefix("docs") else {
            continue;
        };
        let name = name.display().to_string();
        // Runbooks have an index of their own.
        let named = links.contains(&name.as_str()) || name.contains('/') || name == "README.md";
        assert!(named, "docs/README.md has no link to {name}");
    }
}

#[test]
fn troubleshooting_has_every_reason_and_outcome() {
    let pages: BTreeMap<_, _> = page::all(root());
    let headings = &pages[Path::new("docs/troubleshooting.md")].headings;
    let reasons = Reason::ALL.iter().map(|reason| reason.name());
    let outcomes = Outcome::ALL.iter().map(|outcome| outcome.name());
    for name in reasons.chain(outcomes) {
        assert!(
            headings.iter().any(|heading| heading == name),
            "docs/troubleshooting.md has no heading {name}"
        );
    }
}

/// Users search for the message of the API server.
#[test]
fn troubleshooting_has_every_hint_on_names() {
    let page = fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    for (_, hint) in PASTED {
        // In a table a pipe is escaped.
        let hint = hint.replace('|', "\\|");
        assert!(page.contains(&format!("| `{hint}` |")), "{hint}");
    }
}

/// A symptom must be a message of the program, so that a search finds it. `…` matches the parts that vary.
#[test]
fn the_symptoms_in_troubleshooting_are_messages_of_the_program() {
    let sources = page::files(&root().join("src"));
    let source: String = sources
        .iter()
        .map(|file| fs::read_to_string(root().join("src").join(file)).unwrap())
        .collect();
    // Join strings that continue on the next line.
    let source = source
        .split("\\\n")
        .map(str::trim_start)
        .collect::<String>();
    let pages = page::all(root());
    let page = &pages[Path::new("docs/troubleshooting.md")];
    assert!(page.symptoms.len() > 5, "{:?}", page.symptoms);
    for (line, symptom) in &page.symptoms {
        for part in symptom.split('…').map(str::trim) {
            assert!(
                source.contains(part),
                "docs/troubleshooting.md:{line}: no message of the program has: {part}"
            );
        }
    }
}
