//! Reading an image in the OCI image layout (image-spec 1.0): what a registry would be given.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, de::DeserializeOwned};

use super::binary::said;

/// An image on disk.
pub(crate) struct Layout {
    folder: PathBuf,
    /// Of the manifest, `sha256:...`: what `image@digest` names.
    pub(crate) digest: String,
    pub(crate) config: ImageConfig,
    layers: Vec<Descriptor>,
    /// Of manifest, configuration and compressed layers: what a node downloads.
    pub(super) bytes: u64,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
}

/// What an image says about itself.
#[derive(Deserialize)]
pub(crate) struct ImageConfig {
    pub(crate) config: RunConfig,
    pub(super) os: String,
    /// `amd64` or `arm64`.
    pub(crate) architecture: String,
}

/// How it is run.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RunConfig {
    #[serde(default)]
    pub(super) user: String,
    #[serde(default)]
    pub(super) entrypoint: Vec<String>,
    #[serde(default)]
    pub(super) cmd: Vec<String>,
    #[serde(default)]
    pub(super) env: Vec<String>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
}

impl Layout {
    /// Reads the one image in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let index: Index = json(&folder.join("index.json"))?;
        let [image] = index.manifests.as_slice() else {
            bail!(
                "the archive has {} images instead of one",
                index.manifests.len()
            );
        };
        let manifest: Manifest = json(&blob(folder, &image.digest)?)?;
        let config = json(&blob(folder, &manifest.config.digest)?)?;
        let layers: u64 = manifest.layers.iter().map(|layer| layer.size).sum();
        Ok(Self {
            folder: folder.to_owned(),
            digest: image.digest.clone(),
            config,
            bytes: image.size + manifest.config.size + layers,
            layers: manifest.layers,
        })
    }

    /// Every entry of every layer in order, as `MODE OWNER/GROUP PATH`.
    pub(super) fn entries(&self) -> Result<Vec<String>> {
        let mut entries = Vec::new();
        for layer in &self.layers {
            let mut tar = Command::new("tar");
            tar.args(["--list", "--verbose", "--gzip", "--numeric-owner", "--file"])
                .arg(blob(&self.folder, &layer.digest)?);
            for line in said(&mut tar)?.lines() {
                // Mode, owner, size, day, time, path.
                let words: Vec<&str> = line.split_whitespace().collect();
                let [mode, owner, _, _, _, path @ ..] = words.as_slice() else {
                    bail!("tar listed {line:?}");
                };
                entries.push(format!("{mode} {owner} {}", path.join(" ")));
            }
        }
        Ok(entries)
    }

    /// Unpacks the layers into `folder`, as a node does.
    pub(super) fn unpack(&self, folder: &Path) -> Result<()> {
        for layer in &self.layers {
            let mut tar = Command::new("tar");
            tar.args(["--extract", "--gzip", "--preserve-permissions", "--file"])
                .arg(blob(&self.folder, &layer.digest)?)
                .arg("--directory")
                .arg(folder);
            said(&mut tar)?;
        }
        Ok(())
    }
}

fn blob(folder: &Path, digest: &str) -> Result<PathBuf> {
    let (kind, hash) = digest
        .split_once(':')
        .with_context(|| format!("invalid digest {digest:?}"))?;
    Ok(folder.join("blobs").join(kind).join(hash))
}

fn json<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let text = fs::read(file).with_context(|| file.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| file.display().to_string())
}
