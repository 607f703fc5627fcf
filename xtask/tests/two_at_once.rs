//! Two control planes at once do not disturb each other, and what one keeps stays.

// clippy.toml lets tests do these; their own functions are not #[test] but belong to them.
#![allow(clippy::unwrap_used)]

mod support;

use std::thread;

use support::{daemons, is_alive};
use xtask::control_plane::{ControlPlane, Options};

#[test]
fn each_has_its_own_world_and_end() {
    let parent = tempfile::tempdir().unwrap();
    // Longer than the name of a socket may be.
    let kept = parent.path().join("a".repeat(120));
    let options = Options {
        data_dir: Some(kept.clone()),
    };
    let first = thread::spawn(|| ControlPlane::start(options).unwrap());
    let second = ControlPlane::start(Options::default()).unwrap();
    let first = first.join().unwrap();
    assert_ne!(first.server_url(), second.server_url());

    let namespace = first.namespace("only-here").unwrap();
    assert!(namespace.starts_with("only-here-"));
    first
        .run_kubectl(&["get", "namespace", &namespace])
        .unwrap();
    let error = second
        .run_kubectl(&["get", "namespace", &namespace])
        .unwrap_err();
    assert!(error.to_string().contains("NotFound"), "{error}");

    let daemons = daemons(first.folder());
    first.stop().unwrap();
    assert!(!daemons.into_iter().any(is_alive));
    assert!(kept.join("kube-apiserver.log").exists());
    second.run_kubectl(&["get", "namespaces"]).unwrap();

    // What is there belongs to somebody.
    let again = ControlPlane::start(Options {
        data_dir: Some(kept),
    })
    .unwrap_err();
    assert!(again.to_string().contains("is not empty"), "{again}");
}

#[test]
fn another_process_can_use_one_that_runs() {
    let owner = ControlPlane::start(Options::default()).unwrap();
    let guest = ControlPlane::attach(owner.folder()).unwrap();
    let namespace = guest.namespace("guest").unwrap();
    guest.stop().unwrap();
    owner
        .run_kubectl(&["get", "namespace", &namespace])
        .unwrap();

    let folder = owner.folder().to_owned();
    owner.stop().unwrap();
    let error = ControlPlane::attach(&folder).unwrap_err().to_string();
    assert!(error.contains("OPCANCEL_CONTROL_PLANE"), "{error}");
}
