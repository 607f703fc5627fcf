//! `deploy/integrations/kubectl/wait-for-outcome`: each exit code, with the kubectl that is built here and with the user's own.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use operations_emulator::{EndResult, Fault, FaultCall, RpcCode, Script};
use serde_json::json;

use crate::support::{
    cluster::{cluster, kubectls, root},
    world::{World, operation},
};

/// The script, run as the tenant with one kubectl.
struct Waiter {
    folder: tempfile::TempDir,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Waiter {
    /// One for each kubectl that there is.
    fn all(world: &World) -> Vec<Self> {
        let namespace = &world.namespace.name;
        let kubeconfig = cluster()
            .control_plane
            .service_account_kubeconfig(namespace, "tenant")
            .unwrap();
        kubectls()
            .map(|kubectl| {
                let folder = tempfile::tempdir().unwrap();
                std::os::unix::fs::symlink(kubectl, folder.path().join("kubectl")).unwrap();
                Self {
                    folder,
                    kubeconfig: kubeconfig.clone(),
                    namespace: namespace.clone(),
                }
            })
            .collect()
    }

    /// One whose kubectl is this shell script; `$round` in it is how often it was started, from 1.
    fn scripted(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("kubectl");
        let count = folder.path().join("rounds");
        let count = count.display();
        let text = format!("#!/bin/sh\necho >>'{count}'\nround=$(wc -l <'{count}')\n{script}");
        let source = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(source.path(), text).unwrap();
        // By another process: what this one writes, a child of another test's thread may still hold open when it is to be run.
        let mut install = Command::new("install");
        install.arg("--mode=755").arg(source.path()).arg(&program);
        assert!(install.status().unwrap().success());
        Self {
            kubeconfig: folder.path().join("none"),
            namespace: "contact-center".to_owned(),
            folder,
        }
    }

    /// How often the scripted kubectl was started.
    fn rounds(&self) -> usize {
        let count = std::fs::read_to_string(self.folder.path().join("rounds")).unwrap();
        count.lines().count()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let script = root().join("deploy/integrations/kubectl/wait-for-outcome");
        let path = [self.folder.path(), Path::new("/usr/bin"), Path::new("/bin")];
        let mut command = Command::new("sh");
        command
            .arg(script)
            .args(arguments)
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("KUBECONFIG", &self.kubeconfig)
            .env("TMPDIR", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut all = vec!["-n", &self.namespace];
        all.extend(arguments);
        let output = self.command(&all).output().unwrap();
        let left = std::fs::read_dir(self.folder.path()).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name != "rounds").collect();
        assert_eq!(left, ["kubectl"], "it leaves nothing behind");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// Starts it, and returns when it has seen the object under way.
    fn start(&self, name: &str) -> (Child, BufReader<std::process::ChildStderr>) {
        let mut child = self
            .command(&["-n", &self.namespace, "-t", "60", name])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let under_way = ["Sending: ", "Polling: "];
        assert!(
            under_way.iter().any(|reason| line.starts_with(reason)),
            "{line}"
        );
        (child, said)
    }
}

#[test]
fn it_says_how_it_ended_and_when_a_human_must_act() {
    let refused = Fault::refuse(FaultCall::Cancel, RpcCode::FailedPrecondition);
    let world = World::new(
        "outcome-waiter",
        [
            ("good", Script::default()),
            ("bad", Script::cancel_unimplemented()),
            ("refused", Script::default().with_fault(refused)),
        ],
    );
    world.cancel_all(["good", "bad", "refused"]);
    world.cancel("stuck", &["version: v99"]);
    for waiter in Waiter::all(&world) {
        let (code, said, _) = waiter.run(&["good"]);
        assert_eq!(code, 0);
        assert!(
            said.starts_with("Cancelled: The Dialogflow operation ended with CANCELLED"),
            "{said}"
        );
        let (code, said, _) = waiter.run(&["bad"]);
        assert_eq!(code, 1);
        assert!(said.starts_with("Unsupported: "), "{said}");
        let (code, said, _) = waiter.run(&["stuck"]);
        assert_eq!(code, 2);
        assert!(said.starts_with("UnknownVersion: "), "{said}");
        let (code, said, complaint) = waiter.run(&["-t", "2", "refused"]);
        assert_eq!((code, said.as_str()), (3, ""));
        assert!(
            complaint.contains("did not end within 2 s; last: Refused: "),
            "{complaint}"
        );
    }
}

#[test]
fn it_ends_with_the_operation_and_not_before() {
    let world = World::new(
        "outcome-live",
        [
            ("end-0", Script::ignores_cancel()),
            ("end-1", Script::ignores_cancel()),
        ],
    );
    for (number, waiter) in Waiter::all(&world).iter().enumerate() {
        let name = format!("end-{number}");
        world.cancel(&name, &[]);
        let (mut child, _said) = waiter.start(&name);
        assert!(child.try_wait().unwrap().is_none(), "it waits");
        let ended = EndResult::failed(RpcCode::Internal, "the disk \\t is full");
        world
            .emulator
            .finish_operation(&operation(&name), ended)
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "Failed is accepted: it runs no more"
        );
        assert!(said.contains("the disk \\t is full"), "{said}");
    }
}

#[test]
fn it_needs_an_object_and_tells_of_its_deletion() {
    let world = World::new("outcome-gone", [("gone", Script::ignores_cancel())]);
    for waiter in Waiter::all(&world) {
        for wrong in [
            &[][..],
            &["-t", "0", "op"],
            &["-t", "soon", "op"],
            &["-x", "op"],
            &["a", "b"],
        ] {
            let (code, _, complaint) = waiter.run(wrong);
            assert_eq!(code, 4, "{wrong:?}");
            assert!(
                complaint.contains("usage: wait-for-outcome [-n NAMESPACE]"),
                "{complaint}"
            );
        }
        let (code, _, complaint) = waiter.run(&["missing"]);
        assert_eq!(code, 4);
        assert!(complaint.contains("\"missing\" not found"), "{complaint}");

        world.cancel("gone", &[]);
        let (child, mut said) = waiter.start("gone");
        world
            .namespace
            .kubectl(&["delete", "opcancel", "gone"], "")
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut said, &mut rest).unwrap();
        assert_eq!(output.status.code(), Some(4));
        assert!(rest.contains("gone was deleted"), "{rest}");
    }
}

#[test]
fn what_was_stalled_before_an_edit_is_not_the_last_word() {
    let mut world = World::new("outcome-edited", []);
    world.cancel("stuck", &["version: v99"]);
    world.wait(&["stuck"], "condition=Stalled");
    let stalled = world.object("stuck");
    world.controller.take();
    let wait = |arguments: &[&str], expected: i32| {
        for waiter in Waiter::all(&world) {
            assert_eq!(waiter.run(arguments).0, expected, "{arguments:?}");
        }
    };
    wait(&["stuck"], 2);
    // No controller runs, so this edit is not observed.
    world
        .patch("stuck", &json!({"spec": {"deadlineSeconds": 99}}))
        .unwrap();
    let edited = world.object("stuck");
    assert_eq!(edited.condition("Stalled"), stalled.condition("Stalled"));
    wait(&["-t", "1", "stuck"], 3);
}

/// The lines of a watch, as the script has kubectl print them.
const UNDER_WAY: &str = "echo 'ADDED seen False False False - Polling The operation runs'\n";
const REFUSED: &str =
    "echo 'The connection to the server localhost:6443 was refused' >&2; exit 1\n";

#[test]
fn a_broken_watch_is_begun_anew_until_the_api_server_is_back() {
    let ended = "echo 'MODIFIED seen True True False Cancelled Cancelled It ended'";
    let script = format!(
        "case $round in\n1) {UNDER_WAY}{REFUSED};;\n2 | 3) {REFUSED};;\n*) {ended};;\nesac\n"
    );
    let waiter = Waiter::scripted(&script);
    let (code, said, complaint) = waiter.run(&["op"]);
    assert_eq!((code, said.as_str()), (0, "Cancelled: It ended\n"));
    assert_eq!(complaint, "Polling: The operation runs\n");
    assert_eq!(waiter.rounds(), 4);
    // Of an object that was never shown there is nothing to wait for.
    let waiter = Waiter::scripted(REFUSED);
    let (code, _, complaint) = waiter.run(&["op"]);
    assert_eq!((code, waiter.rounds()), (4, 1));
    assert!(complaint.contains("was refused"), "{complaint}");
}

#[test]
fn what_is_gone_or_forbidden_since_it_was_shown_is_not_asked_for_again() {
    for why in ["NotFound", "Forbidden"] {
        let script = format!(
            "[ $round -gt 1 ] || {{ {UNDER_WAY}{REFUSED}}}\n\
             echo 'Error from server ({why}): op' >&2; exit 1\n"
        );
        let waiter = Waiter::scripted(&script);
        let (code, _, complaint) = waiter.run(&["op"]);
        assert_eq!((code, waiter.rounds()), (4, 2), "{complaint}");
        assert!(complaint.contains(why), "{complaint}");
    }
}

/// However quickly a watch ends, there is at most one request a second.
#[test]
fn a_watch_that_ends_at_once_is_not_asked_for_without_pause() {
    let waiter = Waiter::scripted(UNDER_WAY);
    let (code, _, complaint) = waiter.run(&["-t", "2", "op"]);
    assert_eq!(code, 3, "{complaint}");
    assert!(waiter.rounds() <= 3, "{}", waiter.rounds());
}

#[test]
fn who_may_read_but_not_watch_is_told_so() {
    let world = World::new("outcome-unwatched", [("op", Script::ignores_cancel())]);
    world.cancel("op", &[]);
    let namespace = &world.namespace.name;
    let role = json!([{
        "op": "replace", "path": "/rules/0/verbs", "value": ["get", "list"],
    }]);
    let waiter = Waiter::all(&world).remove(0);
    cluster()
        .control_plane
        .run_kubectl(&[
            "patch",
            "role",
            "tenant",
            "--namespace",
            namespace,
            "--type=json",
            "--patch",
            &role.to_string(),
        ])
        .unwrap();
    let (code, _, complaint) = waiter.run(&["-t", "30", "op"]);
    assert_eq!(code, 4, "{complaint}");
    assert!(complaint.contains("cannot watch resource"), "{complaint}");
}
