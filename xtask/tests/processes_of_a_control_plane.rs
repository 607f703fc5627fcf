//! A program beside a control plane has the environment that it is given, is told about when it
//! ends, and never outlives the control plane.

// clippy.toml lets tests do these; their own functions are not #[test] but belong to them.
#![allow(clippy::unwrap_used)]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::Duration;

use support::{eventually, is_alive};
use xtask::control_plane::{ControlPlane, Options};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_program_beside_it() {
    let control_plane = ControlPlane::start(Options::default()).unwrap();
    let shell = Path::new("/bin/sh");
    let script = |text: &str| ["-c".to_owned(), text.to_owned()];

    let sleeper = script("/usr/bin/env; echo ready; exec /bin/sleep 600");
    let variables = [("GREETING", OsStr::new("it's me"))];
    control_plane
        .run_process("sleeper", shell, &sleeper, &variables)
        .unwrap();
    let log = control_plane.log_file("sleeper");
    let said = || fs::read_to_string(&log).unwrap_or_default();
    control_plane
        .wait_for_process("sleeper", LIMIT, || said().contains("ready"))
        .unwrap();
    assert!(said().contains("GREETING=it's me\n"), "{}", said());
    assert!(
        !said().contains("HOME="),
        "the user's own variables: {}",
        said()
    );
    control_plane.check_process("sleeper").unwrap();

    control_plane
        .run_process("brief", shell, &script("echo last words; exit 3"), &[])
        .unwrap();
    let error = control_plane
        .wait_for_process("brief", LIMIT, || false)
        .unwrap_err()
        .to_string();
    assert!(error.contains("brief ended with exit code 3"), "{error}");
    assert!(error.contains("last words"), "{error}");
    let (_, copy) = error.rsplit_once("all of it: ").unwrap();
    assert_eq!(fs::read_to_string(copy).unwrap(), "last words\n");
    fs::remove_file(copy).unwrap();

    let pid = control_plane.folder().join("sleeper.pid");
    eventually("its id is written", || pid.exists());
    let id = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    assert!(is_alive(id));
    control_plane.stop().unwrap();
    assert!(!is_alive(id), "it outlives the control plane");
}
