//! Which cargo-deny checks the dependencies.

use std::path::PathBuf;

use anyhow::Result;

use crate::tasks::cargo_tool::CargoTool;

/// A newer release may find more, and then it would be the tool that broke the build.
const CARGO_DENY: CargoTool = CargoTool {
    name: "cargo-deny",
    version: "0.20.2",
    asked: &["--version"],
};

/// The path of cargo-deny; installs it if there is none.
pub(super) fn get() -> Result<PathBuf> {
    CARGO_DENY.get()
}
