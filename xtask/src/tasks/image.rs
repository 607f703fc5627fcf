//! `cargo xtask image`: the container image, built twice to the same bytes, tried, and written with its bill of materials.

mod bill_of_materials;
mod binary;
mod buildah;
mod emulator;
mod inspection;
mod layout;
mod roots;
mod sources;
mod trial;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use xtask::user_cache;

use super::cargo;
use bill_of_materials::Package;
use binary::PROGRAM;
pub(crate) use binary::said;
use buildah::{Buildah, Recipe};
pub(crate) use layout::Layout;
pub(crate) use sources::Sources;

/// Build the container image twice, compare the results, run the image, and write it and its bill of materials to target/image/.
///
/// Both builds start from empty folders, which takes several minutes.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Reuse earlier builds, and compile third-party crates only once; opcancel's own crates are still compiled twice
    #[arg(long)]
    reuse: bool,
}

impl Arguments {
    /// What `cargo xtask test` does.
    pub(crate) fn reuse() -> Self {
        Self { reuse: true }
    }

    /// What a release needs.
    pub(crate) fn from_scratch() -> Self {
        Self { reuse: false }
    }
}

/// The folders of the two builds. Names of different length: a path that slips in moves everything behind it.
const BUILDS: [&str; 2] = ["one", "the-other"];

/// The package with the controller.
const CONTROLLER: Package = Package {
    name: "opcancel",
    folder: "",
    program: PROGRAM,
};

/// What one build made.
struct Built {
    folder: PathBuf,
    layout: Layout,
    archive: PathBuf,
    bill: String,
}

/// Runs the task.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let start = Instant::now();
    let sources = Sources::of_the_repository()?;
    let buildah = Buildah::get()?;
    let inputs = binary::inputs(buildah.program())?;
    let place = user_cache::folder()?.join("image");
    fs::create_dir_all(&place)?;
    // Two checkouts of one user share the folders; the second one waits.
    let lock = File::create(place.join("lock"))?;
    lock.lock()
        .context("cannot lock the folder of image builds")?;
    make_way(&place, arguments.reuse, &inputs)?;
    fs::write(place.join("inputs"), &inputs)?;

    let folders = BUILDS.map(|name| place.join(name));
    let mut built: Vec<Built> = Vec::new();
    for folder in &folders {
        let begin = Instant::now();
        eprintln!("image: building in {}", folder.display());
        let source = folder.join(binary::SOURCE_FOLDER);
        let is_new = !source.exists();
        fs::create_dir_all(&source)?;
        sources.copy_to(&source)?;
        if let (Some(before), true) = (built.last(), arguments.reuse && is_new) {
            binary::share_crates(&before.folder, folder)?;
        }
        built.push(build(folder, &folders, &sources, &buildah)?);
        eprintln!("image: built in {:.0?}", begin.elapsed());
    }
    let [one, other] = built.as_slice() else {
        anyhow::bail!("{} builds instead of two", built.len());
    };

    let version = version();
    let others = [place.as_path()];
    inspection::check(&one.layout, version, &sources.revision)?;
    let program = binary::in_context(&one.folder.join("context"), PROGRAM)?;
    inspection::check_paths(&program, &others)?;
    let files = trial::run(&one.layout, version)?;
    compare(one, other)?;
    inspection::check_size(one.layout.bytes, files)?;
    try_other_architecture(&place, &sources, &buildah)?;
    let output = write(one, &inputs)?;
    emulator::build(&one.folder, &folders, &sources, &buildah, &output)?;

    for (name, built) in BUILDS.iter().zip(&built) {
        println!(
            "{name:<10} {} {:.1} MB, unpacked {:.1} MB",
            built.layout.digest,
            megabytes(built.layout.bytes),
            megabytes(files)
        );
    }
    println!(
        "Both builds of commit {} gave the same image. It runs with its own files only, read-only, as user {}; {} certificate \
         authorities; {} components in its bill of materials.",
        sources.revision,
        inspection::USER,
        roots::count(),
        bill_of_materials::count(&one.bill)?
    );
    println!(
        "Written to {}, after {:.0?}",
        output.display(),
        start.elapsed()
    );
    Ok(())
}

/// Removes what an earlier run left, if this one may not use it, or if it was made with other tools: cargo does not
/// notice a new C compiler.
fn make_way(place: &Path, reuse: bool, inputs: &str) -> Result<()> {
    let same_tools = fs::read_to_string(place.join("inputs")).is_ok_and(|last| last == inputs);
    for name in BUILDS {
        let folder = place.join(name);
        if folder.exists() && !(reuse && same_tools) {
            fs::remove_dir_all(&folder)?;
        }
    }
    Ok(())
}

/// Everything once, below `folder`, which has the sources. `all` are the folders of all builds.
fn build(folder: &Path, all: &[PathBuf], sources: &Sources, buildah: &Buildah) -> Result<Built> {
    let program = binary::build(folder, all)?;

    let context = empty(&folder.join("context"))?;
    put(
        &binary::in_context(&context, PROGRAM)?,
        &fs::read(program)?,
        0o555,
    )?;
    put(
        &context.join("ca-certificates.crt"),
        roots::bundle().as_bytes(),
        0o444,
    )?;
    let layout = empty(&folder.join("layout"))?;
    let recipe = Recipe {
        containerfile: "Containerfile",
        context: &context,
        architecture: binary::architecture()?,
        name: &format!("{PROGRAM}:{}", version()),
        version: version(),
        revision: &sources.revision,
        epoch: &sources.epoch,
    };
    buildah.build(&recipe, &layout)?;
    let archive = folder.join("image.tar");
    buildah::archive(&layout, &archive, &sources.epoch)?;
    Ok(Built {
        folder: folder.to_owned(),
        layout: Layout::read(&layout)?,
        archive,
        bill: bill_of_materials::write(
            &folder.join(binary::SOURCE_FOLDER),
            &sources.epoch,
            &CONTROLLER,
        )?,
    })
}

/// Checks that the `Containerfile` takes the program of the architecture that is asked for. The program of the other architecture
/// is not built here, so a file with some text replaces it.
fn try_other_architecture(place: &Path, sources: &Sources, buildah: &Buildah) -> Result<()> {
    let architecture = match binary::architecture()? {
        "amd64" => "arm64",
        _ => "amd64",
    };
    let folder = empty(&place.join("other-architecture"))?;
    let context = folder.join("context");
    put(&context.join(architecture).join(PROGRAM), b"text", 0o555)?;
    put(&context.join("ca-certificates.crt"), b"", 0o444)?;
    let recipe = Recipe {
        containerfile: "Containerfile",
        context: &context,
        architecture,
        name: &format!("{PROGRAM}:{}", version()),
        version: version(),
        revision: &sources.revision,
        epoch: &sources.epoch,
    };
    let layout = folder.join("layout");
    buildah.build(&recipe, &layout)?;
    let layout = Layout::read(&layout)?;
    ensure!(
        layout.config.architecture == architecture,
        "the image for {architecture} says that it is for {}",
        layout.config.architecture
    );
    inspection::check(&layout, version(), &sources.revision)
}

/// Fails if the two builds differ, and names the first thing that does.
fn compare(one: &Built, other: &Built) -> Result<()> {
    let same = |file: &Path| -> Result<bool> {
        let read = |built: &Built| fs::read(built.folder.join("context").join(file));
        Ok(read(one)? == read(other)?)
    };
    ensure!(
        same(&binary::in_context(Path::new(""), PROGRAM)?)?,
        "the two programs differ: {} and {}, both in `context/`",
        one.folder.display(),
        other.folder.display()
    );
    ensure!(
        same(Path::new("ca-certificates.crt"))?,
        "the certificate authorities differ"
    );
    ensure!(
        one.layout.digest == other.layout.digest,
        "the programs are the same, but the images differ: {} and {}",
        one.layout.digest,
        other.layout.digest
    );
    ensure!(
        fs::read(&one.archive)? == fs::read(&other.archive)?,
        "the images are the same, but their archives differ"
    );
    ensure!(one.bill == other.bill, "the bills of materials differ");
    Ok(())
}

/// Where the results are written.
pub(crate) fn output_folder() -> PathBuf {
    cargo::root().join("target/image")
}

/// Puts the results into `target/image/`.
fn write(built: &Built, inputs: &str) -> Result<PathBuf> {
    let output = empty(&output_folder())?;
    let file = |ending: &str| output.join(format!("{PROGRAM}-{}.{ending}", version()));
    fs::copy(&built.archive, file("oci.tar"))?;
    fs::write(file("cdx.json"), &built.bill)?;
    fs::write(file("digest"), format!("{}\n", built.layout.digest))?;
    fs::write(file("inputs"), inputs)?;
    // What `Containerfile` copies, for other builders.
    let context = empty(&output.join("context"))?;
    for file in [
        binary::in_context(Path::new(""), PROGRAM)?,
        PathBuf::from("ca-certificates.crt"),
    ] {
        let from = built.folder.join("context").join(&file);
        copy(&from, &context.join(&file))?;
    }
    Ok(output)
}

/// The release that is built; all packages of the workspace share it.
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// `folder`, new and empty.
fn empty(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    Ok(folder.to_owned())
}

/// Copies a file into a folder that need not exist yet.
fn copy(from: &Path, to: &Path) -> Result<()> {
    make_parent(to)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

fn make_parent(file: &Path) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(())
}

fn put(file: &Path, contents: &[u8], mode: u32) -> Result<()> {
    make_parent(file)?;
    fs::write(file, contents)?;
    Ok(fs::set_permissions(file, Permissions::from_mode(mode))?)
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
