//! `cargo xtask fuzz`: the fuzz targets of `fuzz/`, with libFuzzer.
//!
//! It does what `cargo fuzz run` does, but with the pinned stable compiler and without another build of the dependencies: only the crates
//! of this repository are compiled with coverage (`fuzz/rustc_with_coverage.sh`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use super::cargo::{self, Programs};

/// The most bytes of an input: longer than the longest name, and long enough for every form of an answer.
const LONGEST_INPUT: usize = 2048;

/// The inputs of each target in `cargo xtask test`, and the number from which libFuzzer makes them: the same ones in each run.
const INPUTS_OF_TESTS: u32 = 3000;
const SEED_OF_TESTS: u32 = 16;

/// The target that also begins with the names that the API server is tested with.
const NAMES: &str = "operation_name";

/// Search for inputs that break a guarantee.
///
/// libFuzzer changes the inputs of the corpus, and keeps those that reach new code. Each target checks what must hold for any input
/// (fuzz/src/NAME.rs). An input that breaks it is made shorter and added to fuzz/corpus/NAME, where `cargo test` finds it. Inputs that
/// reach new code stay in target/fuzz/NAME, for the next run.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only this target; may be repeated. The targets are the files in fuzz/fuzz_targets
    #[arg(long = "target", value_name = "NAME")]
    targets: Vec<String>,

    /// How long each target runs, in minutes
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
}

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let all = targets()?;
    for name in &arguments.targets {
        let known = all.join(", ");
        ensure!(all.contains(name), "no target `{name}`; use one of {known}");
    }
    let chosen = if arguments.targets.is_empty() {
        all
    } else {
        arguments.targets.clone()
    };
    let programs = build(&chosen)?;
    let mut found = Vec::new();
    for name in &chosen {
        eprintln!("{name}: {} minutes", arguments.minutes);
        let folder = cargo::root().join("target/fuzz").join(name);
        let time = format!("-max_total_time={}", arguments.minutes * 60);
        // A slow input is a finding, too.
        let limits = [time, "-timeout=20".to_owned()];
        let target = Target::new(name, programs.path(name)?, &folder)?;
        found.extend(target.search(&limits)?);
    }
    if found.is_empty() {
        return Ok(());
    }
    for file in &found {
        eprintln!("found: {}", file.display());
    }
    bail!(
        "{} inputs break a guarantee; they are in the corpus now, and `cargo test --package opcancel-fuzz` shows why",
        found.len()
    )
}

/// The short run of `cargo xtask test`: the same inputs each time, and their number is the limit, not the time.
pub(crate) fn of_tests() -> Result<()> {
    let all = targets()?;
    let programs = build(&all)?;
    for name in &all {
        let folder = tempfile::tempdir()?;
        let limits = [
            format!("-runs={INPUTS_OF_TESTS}"),
            format!("-seed={SEED_OF_TESTS}"),
        ];
        let target = Target::new(name, programs.path(name)?, folder.path())?;
        if let Some(file) = target.search(&limits)? {
            bail!(
                "{} breaks a guarantee, and is in the corpus now",
                file.display()
            );
        }
    }
    Ok(())
}

/// The names of the targets.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in fs::read_dir(cargo::root().join("fuzz/fuzz_targets"))? {
        let path = file?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        names.push(name.context("a target's name is not UTF-8")?.to_owned());
    }
    names.sort();
    Ok(names)
}

fn build(names: &[String]) -> Result<Programs> {
    let wrapper = cargo::root().join("fuzz/rustc_with_coverage.sh");
    let mut command = cargo::cargo(&["build", "--workspace", "--features=opcancel-fuzz/libfuzzer"]);
    for name in names {
        command.args(["--bin", name]);
    }
    Programs::built_by(command.env("RUSTC_WORKSPACE_WRAPPER", wrapper))
}

/// A target that runs.
struct Target<'a> {
    name: &'a str,
    program: &'a Path,
    /// The inputs that reached new code.
    inputs: PathBuf,
    /// The inputs that break a guarantee.
    found: PathBuf,
}

impl<'a> Target<'a> {
    fn new(name: &'a str, program: &'a Path, folder: &Path) -> Result<Self> {
        let inputs = folder.join("inputs");
        let found = folder.join("found");
        fs::create_dir_all(&inputs)?;
        // What an earlier run found is in the corpus.
        let _ = fs::remove_dir_all(&found);
        fs::create_dir_all(&found)?;
        if name == NAMES {
            write_names(&inputs)?;
        }
        Ok(Self {
            name,
            program,
            inputs,
            found,
        })
    }

    fn corpus(&self) -> PathBuf {
        cargo::root().join("fuzz/corpus").join(self.name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command
            .current_dir(cargo::root())
            .stdin(Stdio::null())
            .arg(format!("-max_len={LONGEST_INPUT}"))
            .arg(format!("-artifact_prefix={}/", self.found.display()));
        command
    }

    /// Searches until a limit is reached, or an input breaks a guarantee. Returns that input, in the corpus.
    fn search(&self, limits: &[String]) -> Result<Option<PathBuf>> {
        let output = self
            .command()
            .args(limits)
            .args(["-use_value_profile=1", "-print_final_stats=1"])
            // libFuzzer writes into the first folder only.
            .arg(&self.inputs)
            .arg(self.corpus())
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            said.contains("inline 8-bit counters"),
            "{} was compiled without coverage:\n{said}",
            self.name
        );
        let figure = |name: &str| {
            let line = said.lines().find(|line| line.contains(name));
            let figure = line.and_then(|line| line.split_whitespace().last());
            figure.unwrap_or("unknown").to_owned()
        };
        eprintln!(
            "{:<16} {} inputs, {} that reach new code",
            self.name,
            figure("number_of_executed_units"),
            figure("new_units_added"),
        );
        if output.status.success() {
            return Ok(None);
        }
        eprintln!("{said}");
        let mut found = fs::read_dir(&self.found)?;
        let first = found.next().context("it failed without a finding")??;
        self.keep(&first.path()).map(Some)
    }

    /// Makes a finding shorter, and puts it into the corpus.
    fn keep(&self, finding: &Path) -> Result<PathBuf> {
        let name = finding.file_name().and_then(|name| name.to_str());
        let (kind, hash) = name
            .and_then(|name| name.split_once('-'))
            .unwrap_or_default();
        let mut input = fs::read(finding)?;
        // To shorten a slow one would take hours.
        if kind == "crash" {
            eprintln!("{}: making the finding shorter", self.name);
            input = shortened(input, |shorter| self.fails(shorter))?;
        }
        let kept = self.corpus().join(format!("found-{hash}"));
        fs::write(&kept, input)?;
        Ok(kept)
    }

    fn fails(&self, input: &[u8]) -> Result<bool> {
        let file = self.inputs.with_file_name("shorter");
        fs::write(&file, input)?;
        let mut command = self.command();
        let status = command.arg(&file).stderr(Stdio::null()).status()?;
        Ok(!status.success())
    }
}

/// Removes pieces of an input for as long as it still fails: halves first, single bytes last.
fn shortened(mut input: Vec<u8>, fails: impl Fn(&[u8]) -> Result<bool>) -> Result<Vec<u8>> {
    let mut piece = input.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < input.len() {
            let mut shorter = input.clone();
            shorter.drain(at..(at + piece).min(input.len()));
            if fails(&shorter)? {
                input = shorter;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    Ok(input)
}

/// Writes the names that the API server is tested with, as inputs.
fn write_names(folder: &Path) -> Result<()> {
    let text = fs::read_to_string(cargo::root().join("tests/names/names.json"))?;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text)?;
    for (number, row) in rows.iter().enumerate() {
        let name = row["name"].as_str().context("a row without a name")?;
        fs::write(folder.join(format!("names.json-{number}")), name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_to_fail_is_removed() {
        let fails = |input: &[u8]| {
            let text = String::from_utf8_lossy(input);
            Ok(text.contains('x') && text.contains('y'))
        };
        let short = |text: &str| {
            let short = shortened(text.as_bytes().to_vec(), fails).unwrap();
            String::from_utf8(short).unwrap()
        };
        assert_eq!(short("aaaxbbbbbbbbbycc"), "xy");
        assert_eq!(short("xxxyyy"), "xy");
        assert_eq!(short("xy"), "xy");
    }
}
