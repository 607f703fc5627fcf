//! Programs that Go builds from modules pinned beside this crate, once for this user.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::control_plane::go_build::{self, Order};
use crate::user_cache;

/// A program and what it is built from.
#[derive(Clone, Copy, Debug)]
pub struct GoTool {
    /// The file's name.
    pub name: &'static str,
    /// Its release, for messages.
    pub version: &'static str,
    /// The Go package that it is built from.
    pub package: &'static str,
    /// The text of its `go.mod`.
    pub go_mod: &'static str,
    /// The text of its `go.sum`.
    pub go_sum: &'static str,
}

/// Helm, which renders and lints `deploy/chart`.
pub const HELM: GoTool = GoTool {
    name: "helm",
    version: "v4.3.1",
    package: "helm.sh/helm/v4/cmd/helm",
    go_mod: include_str!("../helm/go.mod"),
    go_sum: include_str!("../helm/go.sum"),
};

/// The kustomize inside kubectl 1.32, the oldest that users may have.
pub const OLD_KUSTOMIZE: GoTool = GoTool {
    name: "kustomize",
    version: "v5.5.0",
    package: "sigs.k8s.io/kustomize/kustomize/v5",
    go_mod: include_str!("../kustomize/go.mod"),
    go_sum: include_str!("../kustomize/go.sum"),
};

/// All that tests use.
pub const ALL: [GoTool; 2] = [HELM, OLD_KUSTOMIZE];

impl GoTool {
    /// The program's path; builds it if it is not in the cache (one run at a time; says so on stderr).
    ///
    /// # Errors
    /// When Go is missing or fails, with the end of what it said, or when the cache cannot be written.
    pub fn get(&self) -> Result<PathBuf> {
        let recipe = go_build::recipe_hash(&[self.go_mod, self.go_sum, self.package]);
        let module = Module {
            name: self.name,
            release: format!("{}-{recipe:016x}", self.version),
            package: self.package,
            files: vec![
                ("go.mod".into(), self.go_mod.to_owned()),
                ("go.sum".into(), self.go_sum.to_owned()),
            ],
        };
        module.get()
    }
}

/// The file that writes further files of its module before the program is built, if the folder has it.
const GENERATOR: &str = "generate.go";

/// The path of the program of the Go module in `folder`, which has go.mod, go.sum and package main; it is named as the folder
/// is. Built again when a file of the folder has changed. If it has a file `generate.go`, that runs first.
///
/// # Errors
/// As [`GoTool::get`], and when the folder cannot be read.
pub fn of_folder(folder: &Path) -> Result<PathBuf> {
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .with_context(|| format!("{} has no name", folder.display()))?;
    let files = files_of(folder)?;
    let texts: Vec<&str> = files
        .iter()
        .flat_map(|(name, text)| [name.as_str(), text])
        .collect();
    let module = Module {
        name,
        release: format!("{:016x}", go_build::recipe_hash(&texts)),
        package: ".",
        files,
    };
    module.get()
}

/// The files of a folder, by name.
fn files_of(folder: &Path) -> Result<Vec<(String, String)>> {
    let cannot_read = || format!("cannot read {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot_read)? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path()).with_context(cannot_read)?;
        files.push((entry.file_name().to_string_lossy().into_owned(), text));
    }
    files.sort();
    Ok(files)
}

/// A Go module, and the program that its package is.
struct Module<'a> {
    name: &'a str,
    /// What changes with everything that the program is made from.
    release: String,
    package: &'a str,
    files: Vec<(String, String)>,
}

impl Module<'_> {
    fn get(&self) -> Result<PathBuf> {
        let name = self.name;
        let folder = user_cache::folder()?.join(name).join(&self.release);
        let program = folder.join(name);
        if program.is_file() {
            return Ok(program);
        }
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let lock = File::create(folder.join("build.lock"))?;
        lock.lock()?;
        // Another run may have built it while this one waited.
        if program.is_file() {
            return Ok(program);
        }
        eprintln!(
            "{name}: building it with Go, a minute or two on 2 cores, once; kept in {}",
            folder.display()
        );
        let start = Instant::now();
        let module = tempfile::Builder::new()
            .prefix("build-")
            .tempdir_in(&folder)?;
        for (file, text) in &self.files {
            fs::write(module.path().join(file), text)?;
        }
        if self.files.iter().any(|(file, _)| file == GENERATOR) {
            generate(module.path()).with_context(|| format!("cannot prepare {name}"))?;
        }
        let log = module.path().join("go.log");
        let order = Order {
            name,
            package: self.package,
            linker_flags: "-s -w",
        };
        let status = go_build::go_build(module.path(), &order, &log, name)?;
        if !status.success() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            bail!(
                "Go could not build {name} ({status}): it needs Go 1.26 or newer and the Go module proxy, or a filled \
                 module cache. It said:\n{}",
                said.trim_end()
            );
        }
        fs::rename(module.path().join(name), &program)?;
        eprintln!("{name}: built in {:.0?}", start.elapsed());
        Ok(program)
    }
}

/// Runs the generator of a module.
fn generate(module: &Path) -> Result<()> {
    let output = Command::new("go")
        .args(["run", GENERATOR])
        .current_dir(module)
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off")
        .env("GOTOOLCHAIN", "local")
        .output()
        .context("Go 1.26 or newer is required")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{GENERATOR} failed ({}): {}",
            output.status,
            said.trim_end()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_the_pinned_one() {
        for tool in ALL {
            let module = tool.package.split("/cmd").next().unwrap();
            let pinned = format!("{module} {}", tool.version);
            assert!(tool.go_mod.contains(&pinned), "{}", tool.name);
        }
    }
}
