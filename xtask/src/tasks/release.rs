//! `cargo xtask release VERSION`: all files of a release page. The same commit and the same tools give the same bytes.

mod changelog;
mod chart;
mod checksums;
mod image_repository;
mod manifests;
mod prepared_image;
mod versions;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::image::Sources;
use super::{cargo, image};
use image_repository::ImageRepository;
use prepared_image::PreparedImage;

/// Write all files of a release page: images, manifests, chart, CRDs, SBOMs, notes, checksums.
///
/// The same commit gives the same bytes if the tools are the same. Builds the images first, which takes several minutes.
/// Pushes and signs nothing: docs/release.md has the commands.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The version. The crates, the chart and the manifests must have it already.
    version: String,

    /// Where you publish the image, without a tag: `registry.example.com/platform/opcancel-controller`. The files
    /// `install.yaml` and the chart name it with the digest of the image.
    #[arg(long, value_name = "REPOSITORY")]
    image: ImageRepository,

    /// Use the images that `cargo xtask image` has written to this folder, instead of building them.
    #[arg(long, value_name = "FOLDER")]
    prepared_image: Option<PathBuf>,

    /// Write to this folder, which must be empty or absent [default: target/release-VERSION, replaced if it exists].
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,

    /// Accept uncommitted changes and an image of another commit. Without a section for the version, take the notes from the
    /// section `Unreleased`.
    #[arg(long)]
    draft: bool,
}

impl Arguments {
    /// What `cargo xtask test` does with the image that it has built.
    pub(crate) fn check(output: &Path) -> Result<Self> {
        let image = "registry.example.com/platform/opcancel-controller".parse();
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            image: image.map_err(anyhow::Error::msg)?,
            prepared_image: Some(image::output_folder()),
            output: Some(output.to_owned()),
            draft: true,
        })
    }
}

/// Runs the task.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let Arguments {
        version,
        image: repository,
        prepared_image,
        output,
        draft,
    } = arguments;
    let version = version.as_str();
    // Everything that can be wrong is found before the images are built.
    versions::check(cargo::root(), version)?;
    let section = changelog::section(&read("CHANGELOG.md")?, version, draft)?;
    let sources = Sources::of_the_repository()?;
    ensure!(
        draft || !sources.revision.ends_with("-dirty"),
        "there are uncommitted changes; commit them, or use --draft"
    );
    let (output, may_replace) = match output {
        Some(folder) => (folder, false),
        None => {
            let name = format!("release-{version}");
            (cargo::root().join("target").join(name), true)
        }
    };
    let is_free = || fs::read_dir(&output).map_or(true, |mut entries| entries.next().is_none());
    ensure!(
        may_replace || is_free(),
        "{} is not empty; use an empty folder",
        output.display()
    );

    let folder = match prepared_image {
        Some(folder) => folder,
        None => {
            image::run(image::Arguments::from_scratch())?;
            image::output_folder()
        }
    };
    let seconds = sources.epoch.parse();
    let seconds = seconds.context("the time of the commit is not a number")?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let image = PreparedImage::read(&folder, version)?;
    if !draft {
        image.ensure_revision(&sources.revision)?;
    }

    // Filled beside the final folder, so that a failure leaves no incomplete release.
    let parent = output.parent().context("the output folder has no parent")?;
    fs::create_dir_all(parent)?;
    let new = tempfile::Builder::new()
        .prefix(".release-")
        .tempdir_in(parent)?;
    let write = |name: &str, text: &str| -> Result<()> {
        fs::write(new.path().join(name), text).with_context(|| format!("cannot write {name}"))
    };
    image.copy_to(new.path())?;
    let reference = format!("{repository}@{}", image.digest);
    let install = manifests::install(
        &read("deploy/install.yaml")?,
        version,
        &reference,
        &image.architecture,
    )?;
    write("install.yaml", &install)?;
    write("crds.yaml", &manifests::crds(&cargo::root().join("crds"))?)?;
    let defaults = chart::Defaults {
        repository: &repository.to_string(),
        digest: &image.digest,
        architecture: &image.architecture,
    };
    chart::package(&defaults, time, new.path())?;
    write(
        "notes.md",
        &changelog::notes(&section, version, &reference, &image.revision),
    )?;
    checksums::write(new.path())?;
    // Helm writes the time of the file into what it pushes.
    set_times(new.path(), time)?;

    if output.exists() {
        fs::remove_dir_all(&output)?;
    }
    let new = new.keep();
    fs::rename(&new, &output)
        .with_context(|| format!("cannot rename {} to {}", new.display(), output.display()))?;
    print!(
        "{}",
        fs::read_to_string(output.join(checksums::FILE)).context(checksums::FILE)?
    );
    println!("{reference}\nWritten to {}", output.display());
    Ok(())
}

/// The text with `new` instead of `old`.
///
/// # Errors
/// If the text, which is that of `file`, does not have `old` exactly once.
fn replace_once(text: &str, old: &str, new: &str, file: &str) -> Result<String> {
    ensure!(
        text.matches(old).count() == 1,
        "{file} does not have `{}` exactly once",
        old.trim()
    );
    Ok(text.replace(old, new))
}

/// A file of the repository.
fn read(path: &str) -> Result<String> {
    fs::read_to_string(cargo::root().join(path)).with_context(|| format!("cannot read {path}"))
}

/// Gives all files in a folder, and in the folders in it, this time.
fn set_times(folder: &Path, time: SystemTime) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            set_times(&entry.path(), time)?;
        } else {
            let file = File::options().append(true).open(entry.path())?;
            file.set_modified(time)?;
        }
    }
    Ok(())
}
