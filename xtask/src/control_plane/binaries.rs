//! Where etcd, kube-apiserver, kube-controller-manager and kubectl come from: the folder in
//! `KUBEBUILDER_ASSETS`, else this user's cache, else Go builds them into that cache.

use std::env;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::go_build;
use crate::user_cache;

/// The environment variable with a folder of ready-made programs.
pub const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// The oldest minor release of Kubernetes 1 that opcancel supports.
const OLDEST_MINOR: u32 = 33;

/// One of the four programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// The file's name.
    pub(super) name: &'static str,
    /// The Go package that it is built from.
    pub(super) package: &'static str,
    /// Seconds to build it on one core, after those before it in [`PROGRAMS`] (measured).
    pub(super) build_seconds: u64,
}

/// All four, in the order in which they are built.
pub(super) const PROGRAMS: [Program; 4] = [
    Program {
        name: "etcd",
        package: "go.etcd.io/etcd/server/v3",
        build_seconds: 40,
    },
    Program {
        name: "kube-apiserver",
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
        build_seconds: 620,
    },
    Program {
        name: "kube-controller-manager",
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        build_seconds: 210,
    },
    Program {
        name: "kubectl",
        package: "k8s.io/kubernetes/cmd/kubectl",
        build_seconds: 60,
    },
];

/// The paths of the four programs.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// etcd, the API server's store.
    pub etcd: PathBuf,
    /// The API server.
    pub api_server: PathBuf,
    /// The controllers that come with Kubernetes.
    pub controller_manager: PathBuf,
    /// The command line client.
    pub kubectl: PathBuf,
}

impl Binaries {
    /// Finds the four programs, and builds what is missing (minutes, once; progress on stderr).
    ///
    /// # Errors
    /// When `KUBEBUILDER_ASSETS` names no folder with such programs, or one that is too old, or
    /// when something must be built and Go is missing, too old, or fails. The message says what to do.
    pub fn get() -> Result<Self> {
        let assets = env::var_os(ASSETS_VARIABLE).filter(|value| !value.is_empty());
        let assets = assets.map(PathBuf::from);
        if let Some(folder) = &assets {
            check_assets(folder)?;
        }
        let [etcd, api_server, controller_manager, kubectl] =
            PROGRAMS.map(|program| assets.as_deref().and_then(|folder| usable(folder, program)));
        let missing: Vec<Program> = PROGRAMS
            .into_iter()
            .zip([&etcd, &api_server, &controller_manager, &kubectl])
            .filter_map(|(program, found)| found.is_none().then_some(program))
            .collect();
        let bin = cache_folder()?.join("bin");
        if !missing.is_empty() {
            build_missing(&bin, &missing)?;
        }
        let built = |program: &str| bin.join(program);
        Ok(Self {
            etcd: etcd.unwrap_or_else(|| built("etcd")),
            api_server: api_server.unwrap_or_else(|| built("kube-apiserver")),
            controller_manager: controller_manager
                .unwrap_or_else(|| built("kube-controller-manager")),
            kubectl: kubectl.unwrap_or_else(|| built("kubectl")),
        })
    }
}

/// Builds those of `programs` that are not in the cache's folder `bin`, one run at a time.
fn build_missing(bin: &Path, programs: &[Program]) -> Result<()> {
    let absent = || -> Vec<Program> {
        programs
            .iter()
            .copied()
            .filter(|program| usable(bin, *program).is_none())
            .collect()
    };
    if absent().is_empty() {
        return Ok(());
    }
    fs::create_dir_all(bin).with_context(|| format!("cannot create {}", bin.display()))?;
    let path = bin.with_file_name("build.lock");
    let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("control plane: another run is building it; waiting for that");
            lock.lock()
                .with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    // The other run may have built everything while we waited. The lock goes with `lock`.
    let absent = absent();
    if absent.is_empty() {
        Ok(())
    } else {
        go_build::build(bin, &absent)
    }
}

/// The program's path in `folder` if it is there and executable.
fn usable(folder: &Path, program: Program) -> Option<PathBuf> {
    let path = folder.join(program.name);
    let metadata = fs::metadata(&path).ok()?;
    (metadata.is_file() && metadata.permissions().mode() & 0o111 != 0).then_some(path)
}

/// Fails if the folder in `KUBEBUILDER_ASSETS` cannot be what its owner meant.
fn check_assets(folder: &Path) -> Result<()> {
    let way_out = format!(
        "Point {ASSETS_VARIABLE} to a folder with etcd, kube-apiserver and kubectl (what is missing \
         there is built), or unset it to have all of them built."
    );
    if !folder.is_dir() {
        bail!(
            "{ASSETS_VARIABLE} is {}, which is not a folder. {way_out}",
            folder.display()
        );
    }
    if let Some(program) = PROGRAMS
        .into_iter()
        .find(|program| folder.join(program.name).exists() && usable(folder, *program).is_none())
    {
        bail!(
            "{} is not an executable file. {way_out}",
            folder.join(program.name).display()
        );
    }
    if PROGRAMS
        .into_iter()
        .all(|program| usable(folder, program).is_none())
    {
        bail!(
            "{ASSETS_VARIABLE} is {}, where none of them is. {way_out}",
            folder.display()
        );
    }
    let api_server = folder.join("kube-apiserver");
    if api_server.exists() {
        let output = Command::new(&api_server)
            .arg("--version")
            .output()
            .with_context(|| format!("cannot run {}. {way_out}", api_server.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match minor_version(&text) {
            Some(minor) if minor >= OLDEST_MINOR => {}
            _ => bail!(
                "{} says \"{text}\", but opcancel needs Kubernetes 1.{OLDEST_MINOR} or newer. {way_out}",
                api_server.display()
            ),
        }
    }
    Ok(())
}

/// The minor number in `Kubernetes v1.MINOR.PATCH`.
fn minor_version(text: &str) -> Option<u32> {
    text.strip_prefix("Kubernetes v1.")?
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// The cache folder of what the pinned modules build for this kind of machine.
fn cache_folder() -> Result<PathBuf> {
    Ok(user_cache::folder()?
        .join("control-plane")
        .join(go_build::recipe_name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_version_is_read_from_what_the_api_server_says() {
        assert_eq!(minor_version("Kubernetes v1.37.2"), Some(37));
        assert_eq!(minor_version("Kubernetes v1.33.0-rc.1+k3s"), Some(33));
        assert_eq!(minor_version("etcd Version: 3.5.0"), None);
    }

    #[test]
    fn assets_that_are_no_folder_are_refused() {
        let error = check_assets(Path::new("/nonexistent/assets"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("KUBEBUILDER_ASSETS is /nonexistent/assets"),
            "{error}"
        );
        assert!(error.contains("unset it"), "{error}");
    }

    #[test]
    fn assets_without_any_program_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = check_assets(folder.path()).unwrap_err().to_string();
        assert!(error.contains("where none of them is"), "{error}");
    }

    #[test]
    fn assets_that_cannot_run_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kubectl"), "").unwrap();
        let error = check_assets(folder.path()).unwrap_err().to_string();
        assert!(error.contains("not an executable file"), "{error}");
    }

    #[test]
    fn an_api_server_that_is_too_old_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("kube-apiserver");
        fs::write(&program, "#!/bin/sh\necho Kubernetes v1.30.4\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let error = check_assets(folder.path()).unwrap_err().to_string();
        assert!(error.contains("needs Kubernetes 1.33 or newer"), "{error}");
    }
}
