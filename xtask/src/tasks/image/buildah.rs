//! buildah makes the image of the `Containerfile`, without a daemon and without a registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use xtask::debian_packages;

use super::binary::said;
use crate::tasks::cargo;

/// buildah, installed if need be.
pub(super) struct Buildah(PathBuf);

/// What an image is made of.
pub(super) struct Recipe<'a> {
    /// The recipe, relative to the root of the repository.
    pub(super) containerfile: &'a str,
    /// The folder with the files that it copies.
    pub(super) context: &'a Path,
    /// Of the programs in it, `amd64` or `arm64`.
    pub(super) architecture: &'a str,
    /// `NAME:VERSION`, without a registry.
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) revision: &'a str,
    /// Seconds since 1970.
    pub(super) epoch: &'a str,
}

impl Buildah {
    /// The one on PATH; on Debian and its relatives root gets it installed.
    pub(super) fn get() -> Result<Self> {
        let own = Self(PathBuf::from("buildah"));
        if own.answers() {
            return Ok(own);
        }
        let way_out = "Install buildah 1.28 or newer (Debian, Ubuntu: apt-get install buildah; Fedora: dnf install \
                       buildah; without root also: uidmap).";
        if !debian_packages::can_install() {
            bail!("buildah is not installed; it builds the image. {way_out}");
        }
        eprintln!("image: installing buildah with apt-get: about half a minute, once");
        debian_packages::install(&["buildah"], way_out)?;
        if !own.answers() {
            bail!("buildah does not run although apt-get has installed it. {way_out}");
        }
        Ok(own)
    }

    fn answers(&self) -> bool {
        said(Command::new(&self.0).arg("--version")).is_ok()
    }

    /// The program.
    pub(super) fn program(&self) -> &Path {
        &self.0
    }

    /// Makes an image and writes it to `layout`, a folder in the OCI image layout that is not there yet. The storage is
    /// a folder of its own, gone afterwards: the user's images are neither used nor touched.
    pub(super) fn build(&self, recipe: &Recipe<'_>, layout: &Path) -> Result<()> {
        let storage = tempfile::tempdir()?;
        let storage = storage.path();
        // Whoever pulls: this one pulls nothing, so nothing is to be checked.
        let policy = storage.join("policy.json");
        fs::write(
            &policy,
            r#"{"default": [{"type": "insecureAcceptAnything"}]}"#,
        )?;
        let buildah = || {
            let mut command = Command::new(&self.0);
            command
                .arg("--root")
                .arg(storage.join("root"))
                .arg("--runroot")
                .arg(storage.join("run"))
                // Needs neither a kernel module nor a file system of a certain kind.
                .args(["--storage-driver", "vfs"]);
            command
        };
        let Recipe {
            containerfile,
            context,
            architecture,
            name,
            version,
            revision,
            epoch,
        } = recipe;
        let mut build = buildah();
        build
            .args([
                "build",
                "--quiet",
                "--isolation",
                "chroot",
                "--format",
                "oci",
            ])
            .args(["--layers=false", "--no-cache", "--pull-never"])
            // What `TARGETARCH` in the Containerfile stands for.
            .args(["--platform", &format!("linux/{architecture}")])
            // The time of the image and of each file in it; and no label that names this buildah.
            .args(["--timestamp", epoch, "--identity-label=false"])
            .args(["--build-arg", &format!("VERSION={version}")])
            .args(["--build-arg", &format!("REVISION={revision}")])
            .args(["--tag", name])
            .arg("--signature-policy")
            .arg(&policy)
            .arg("--file")
            .arg(cargo::root().join(containerfile))
            .arg(context);
        quietly(&mut build)?;
        let mut push = buildah();
        push.args(["push", "--quiet", "--signature-policy"])
            .arg(&policy)
            .arg(name)
            .arg(format!("oci:{}:{name}", layout.display()));
        quietly(&mut push)
    }
}

/// Runs a command whose output is of interest only if it fails.
fn quietly(command: &mut Command) -> Result<()> {
    said(command).map(drop)
}

/// Packs an image layout into one file, which is the same each time: `buildah`, `podman`, `skopeo` and `crane` read it.
pub(super) fn archive(layout: &Path, file: &Path, epoch: &str) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--format=ustar",
        "--sort=name",
        "--mode=a+rX,u+w,go-w",
    ])
    .args(["--owner=0", "--group=0", "--numeric-owner"])
    .arg(format!("--mtime=@{epoch}"))
    .arg("--file")
    .arg(file)
    .arg("--directory")
    .arg(layout)
    .arg(".");
    quietly(&mut tar)
}
