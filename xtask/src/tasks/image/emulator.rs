//! The emulator's image: built once, beside the controller's, with the crates that were compiled for that one, and tried.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::bill_of_materials::{self, Package};
use super::buildah::{self, Buildah, Recipe};
use super::layout::Layout;
use super::sources::Sources;
use super::{binary, copy, empty, inspection, megabytes, put, trial, version};

/// The program, and the package that it comes from.
const PROGRAM: &str = "operations-emulator";

/// What its bill of materials is of.
const EMULATOR: Package = Package {
    name: PROGRAM,
    folder: "emulator",
    program: PROGRAM,
};

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
    let in_context = binary::in_context(&context, PROGRAM)?;
    put(&in_context, &fs::read(program)?, 0o555)?;
    let layout = empty(&folder.join("emulator-layout"))?;
    let recipe = Recipe {
        containerfile: "emulator/Containerfile",
        context: &context,
        architecture: binary::architecture()?,
        name: &format!("{PROGRAM}:{}", version()),
        version: version(),
        revision: &sources.revision,
        epoch: &sources.epoch,
    };
    buildah.build(&recipe, &layout)?;
    let file = |ending: &str| output.join(format!("{PROGRAM}-{}.{ending}", version()));
    buildah::archive(&layout, &file("oci.tar"), &sources.epoch)?;

    let image = Layout::read(&layout)?;
    fs::write(file("digest"), format!("{}\n", image.digest))?;
    let source = folder.join(binary::SOURCE_FOLDER);
    fs::write(
        file("cdx.json"),
        bill_of_materials::write(&source, &sources.epoch, &EMULATOR)?,
    )?;
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
    copy(&in_context, &binary::in_context(&kept, PROGRAM)?)?;
    println!(
        "{PROGRAM} {} {:.1} MB, unpacked {:.1} MB",
        image.digest,
        megabytes(image.bytes),
        megabytes(files)
    );
    Ok(())
}
