//! The manifests of a release: the one-file installation with the image by digest, and the CRDs in one file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xtask::deploy_files::PLACEHOLDER_IMAGE;

use super::replace_once;

/// The file with the placeholder.
const FILE: &str = "deploy/install.yaml";

/// `deploy/install.yaml` with the image `reference` instead of the placeholder, for nodes of the image's architecture.
pub(super) fn install(
    text: &str,
    version: &str,
    reference: &str,
    architecture: &str,
) -> Result<String> {
    // The comment at the beginning is about the placeholder.
    let lines = text.lines().skip_while(|line| line.starts_with('#'));
    let objects: String = lines.map(|line| format!("{line}\n")).collect();
    let placeholder = format!("image: {PLACEHOLDER_IMAGE}:{version}\n");
    let objects = replace_once(
        &objects,
        &placeholder,
        &format!("image: {reference}\n"),
        FILE,
    )?;
    let nodes = format!("kubernetes.io/arch: {architecture}\n");
    let objects = replace_once(&objects, "kubernetes.io/arch: amd64\n", &nodes, FILE)?;
    Ok(format!(
        "# opcancel {version}. To set a Google identity as well, use kustomize or the chart.\n{objects}"
    ))
}

/// The files of the folder of CRDs, in one.
pub(super) fn crds(folder: &Path) -> Result<String> {
    let cannot_read = |path: &Path| format!("cannot read {}", path.display());
    let entries = fs::read_dir(folder).with_context(|| cannot_read(folder))?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()?;
    files.sort();
    let texts = files
        .iter()
        .map(|file| fs::read_to_string(file).with_context(|| cannot_read(file)))
        .collect::<Result<Vec<String>>>()?;
    Ok(texts.join("---\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_placeholder_and_the_architecture_are_replaced() {
        let image = format!("image: {PLACEHOLDER_IMAGE}:0.1.0\n");
        let text =
            format!("# Generated\n# Replace it.\na: 1\n{image}kubernetes.io/arch: amd64\nb: 2\n");
        let install = |text: &str| install(text, "0.1.0", "r.example.com/o@sha256:00", "arm64");
        let installed = install(&text).unwrap();
        assert!(
            installed.ends_with(
                "chart.\na: 1\nimage: r.example.com/o@sha256:00\nkubernetes.io/arch: arm64\nb: 2\n"
            ),
            "{installed}"
        );
        for text in [
            text.replace("0.1.0", "0.2.0"),
            format!("{text}{image}"),
            text.replace("amd64", "s390x"),
        ] {
            let error = install(&text).unwrap_err().to_string();
            assert!(
                error.starts_with(FILE) && error.ends_with("exactly once"),
                "{error}"
            );
        }
    }
}
