//! Nothing of a control plane is left, however the process that holds it ends.

// clippy.toml lets tests do these; their own functions are not #[test] but belong to them.
#![allow(clippy::unwrap_used)]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use support::{Running, daemons, eventually, is_alive, signal};
use xtask::control_plane::{ControlPlane, Options};

#[test]
fn after_a_kill_that_nothing_can_catch() {
    let mut running = Running::start();
    let daemons = daemons(&running.folder);
    running.process.kill().unwrap();
    running.process.wait().unwrap();
    eventually("the folder is removed", || !running.folder.exists());
    for id in daemons {
        assert!(!is_alive(id), "process {id} outlives the folder");
    }
}

#[test]
fn after_ctrl_c_when_the_command_returns() {
    let mut running = Running::start();
    let daemons = daemons(&running.folder);
    assert!(signal(running.process.id(), "INT"));
    let (success, said) = running.wait();
    assert!(success, "{said}");
    assert!(!running.folder.exists());
    assert!(!daemons.into_iter().any(is_alive));
}

#[test]
fn after_a_panic() {
    let control_plane = ControlPlane::start(Options::default()).unwrap();
    let folder = control_plane.folder().to_owned();
    let daemons = daemons(&folder);
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _held = control_plane;
        panic!("a test fails");
    }));
    assert!(panicked.is_err());
    assert!(!folder.exists());
    assert!(!daemons.into_iter().any(is_alive));
}

#[test]
fn a_daemon_that_dies_ends_the_command_with_its_log() {
    let mut running = Running::start();
    let daemons = daemons(&running.folder);
    assert!(signal(daemons[2], "KILL"));
    let (success, said) = running.wait();
    assert!(!success);
    assert!(
        said.contains("kube-controller-manager ended with exit code 137"),
        "{said}"
    );
    assert!(said.contains("the last lines of its log"), "{said}");
    assert!(!running.folder.exists());
    assert!(!daemons.into_iter().any(is_alive));
}
