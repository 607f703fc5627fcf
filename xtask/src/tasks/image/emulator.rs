//! The emulator's image: built once, beside the controller's, with the crates that were compiled for that one, and tried.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::buildah::{self, Buildah, Recipe};
use super::layout::Layout;
use super::sources::Sources;
use super::{binary, empty, inspection, megabytes, put, trial, version};

/// The program, and the package that it comes from.
const PROGRAM: &str = "operations-emulator";

/// Builds and tries the image in `folder`, one of the controller's builds, and writes it to `output`.
pub(super) fn build(
    folder: &Path,
    builds: &[PathBuf],
    sources: &Sources,
    buildah: &Buildah,
    output: &Path,
) -> Result<()> {
    let program = binary::build_program(folder, builds, PROGRAM, PROGRAM)?;
    let context = empty(&folder.join("emulator-context"))?;
    put(&context.join(PROGRAM), &fs::read(program)?, 0o555)?;
    let layout = empty(&folder.join("emulator-layout"))?;
    let recipe = Recipe {
        containerfile: "emulator/Containerfile",
        context: &context,
        name: &format!("{PROGRAM}:{}", version()),
        version: version(),
        revision: &sources.revision,
        epoch: &sources.epoch,
    };
    buildah.build(&recipe, &layout)?;
    let archive = output.join(format!("{PROGRAM}-{}.oci.tar", version()));
    buildah::archive(&layout, &archive, &sources.epoch)?;

    let image = Layout::read(&layout)?;
    let config = &image.config.config;
    ensure!(
        config.user == inspection::USER && config.entrypoint == [format!("/{PROGRAM}")],
        "the emulator's image runs {:?} as {:?}",
        config.entrypoint,
        config.user
    );
    let entries = image.entries()?;
    ensure!(
        entries == [format!("-r-xr-xr-x 0/0 {PROGRAM}")],
        "the emulator's image has other files: {entries:?}"
    );
    let files = trial::run_emulator(&image, PROGRAM, version())?;
    let kept = empty(&output.join("emulator-context"))?;
    fs::copy(context.join(PROGRAM), kept.join(PROGRAM))?;
    println!(
        "{PROGRAM} {} {:.1} MB, unpacked {:.1} MB",
        image.digest,
        megabytes(image.bytes),
        megabytes(files)
    );
    Ok(())
}
