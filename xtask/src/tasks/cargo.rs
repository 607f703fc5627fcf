//! Running cargo in the repository's root, with one target folder and one set of features: every
//! task asks for the whole workspace, so that nothing is compiled again for another choice.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// `cargo ARGUMENTS` in the repository's root: the cargo that runs us, with nothing to read.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null());
    // `cargo xtask` runs us with variables about this package. To a build script that asks for them
    // (ring's does) they would be a change, and most of the tree would be compiled again each time.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command whose output the user sees.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The programs of the workspace.
pub(crate) struct Programs {
    built: Vec<PathBuf>,
}

impl Programs {
    /// Builds what is not up to date with the dev profile; cargo's progress goes to standard error.
    pub(crate) fn build() -> Result<Self> {
        Self::build_with(&[])
    }

    /// The same with the release profile.
    pub(crate) fn build_release() -> Result<Self> {
        Self::build_with(&["--release"])
    }

    fn build_with(more: &[&str]) -> Result<Self> {
        let mut command = cargo(&["build", "--workspace", "--bins"]);
        Self::built_by(command.args(more))
    }

    /// The programs that this `cargo build` makes.
    pub(crate) fn built_by(command: &mut Command) -> Result<Self> {
        let output = command
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run cargo")?;
        if !output.status.success() {
            bail!("{} failed ({})", line(command), output.status);
        }
        let built = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
            .collect();
        Ok(Self { built })
    }

    /// The path of the program `name`.
    pub(crate) fn path(&self, name: &str) -> Result<&Path> {
        let mut paths = self.built.iter();
        paths
            .find(|path| path.file_stem().is_some_and(|stem| stem == name))
            .map(PathBuf::as_path)
            .with_context(|| format!("cargo did not build the program {name}"))
    }
}

/// What we read of cargo's messages.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}
