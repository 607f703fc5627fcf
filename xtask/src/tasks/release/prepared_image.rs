//! The images that `cargo xtask image` has written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::tasks::image::{Layout, said};

/// The controller's files, after `opcancel-controller-VERSION`, and the emulator's, after `operations-emulator-VERSION`.
const CONTROLLER: [&str; 4] = ["oci.tar", "digest", "cdx.json", "inputs"];
const EMULATOR: [&str; 3] = ["oci.tar", "digest", "cdx.json"];

/// The label with the commit.
const REVISION: &str = "org.opencontainers.image.revision";

/// Images in a folder, checked against the digests beside them.
pub(super) struct PreparedImage {
    folder: PathBuf,
    /// Of the controller's image, `sha256:…`.
    pub(super) digest: String,
    /// Of the controller's image: `amd64` or `arm64`.
    pub(super) architecture: String,
    /// The commit that the images say they were built from.
    pub(super) revision: String,
    files: Vec<String>,
}

impl PreparedImage {
    /// Reads the images of `version` in `folder`.
    ///
    /// # Errors
    /// If a file is missing, or an archive has another digest than the file beside it.
    pub(super) fn read(folder: &Path, version: &str) -> Result<Self> {
        let names = |program: &str, endings: &[&str]| -> Vec<String> {
            let name = |ending| format!("{program}-{version}.{ending}");
            endings.iter().map(name).collect()
        };
        let controller = names("opcancel-controller", &CONTROLLER);
        let emulator = names("operations-emulator", &EMULATOR);
        let (digest, image) = checked(folder, &controller)?;
        let (_, of_emulator) = checked(folder, &emulator)?;
        let Image {
            revision,
            architecture,
        } = image;
        ensure!(
            revision == of_emulator.revision,
            "the images are of different commits, {revision} and {}; run cargo xtask image",
            of_emulator.revision
        );
        Ok(Self {
            folder: folder.to_owned(),
            digest,
            architecture,
            revision,
            files: [controller, emulator].concat(),
        })
    }

    /// Fails if the images were built from another commit.
    pub(super) fn ensure_revision(&self, wanted: &str) -> Result<()> {
        let Self {
            folder, revision, ..
        } = self;
        ensure!(
            revision == wanted,
            "the images in {} were built from {revision}, not from {wanted}; run cargo xtask image",
            folder.display()
        );
        Ok(())
    }

    /// Copies the files.
    pub(super) fn copy_to(&self, folder: &Path) -> Result<()> {
        for name in &self.files {
            fs::copy(self.folder.join(name), folder.join(name))
                .with_context(|| format!("cannot copy {name}"))?;
        }
        Ok(())
    }
}

/// What an image says about itself.
struct Image {
    revision: String,
    architecture: String,
}

/// The digest and the image whose archive is the first of `files`, and whose digest is in the second one.
fn checked(folder: &Path, files: &[String]) -> Result<(String, Image)> {
    for name in files {
        let file = folder.join(name);
        ensure!(
            file.is_file(),
            "{} is missing; run cargo xtask image",
            file.display()
        );
    }
    let [archive, digest, ..] = files else {
        anyhow::bail!("an image has an archive and a digest");
    };
    let stated = fs::read_to_string(folder.join(digest))?.trim().to_owned();
    let unpacked = tempfile::tempdir()?;
    said(
        Command::new("tar")
            .args(["--extract", "--file"])
            .arg(folder.join(archive))
            .arg("--directory")
            .arg(unpacked.path()),
    )?;
    let layout = Layout::read(unpacked.path())?;
    ensure!(
        layout.digest == stated,
        "{archive} has the digest {}, but {digest} says {stated}; run cargo xtask image",
        layout.digest
    );
    let labels = layout.config.config.labels;
    let revision = labels.get(REVISION);
    let revision =
        revision.with_context(|| format!("the image in {archive} has no label {REVISION}"))?;
    let image = Image {
        revision: revision.clone(),
        architecture: layout.config.architecture,
    };
    Ok((stated, image))
}
