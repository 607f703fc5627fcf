//! Getting the programs: what a user without a usable Go is told, one build for two runs, and
//! no build that outlives the run that asked for it. A script stands in for Go.

// clippy.toml lets tests do these; their own functions are not #[test] but belong to them.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{eventually, is_alive, script, xtask};

/// A world with a stand-in for Go, and a cache of its own.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// `build` is what `go build` does, with the output file in `$output`.
    fn new(version: &str, build: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let text = format!(
            "if [ \"$1\" = version ]; then echo 'go version {version} linux/amd64'; exit; fi\n\
             cd_to='{root}'\n\
             while [ \"$1\" != -o ]; do shift; done\n\
             output=$2\n{build}",
            root = folder.path().display(),
        );
        script(&folder.path().join("bin/go"), &text);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn get(&self) -> Command {
        let path = std::env::join_paths([self.path("bin"), "/usr/bin".into(), "/bin".into()]);
        let mut command = xtask(&["control-plane", "--build-only"]);
        command
            .env_remove("KUBEBUILDER_ASSETS")
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("PATH", path.unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn without_go_the_message_says_what_to_do() {
    let world = World::new("go1.99.0", "");
    fs::create_dir(world.path("empty")).unwrap();
    let output = world
        .get()
        .env("PATH", world.path("empty"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("Go is not installed"), "{said}");
    assert!(said.contains("https://go.dev/doc/install"), "{said}");
    assert!(said.contains("KUBEBUILDER_ASSETS"), "{said}");
}

#[test]
fn a_go_that_is_too_old_is_told_before_anything_is_built() {
    let world = World::new("go1.21.3", "echo built >>\"$cd_to/record\"");
    let output = world.get().output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("Go is too old: this is go1.21.3"), "{said}");
    assert_eq!(lines(&world.path("record")), 0);
}

#[test]
fn a_build_that_fails_shows_what_go_said_and_leaves_no_half_program() {
    let world = World::new(
        "go1.99.0",
        "echo half >\"$output\"; echo 'no space left' >&2; exit 1",
    );
    let output = world.get().output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("could not build etcd") && said.contains("no space left"),
        "{said}"
    );
    let version = fs::read_dir(world.path("cache/opcancel/control-plane"))
        .unwrap()
        .next();
    let bin = version.unwrap().unwrap().path().join("bin");
    assert_eq!(fs::read_dir(bin).unwrap().count(), 0);
}

#[test]
fn two_runs_build_each_program_once() {
    // The first build waits at the gate, so that the second run surely meets it.
    let build = "echo built >>\"$cd_to/record\"\n\
                 if [ \"$(wc -l <\"$cd_to/record\")\" -eq 1 ]; then read -r _ <\"$cd_to/gate\"; fi\n\
                 printf '#!/bin/sh\\n' >\"$output\"; chmod +x \"$output\"";
    let world = World::new("go1.99.0", build);
    let gate = world.path("gate");
    assert!(
        Command::new("mkfifo")
            .arg(&gate)
            .status()
            .unwrap()
            .success()
    );
    let first = world.get().spawn().unwrap();
    eventually("the first run builds", || lines(&world.path("record")) == 1);
    let mut second = world.get().spawn().unwrap();
    let mut said = BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("another run is building it"), "{line}");

    // Opening waits for the reader.
    File::options()
        .write(true)
        .open(&gate)
        .unwrap()
        .write_all(b"go\n")
        .unwrap();
    let first = first.wait_with_output().unwrap();
    let second = second.wait_with_output().unwrap();
    assert!(first.status.success() && second.status.success());
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(lines(&world.path("record")), 4);
}

#[test]
fn a_build_ends_with_the_run_that_asked_for_it() {
    let world = World::new(
        "go1.99.0",
        "echo $$ >\"$cd_to/id.new\"; mv \"$cd_to/id.new\" \"$cd_to/id\"; sleep 600",
    );
    let mut run = world.get().spawn().unwrap();
    eventually("it builds", || world.path("id").exists());
    let id = fs::read_to_string(world.path("id"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(is_alive(id));
    run.kill().unwrap();
    run.wait().unwrap();
    eventually("Go is gone", || !is_alive(id));
}
