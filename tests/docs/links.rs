//! Finds broken links between pages.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use super::page::Page;

/// Returns every broken link as `page:line: link: reason`. Does not check links to other sites.
pub fn broken(root: &Path, pages: &BTreeMap<PathBuf, Page>) -> Vec<String> {
    let mut broken = Vec::new();
    for page in pages.values() {
        for (line, link) in &page.links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            if let Err(why) = follow(root, pages, page, link) {
                broken.push(format!("{}:{line}: {link}: {why}", page.path.display()));
            }
        }
    }
    broken
}

fn follow(
    root: &Path,
    pages: &BTreeMap<PathBuf, Page>,
    page: &Page,
    link: &str,
) -> Result<(), &'static str> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() {
        page.path.clone()
    } else {
        resolved(&page.path.with_file_name(file)).ok_or("outside the repository")?
    };
    if !file.is_empty() && !root.join(&target).exists() {
        return Err("no such file");
    }
    let known = anchor.is_empty()
        || pages
            .get(&target)
            .is_some_and(|page| page.anchors.contains(anchor));
    known.then_some(()).ok_or("no such heading")
}

/// Removes `.` and `..` from the path; `None` if the path leaves the repository.
fn resolved(path: &Path) -> Option<PathBuf> {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => resolved.push(name),
            Component::ParentDir => resolved.pop().then_some(())?,
            _ => {}
        }
    }
    Some(resolved)
}

#[test]
fn a_broken_link_is_reported() {
    let root = super::support::cluster::root();
    let text = "# Here\n[a](#here) [b](../README.md) [c](https://example.com/x)\n\n[d](#there)\n[e](no-such.md) [f](../../x)\n";
    let path = PathBuf::from("docs/invented.md");
    let pages = BTreeMap::from([(path.clone(), Page::parse(&path, text))]);
    let broken = broken(root, &pages);
    let lines: Vec<_> = broken
        .iter()
        .map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "docs/invented.md:4 #there",
            "docs/invented.md:5 no-such.md",
            "docs/invented.md:5 ../../x"
        ],
        "{broken:?}"
    );
}
