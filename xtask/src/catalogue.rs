//! The service catalogue's data, generated from Google's discovery documents, a file kept by hand, and a list of methods that the
//! documents lack.
//!
//! The documents are those of the PyPI package google-api-python-client, pinned in `tests/official_clients/python`. The generator
//! stops at everything that no row of the data can express, unless the file kept by hand names it with a reason.

mod beyond_discovery;
mod bindings;
mod custom_roles;
mod discovery;
mod hand_kept;
mod method_check;
mod name_glob;
mod page;
mod rows;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::official_clients;

/// The generated file, relative to the root of the repository.
pub const DATA: &str = "src/google/catalogue/services.tsv";

/// The generated page, relative to the root of the repository.
pub const PAGE: &str = "docs/services.md";

/// The emulator's generated file, relative to the root of the repository.
pub const BINDINGS: &str = "emulator/src/protocol/bindings.tsv";

/// What discovery documents do not say: kept by hand.
const HAND_KEPT: &str = "catalogue/services.yaml";

/// The methods that the package lacks: kept by hand.
const BEYOND_DISCOVERY: &str = "catalogue/beyond_discovery.tsv";

/// The folder that pins the package with the documents.
const PACKAGES: &str = "tests/official_clients/python";

/// How many methods the data covers, and why it leaves out the others.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Methods that cancel an operation.
    pub methods: usize,
    /// Of these, the methods that a row covers.
    pub covered: usize,
    /// The number of the others by reason.
    pub left_out: BTreeMap<String, usize>,
}

/// The data, and what it covers.
#[derive(Debug)]
pub struct Generated {
    /// The text of [`DATA`].
    pub text: String,
    /// The text of [`PAGE`].
    pub page: String,
    /// The text of [`BINDINGS`].
    pub bindings: String,
    /// Of the methods in the documents.
    pub discovery: Coverage,
    /// Of the methods beyond the documents.
    pub beyond_discovery: Coverage,
}

/// Generates the data for the repository at `root`. The first call installs the package into the user's cache.
///
/// # Errors
/// If the package cannot be installed, a file cannot be read, or the documents have something that no row can express.
pub fn generate(root: &Path) -> Result<Generated> {
    let documents = discovery::read(&documents(root)?)?;
    let read = |path: &str| {
        let path = root.join(path);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let hand_kept = hand_kept::parse(&read(HAND_KEPT)?).context(HAND_KEPT)?;
    let beyond = beyond_discovery::parse(&read(BEYOND_DISCOVERY)?).context(BEYOND_DISCOVERY)?;
    rows::generate(&documents, &hand_kept, &beyond)
}

/// The folder of the discovery documents in the installed package.
///
/// # Errors
/// If the package cannot be installed.
pub fn documents(root: &Path) -> Result<PathBuf> {
    let python = official_clients::python(&root.join(PACKAGES))?;
    let program = "import googleapiclient; print(googleapiclient.__path__[0])";
    let output = Command::new(&python)
        .args(["-I", "-B", "-c", program])
        .output()
        .with_context(|| format!("cannot run {}", python.display()))?;
    if !output.status.success() {
        bail!(
            "google-api-python-client is not installed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let package = String::from_utf8(output.stdout)?;
    Ok(Path::new(package.trim()).join("discovery_cache/documents"))
}
