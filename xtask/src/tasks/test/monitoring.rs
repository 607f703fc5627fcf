//! The alerting rules as Prometheus reads them: whether they can be read, and when they fire.

use std::process::Command;

use anyhow::Result;
use xtask::promtool;

use crate::tasks::cargo;

/// Runs `promtool check rules` and `promtool test rules`.
pub(super) fn check() -> Result<()> {
    let promtool = promtool::get()?;
    for (what, file) in [("check", "rules.yaml"), ("test", "rules-tests.yaml")] {
        let mut command = Command::new(&promtool);
        command.args([what, "rules", file]);
        cargo::run(command.current_dir(cargo::root().join("deploy/monitoring")))?;
    }
    Ok(())
}
