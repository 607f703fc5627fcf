//! What tools that wait make of objects, each by its own engine (`tests/judges/`, built by Go), and by the files of
//! `deploy/integrations/`.

use std::{
    collections::BTreeMap,
    io::Write,
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde::Deserialize;

use super::{cluster::root, object::Object};

/// What all judges say of one object.
#[derive(Clone, Debug, Deserialize)]
pub struct Verdict {
    /// `metadata.name`.
    pub name: String,
    /// kstatus as sigs.k8s.io/cli-utils has it.
    pub kstatus: Opinion,
    /// kstatus as Flux's fork of it has it, which Helm 4 waits with too.
    pub helm: Opinion,
    /// The health expressions of `flux/`, by Flux's library.
    pub flux: Opinion,
    /// The health script of `argo-cd/`, by Argo CD's interpreter.
    pub argo: Opinion,
    /// The actions that Argo CD offers, each with the merge patch that it would apply.
    pub actions: BTreeMap<String, String>,
    /// What `terraform/main.tf` makes of it.
    pub terraform: Terraform,
}

/// A status and what is printed with it.
#[derive(Clone, Debug, Deserialize)]
pub struct Opinion {
    /// Such as `InProgress`; `error: WHY` if the judge failed.
    pub status: String,
    /// For people.
    pub message: String,
}

/// How far an apply gets.
#[derive(Clone, Debug, Deserialize)]
pub struct Terraform {
    /// The wait goes on.
    pub waits: bool,
    /// The postcondition holds.
    pub passes: bool,
    /// Its message if not.
    pub says: String,
}

/// Asks the judges about objects; their verdicts in the same order.
pub fn judge(objects: &[&Object]) -> Vec<Verdict> {
    static PROGRAM: OnceLock<std::path::PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        xtask::go_tool::of_folder(&root().join("tests/judges")).expect("the judges")
    });
    let lines: String = objects
        .iter()
        .map(|object| format!("{}\n", object.0))
        .collect();
    let mut child = Command::new(program)
        .arg(root().join("deploy/integrations"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the judges can be run");
    let mut input = child.stdin.take().unwrap();
    // Beside reading: neither pipe holds everything.
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the judges gave up");
    writer.join().unwrap().unwrap();
    let verdicts: Vec<Verdict> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let names = |verdicts: &[Verdict]| -> Vec<String> {
        verdicts
            .iter()
            .map(|verdict| verdict.name.clone())
            .collect()
    };
    let expected: Vec<_> = objects
        .iter()
        .map(|object| object.text("/metadata/name"))
        .collect();
    assert_eq!(names(&verdicts), expected);
    verdicts
}
