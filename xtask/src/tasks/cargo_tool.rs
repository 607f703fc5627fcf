//! Programs of the registry in a pinned release: the user's own if it is that release, else the cache, into which cargo
//! installs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Result;
use xtask::user_cache;

use super::cargo;

/// A program that cargo can install.
pub(crate) struct CargoTool {
    /// The name of the package and of its program.
    pub(crate) name: &'static str,
    /// The pinned release: a newer one may find or write something else, and then it would be the tool that broke the build.
    pub(crate) version: &'static str,
    /// How it is asked for its release, which is the last word of the answer.
    pub(crate) asked: &'static [&'static str],
}

impl CargoTool {
    /// The path of the program; installs it if there is none.
    pub(crate) fn get(&self) -> Result<PathBuf> {
        let on_path = PathBuf::from(self.name);
        if self.is_pinned(&on_path) {
            return Ok(on_path);
        }
        let root = user_cache::folder()?.join(format!("{}-{}", self.name, self.version));
        let program = root.join("bin").join(self.name);
        if !self.is_pinned(&program) {
            self.install(&root)?;
        }
        Ok(program)
    }

    fn is_pinned(&self, program: &Path) -> bool {
        let answer = Command::new(program)
            .args(self.asked)
            .stdin(Stdio::null())
            .output();
        answer.is_ok_and(|output| {
            let text = String::from_utf8_lossy(&output.stdout);
            text.split_whitespace().last() == Some(self.version)
        })
    }

    fn install(&self, root: &Path) -> Result<()> {
        let Self { name, version, .. } = self;
        eprintln!(
            "installing {name} {version} into {}: about a minute on 2 cores, once",
            root.display()
        );
        let start = Instant::now();
        let build = tempfile::tempdir()?;
        let mut command = cargo::cargo(&["install", name, "--version", version]);
        command
            .args(["--locked", "--force", "--quiet"])
            // It runs for a second; to optimise it would take minutes.
            .arg("--debug")
            .arg("--root")
            .arg(root);
        // Not into the workspace's own target folder, where it would only take room.
        cargo::run(command.env("CARGO_TARGET_DIR", build.path()))?;
        eprintln!("{name} is installed after {:.0?}", start.elapsed());
        Ok(())
    }
}
