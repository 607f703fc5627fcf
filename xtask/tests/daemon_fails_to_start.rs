//! What a user sees when a daemon does not start, and that nothing is left then.

// clippy.toml lets tests do these; their own functions are not #[test] but belong to them.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;

use support::{script, xtask};
use xtask::control_plane::Binaries;

/// A folder for `KUBEBUILDER_ASSETS` with the real programs.
fn assets(folder: &Path) {
    let real = Binaries::get().unwrap();
    for path in [
        real.etcd,
        real.api_server,
        real.controller_manager,
        real.kubectl,
    ] {
        symlink(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn the_error_has_the_end_of_its_log_and_where_all_of_it_is() {
    let folder = tempfile::tempdir().unwrap();
    assets(folder.path());
    let etcd = folder.path().join("etcd");
    fs::remove_file(&etcd).unwrap();
    script(
        &etcd,
        "echo first line; echo cannot open the moon >&2; exit 7",
    );
    let temporary = tempfile::tempdir().unwrap();
    let output = xtask(&["control-plane"])
        .env("KUBEBUILDER_ASSETS", folder.path())
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("etcd ended with exit code 7"), "{said}");
    assert!(said.contains("  | cannot open the moon"), "{said}");

    // The control plane's folder is gone, its log is not.
    let left: Vec<_> = fs::read_dir(&temporary)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let [log] = left.as_slice() else {
        panic!("left: {left:?}")
    };
    assert!(said.contains(&log.display().to_string()), "{said}");
    assert!(fs::read_to_string(log).unwrap().starts_with("first line"));
}

#[test]
fn a_port_that_somebody_took_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    assets(folder.path());
    let api_server = folder.path().join("kube-apiserver");
    let real = fs::read_link(&api_server).unwrap();
    fs::remove_file(&api_server).unwrap();
    let somebody = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = somebody.local_addr().unwrap().port();
    let marker = folder.path().join("tried");
    let (real, marker_text) = (real.display(), marker.display());
    // The first try gets a port that is taken; the last flag counts.
    script(
        &api_server,
        &format!(
            "if [ \"$1\" = --version ] || [ -e '{marker_text}' ]; then exec '{real}' \"$@\"; fi\n\
             touch '{marker_text}'\nexec '{real}' \"$@\" --secure-port={port}"
        ),
    );
    let mut command = xtask(&["control-plane"]);
    command.env("KUBEBUILDER_ASSETS", folder.path());
    let running = support::Running::start_with(command);
    assert!(marker.exists());
    support::daemons(&running.folder);
}

#[test]
fn assets_that_cannot_be_meant_are_refused_before_anything_starts() {
    let output = xtask(&["control-plane", "--build-only"])
        .env("KUBEBUILDER_ASSETS", "/nonexistent/assets")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("error: KUBEBUILDER_ASSETS is /nonexistent/assets, which is not a folder"),
        "{said}"
    );
}
