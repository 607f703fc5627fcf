//! Programs that Go builds from modules pinned beside this crate, once for this user.

use std::fs::{self, File};
use std::path::PathBuf;
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
        let folder = user_cache::folder()?
            .join(self.name)
            .join(format!("{}-{recipe:016x}", self.version));
        let program = folder.join(self.name);
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
            "{} {}: Go builds it, a minute or two on 2 cores, once; kept in {}",
            self.name,
            self.version,
            folder.display()
        );
        let start = Instant::now();
        let module = tempfile::Builder::new()
            .prefix("build-")
            .tempdir_in(&folder)?;
        fs::write(module.path().join("go.mod"), self.go_mod)?;
        fs::write(module.path().join("go.sum"), self.go_sum)?;
        let log = module.path().join("go.log");
        let order = Order {
            name: self.name,
            package: self.package,
            linker_flags: "-s -w",
        };
        let status = go_build::go_build(module.path(), &order, &log, self.name)?;
        if !status.success() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            bail!(
                "Go could not build {} ({status}): it needs Go 1.26 or newer and the Go module proxy, or a filled \
                 module cache. It said:\n{}",
                self.name,
                said.trim_end()
            );
        }
        fs::rename(module.path().join(self.name), &program)?;
        eprintln!("{}: built in {:.0?}", self.name, start.elapsed());
        Ok(program)
    }
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
