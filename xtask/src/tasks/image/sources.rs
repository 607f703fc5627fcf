//! What is built: the commit, its time, and a copy of the sources in another folder.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tasks::cargo;

/// The state of the repository that an image is made of.
pub(crate) struct Sources {
    /// The commit, with `-dirty` if files differ from it.
    pub(crate) revision: String,
    /// When it was committed, in seconds since 1970: the time of everything in the image (`SOURCE_DATE_EPOCH`).
    pub(crate) epoch: String,
    /// Relative to the root.
    files: BTreeSet<PathBuf>,
}

impl Sources {
    /// Asks git.
    pub(crate) fn of_the_repository() -> Result<Self> {
        let commit = git(&["log", "-1", "--format=%H %ct"])?;
        let (hash, epoch) = commit
            .trim()
            .split_once(' ')
            .context("the repository has no commit, which the image takes its timestamp from")?;
        let clean = git(&["status", "--porcelain"])?.trim().is_empty();
        let known = git(&[
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])?;
        let files = known.split('\0').filter(|name| !name.is_empty());
        Ok(Self {
            revision: format!("{hash}{}", if clean { "" } else { "-dirty" }),
            epoch: epoch.to_owned(),
            files: files
                .map(PathBuf::from)
                // Listed, but deleted in the work tree.
                .filter(|name| cargo::root().join(name).is_file())
                .collect(),
        })
    }

    /// Makes `folder` a copy of the sources. A file that is there already with the same contents is left alone, so that
    /// cargo sees that nothing changed.
    pub(super) fn copy_to(&self, folder: &Path) -> Result<()> {
        for name in &self.files {
            let (from, to) = (cargo::root().join(name), folder.join(name));
            let contents = fs::read(&from).with_context(|| from.display().to_string())?;
            if fs::read(&to).is_ok_and(|there| there == contents) {
                continue;
            }
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&to, contents).with_context(|| to.display().to_string())?;
        }
        self.remove_others(folder, folder)
    }

    fn remove_others(&self, root: &Path, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                self.remove_others(root, &path)?;
            } else if !path
                .strip_prefix(root)
                .is_ok_and(|name| self.files.contains(name))
            {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

fn git(arguments: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(cargo::root())
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("git is not installed; the image takes its sources and its timestamp from it")
        }
        Err(error) => return Err(error).context("cannot run git"),
    };
    if !output.status.success() {
        bail!(
            "git {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).context("git printed a name that is not UTF-8")
}
