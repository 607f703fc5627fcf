//! Whether references exist: from the code to the guarantees by number and to other rules by page and heading, and from the
//! pages to files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

use super::{
    page::{self, Page},
    support::cluster::root,
};

/// The page of the guarantees.
const GUARANTEES: &str = "docs/guarantees.md";

/// The folders with code. The test of the documents itself contains invented pages.
const CODE: [&str; 5] = ["src", "emulator", "probe", "xtask", "tests"];
const INVENTED: &str = "tests/docs";

/// Returns every broken reference in `text`, as `line: reference: reason`.
fn broken(root: &Path, pages: &BTreeMap<PathBuf, Page>, text: &str) -> Vec<String> {
    let guarantee = Regex::new(r"(?-u:\b)I[0-9]+(?-u:\b)").unwrap();
    let place =
        Regex::new(r"(?:docs|deploy|emulator|examples)/[A-Za-z0-9_/.-]*\.md(?:#[a-z0-9_-]+)?")
            .unwrap();
    let numbers = guarantees(&pages[Path::new(GUARANTEES)]);
    let mut broken = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        for number in guarantee.find_iter(text).map(|found| found.as_str()) {
            if !numbers.contains(number) {
                broken.push(format!("{line}: {number}: {GUARANTEES} does not have it"));
            }
        }
        for place in place.find_iter(text).map(|found| found.as_str()) {
            let (file, heading) = place.split_once('#').unwrap_or((place, ""));
            if !root.join(file).exists() {
                broken.push(format!("{line}: {place}: no such page"));
            } else if !heading.is_empty() && !pages[Path::new(file)].anchors.contains(heading) {
                broken.push(format!("{line}: {place}: no such heading"));
            }
        }
        if text.contains("design section") {
            broken.push(format!(
                "{line}: design section: name a page of docs/ and its heading"
            ));
        }
    }
    broken
}

/// The numbers that the page's headings begin with, such as `I1`.
fn guarantees(page: &Page) -> BTreeSet<&str> {
    let headings = page.headings.iter();
    headings
        .filter_map(|heading| heading.split_once(": "))
        .map(|(number, _)| number)
        .collect()
}

#[test]
fn the_code_refers_to_pages_headings_and_guarantees_that_exist() {
    let pages = page::all(root());
    let mut wrong = Vec::new();
    for path in page::files(root()) {
        let is_code = path.extension().is_some_and(|extension| extension == "rs")
            && CODE.iter().any(|folder| path.starts_with(folder))
            && !path.starts_with(INVENTED);
        if is_code {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            let broken = broken(root(), &pages, &text).into_iter();
            wrong.extend(broken.map(|why| format!("{}:{why}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_broken_reference_is_reported() {
    let pages = page::all(root());
    let text = "// I1, docs/guarantees.md and docs/waiting.md#kubectl\n// I99\n// docs/no-such.md\n\
                // docs/waiting.md#no-such\n// the design section 3\n";
    let broken = broken(root(), &pages, text);
    let expected = [
        "2: I99",
        "3: docs/no-such.md",
        "4: docs/waiting.md#no-such",
        "5: design section",
    ];
    assert_eq!(broken.len(), expected.len(), "{broken:?}");
    for (broken, expected) in broken.iter().zip(expected) {
        assert!(broken.starts_with(expected), "{broken}");
    }
}

/// Every guarantee names tests that show it.
#[test]
fn the_guarantees_are_numbered_and_name_their_tests() {
    let pages = page::all(root());
    let expected: BTreeSet<_> = (1..=13).map(|number| format!("I{number}")).collect();
    let numbers = guarantees(&pages[Path::new(GUARANTEES)]);
    assert_eq!(numbers, expected.iter().map(String::as_str).collect());

    let text = fs::read_to_string(root().join(GUARANTEES)).unwrap();
    for section in text.split("\n## I").skip(1) {
        let (_, tests) = section.split_once("\n- Tests: ").unwrap();
        assert!(!files_named_in(tests).is_empty(), "{section}");
    }
}

/// Files move. The changelog may name files that no longer exist.
#[test]
fn the_pages_name_files_that_exist() {
    let mut wrong = Vec::new();
    for page in page::all(root()).keys() {
        if page == Path::new("CHANGELOG.md") {
            continue;
        }
        let text = fs::read_to_string(root().join(page)).unwrap();
        for file in files_named_in(&text) {
            if !root().join(file).exists() {
                wrong.push(format!("{}: {file}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The paths of the repository that stand alone in backticks.
fn files_named_in(text: &str) -> Vec<&str> {
    let file = Regex::new(
        "`((?:src|emulator|probe|tests|xtask|crds|deploy|docs|examples)/[A-Za-z0-9_/.-]*)`",
    );
    let file = file.unwrap();
    file.captures_iter(text)
        .map(|found| found.extract::<1>().1[0])
        .collect()
}
