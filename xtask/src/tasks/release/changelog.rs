//! What CHANGELOG.md says about a version, and the notes of the release.

use anyhow::{Result, bail};

/// The heading of what is not released yet.
const UNRELEASED: &str = "Unreleased";

/// The text below the heading of `version`, such as `## 0.1.0` or `## [0.1.0] - 2026-01-31`. For a draft, the section
/// `Unreleased` replaces a missing one.
///
/// # Errors
/// If there is no such section, or nothing in it.
pub(super) fn section(changelog: &str, version: &str, draft: bool) -> Result<String> {
    let found = text_below(changelog, version);
    let found = found.or_else(|| text_below(changelog, UNRELEASED).filter(|_| draft));
    match found.as_deref().map(str::trim) {
        None => bail!(
            "CHANGELOG.md has no section `## {version}`; rename `## {UNRELEASED}` to `## {version}` and add the date, or use --draft"
        ),
        Some("") => {
            bail!("the section of {version} in CHANGELOG.md is empty; describe what has changed")
        }
        Some(text) => Ok(text.to_owned()),
    }
}

fn text_below(changelog: &str, name: &str) -> Option<String> {
    let mut lines = changelog.lines().skip_while(|line| {
        let heading = line.strip_prefix("## ").unwrap_or_default();
        let first = heading.split_whitespace().next().unwrap_or_default();
        first.trim_matches(['[', ']']) != name
    });
    lines.next()?;
    let section = lines.take_while(|line| !line.starts_with("## "));
    Some(section.collect::<Vec<_>>().join("\n"))
}

/// The text of the release page.
pub(super) fn notes(section: &str, version: &str, image: &str, revision: &str) -> String {
    format!(
        "# opcancel {version}\n\n{section}\n\n### Image\n\n```text\n{image}\n```\n\nBuilt from the commit {revision}. Check \
         the files of this release with `sha256sum --check SHA256SUMS`.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str = "# Changelog\n\n## Unreleased\n\n### Added\n- new\n\n## [0.2.0] - 2026-02-01\n\n- two\n\n## 0.1.0\n\n\
                             ### Fixed\n- one\n\n## 0.0.1\n\n";

    #[test]
    fn the_section_of_the_version_is_found() {
        let section = |version| section(CHANGELOG, version, false);
        assert_eq!(section("0.2.0").unwrap(), "- two");
        assert_eq!(section("0.1.0").unwrap(), "### Fixed\n- one");
        for (version, said) in [
            ("0.3.0", "rename `## Unreleased` to `## 0.3.0`"),
            ("0.1", "has no section `## 0.1`"),
            ("0.0.1", "is empty"),
        ] {
            let error = section(version).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn only_a_draft_takes_what_is_unreleased() {
        assert_eq!(
            section(CHANGELOG, "0.3.0", true).unwrap(),
            "### Added\n- new"
        );
        assert_eq!(section(CHANGELOG, "0.2.0", true).unwrap(), "- two");
    }
}
