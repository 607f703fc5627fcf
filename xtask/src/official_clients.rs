//! Google's official clients, installed once for this user from what a folder pins: packages of PyPI by their hashes, of npm
//! by a lock file, and a program of Rust by its own. The proxy of the tests is installed in the same way.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::control_plane::go_build::recipe_hash;
use crate::user_cache;

/// The Python of an environment with exactly the packages of `folder/requirements.txt`.
///
/// # Errors
/// When Python is missing or too old for them, when a package is not what its hash says, or when the cache cannot be written.
pub fn python(folder: &Path) -> Result<PathBuf> {
    let requirements = folder.join("requirements.txt");
    // An environment belongs to the Python that made it.
    let version = said(
        Command::new("python3").arg("--version"),
        "Python 3.10 or newer",
    )?;
    let place = Place::of("python", &[read(&requirements)?, version])?;
    let program = |root: &Path| root.join("bin/python3");
    place.get(
        &format!(
            "the Python packages of {} are installed with pip",
            folder.display()
        ),
        |root| {
            let mut venv = Command::new("python3");
            run(
                venv.args(["-m", "venv"]).arg(root),
                "Python with its module venv",
            )?;
            let mut pip = Command::new(program(root));
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(["--require-hashes", "--only-binary=:all:", "--requirement"]);
            run(pip.arg(&requirements), "the Python packages")
        },
    )?;
    Ok(program(&place.folder))
}

/// A folder with the files of `folder` and the packages of its `package-lock.json`.
///
/// # Errors
/// When npm is missing, when a package is not what the lock file says, or when the cache cannot be written.
pub fn node(folder: &Path) -> Result<PathBuf> {
    let files = texts_below(folder)?;
    let parts: Vec<_> = files
        .iter()
        .map(|(name, text)| format!("{name}\n{text}"))
        .collect();
    let place = Place::of("node", &parts)?;
    place.get("Google's library for Node is installed with npm", |root| {
        fs::create_dir_all(root)?;
        for (name, text) in &files {
            fs::write(root.join(name), text)?;
        }
        let mut npm = Command::new("npm");
        npm.args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--silent",
        ]);
        run(npm.current_dir(root), "Node 18 or newer with npm")
    })?;
    Ok(place.folder)
}

/// The program of the package in `folder`, built with its own lock file.
///
/// # Errors
/// When cargo fails, or when the cache cannot be written.
pub fn rust(folder: &Path) -> Result<PathBuf> {
    let files = texts_below(folder)?;
    let parts: Vec<_> = files
        .iter()
        .map(|(name, text)| format!("{name}\n{text}"))
        .collect();
    let place = Place::of("rust", &parts)?;
    place.get(
        "Google's clients for Rust are built, two minutes on 2 cores",
        |root| {
            let target = rust_target()?;
            let mut cargo = rust_cargo(folder, "build")?;
            run(cargo.arg("--quiet"), "the Rust clients")?;
            fs::create_dir_all(root)?;
            fs::copy(
                target.join("debug/operations-judge"),
                root.join("operations-judge"),
            )?;
            Ok(())
        },
    )?;
    Ok(place.folder.join("operations-judge"))
}

/// `cargo COMMAND --locked` for the package in `folder`, with a target folder of its own in the user's cache.
///
/// # Errors
/// When there is no cache.
pub fn rust_cargo(folder: &Path, command: &str) -> Result<Command> {
    let mut cargo = Command::new("cargo");
    cargo
        .args([command, "--locked"])
        // In the folder, so that its settings apply and not those of the user.
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", rust_target()?);
    Ok(cargo)
}

fn rust_target() -> Result<PathBuf> {
    Ok(folder()?.join("rust-target"))
}

fn folder() -> Result<PathBuf> {
    Ok(user_cache::folder()?.join("official-clients"))
}

/// Where something is kept; the name changes with everything that it is made from.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn of(name: &str, parts: &[String]) -> Result<Self> {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let name = format!("{name}-{:016x}", recipe_hash(&parts));
        Ok(Self {
            folder: folder()?.join(name),
        })
    }

    /// Makes it there, unless it is there; one run at a time, and says so on stderr.
    fn get(&self, what: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        // Written last: without it the folder is what an interrupted run left.
        let complete = self.folder.with_extension("complete");
        if complete.is_file() {
            return Ok(());
        }
        if let Some(parent) = self.folder.parent() {
            fs::create_dir_all(parent)?;
        }
        let lock = File::create(self.folder.with_extension("lock"))?;
        lock.lock()?;
        // Another run may have made it while this one waited.
        if complete.is_file() {
            return Ok(());
        }
        eprintln!("{what}, once, into {}", self.folder.display());
        let start = Instant::now();
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        make(&self.folder)?;
        fs::write(&complete, "")?;
        eprintln!("done, after {:.0?}", start.elapsed());
        Ok(())
    }
}

/// The files of a folder and of those in it, by path, but for what is hidden or made by tools.
fn texts_below(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        let entries =
            fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_file() {
                let name = path
                    .strip_prefix(folder)
                    .unwrap_or(&path)
                    .display()
                    .to_string();
                texts.push((name, read(&path)?));
            } else if !path.ends_with("node_modules") && !path.ends_with("target") {
                open.push(path);
            }
        }
    }
    texts.sort();
    Ok(texts)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn run(command: &mut Command, needed: &str) -> Result<()> {
    said(command, needed).map(|_| ())
}

/// What a program says on standard output; with what it complained about, if it fails.
fn said(command: &mut Command, needed: &str) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{needed} is required: cannot run {command:?}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!(
            "{needed} is required, but {command:?} failed ({}): {}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
    }
    Ok(text(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interrupted_run_left_is_made_anew_and_what_is_whole_is_kept() {
        let cache = tempfile::tempdir().unwrap();
        let place = Place {
            folder: cache.path().join("a/python-1"),
        };
        let made = |file: &str, good: bool| {
            place.get("It is made", |root| {
                fs::create_dir_all(root)?;
                fs::write(root.join(file), "")?;
                if good { Ok(()) } else { bail!("cut off") }
            })
        };
        assert!(made("half", false).is_err());
        made("whole", true).unwrap();
        made("again", true).unwrap();
        let names = fs::read_dir(&place.folder).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["whole"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = said(&mut Command::new("/nowhere/npm"), "Node").unwrap_err();
        assert!(
            missing.to_string().contains("Node is required"),
            "{missing}"
        );
        let mut failing = Command::new("sh");
        let failing = said(failing.args(["-c", "echo why >&2; exit 3"]), "A shell").unwrap_err();
        assert!(failing.to_string().contains("why"), "{failing}");
    }
}
