//! The checksums of the files of a release, as `sha256sum --check` reads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use ring::digest::{SHA256, digest};

/// The file that has them.
pub(super) const FILE: &str = "SHA256SUMS";

/// Writes the checksums of all files in `folder`, sorted by name.
pub(super) fn write(folder: &Path) -> Result<()> {
    let mut sums = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {name}"))?;
        sums.insert(name, hex(&bytes));
    }
    let lines = sums.iter().map(|(name, sum)| format!("{sum}  {name}\n"));
    fs::write(folder.join(FILE), lines.collect::<String>())?;
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
