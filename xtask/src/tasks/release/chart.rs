//! The packaged chart: the same bytes each time, with the image of the release as its default.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};
use xtask::go_tool::HELM;

use super::{replace_once, set_times};
use crate::tasks::cargo;
use crate::tasks::image::said;

/// The chart in the repository, and its values.
const CHART: &str = "deploy/chart";
const VALUES: &str = "deploy/chart/values.yaml";

/// The values that a release sets.
pub(super) struct Defaults<'a> {
    pub(super) repository: &'a str,
    pub(super) digest: &'a str,
    /// Of the nodes, `amd64` or `arm64`.
    pub(super) architecture: &'a str,
}

impl Defaults<'_> {
    fn set(&self, values: &str) -> Result<String> {
        let mut text = values.to_owned();
        for (key, old, new) in [
            ("  repository", "\"\"", self.repository),
            ("  digest", "\"\"", self.digest),
            ("  kubernetes.io/arch", "amd64", self.architecture),
        ] {
            let line = |value| format!("\n{key}: {value}\n");
            text = replace_once(&text, &line(old), &line(new), VALUES)?;
        }
        Ok(text)
    }
}

/// Packages the chart into `folder`. Each file in it has this time.
pub(super) fn package(defaults: &Defaults<'_>, time: SystemTime, folder: &Path) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let chart = scratch.path().join("chart");
    copy(&cargo::root().join(CHART), &chart)?;
    let values = chart.join("values.yaml");
    let text = fs::read_to_string(&values).context(VALUES)?;
    fs::write(&values, defaults.set(&text)?)?;
    set_times(&chart, time)?;
    // With nothing of the user's own settings. Helm takes the times of the files.
    said(
        Command::new(HELM.get()?)
            .arg("package")
            .arg(&chart)
            .arg("--destination")
            .arg(folder)
            .env_clear()
            .env("HOME", scratch.path()),
    )?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::write(&to, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_becomes_the_default() {
        let values = "image:\n  # A comment.\n  repository: \"\"\n  tag: \"\"\n  digest: \"\"\nnodeSelector:\n  \
                      kubernetes.io/arch: amd64\nother: \"\"\n";
        let defaults = Defaults {
            repository: "r.example.com/o",
            digest: "sha256:00",
            architecture: "arm64",
        };
        let set = defaults.set(values).unwrap();
        assert_eq!(
            set,
            "image:\n  # A comment.\n  repository: r.example.com/o\n  tag: \"\"\n  digest: sha256:00\nnodeSelector:\n  \
             kubernetes.io/arch: arm64\nother: \"\"\n"
        );
        // Values that are set already, or twice.
        assert!(defaults.set(&set).is_err());
        assert!(defaults.set(&values.repeat(2)).is_err());
    }
}
