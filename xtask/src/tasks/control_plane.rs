//! `cargo xtask control-plane`: a control plane for one's own kubectl, until Ctrl-C.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use xtask::control_plane::{Binaries, ControlPlane, Options};
use xtask::node::Node;

use super::cargo::Programs;
use super::stand_ins::{self, Emulator};

/// Run a Kubernetes control plane on loopback until Ctrl-C.
///
/// etcd, kube-apiserver and kube-controller-manager, with TLS, RBAC, ServiceAccount tokens and an
/// audit log. The programs come from the folder in KUBEBUILDER_ASSETS if it is set, otherwise from the
/// cache (opcancel/control-plane in $XDG_CACHE_HOME or ~/.cache). Missing programs are built with Go
/// into the cache, which takes about 8 minutes on 2 cores, once.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only build the missing programs, and print the paths of all.
    #[arg(long, conflicts_with = "data_dir")]
    build_only: bool,

    /// Store keys, logs and data in this empty or new folder instead of a temporary one.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,

    /// Also run the Pods of the controller's Deployment, as processes on this machine, with
    /// operations-emulator and examples/emulator/scenario.yaml instead of Google.
    #[arg(long, conflicts_with = "build_only")]
    node: bool,
}

/// Runs the task.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    if arguments.build_only {
        let binaries = Binaries::get()?;
        for path in [
            binaries.etcd,
            binaries.api_server,
            binaries.controller_manager,
            binaries.kubectl,
        ] {
            println!("{}", path.display());
        }
        return Ok(());
    }
    let start = Instant::now();
    let control_plane = ControlPlane::start(Options {
        data_dir: arguments.data_dir,
    })?;
    println!(
        "control plane ready at {} after {:.1?}",
        control_plane.server_url(),
        start.elapsed()
    );
    println!(
        "  export KUBECONFIG={}",
        control_plane.kubeconfig().display()
    );
    println!("  {} get namespaces", control_plane.kubectl().display());
    let node = if arguments.node {
        let programs = Programs::build()?;
        let emulator = Emulator::start(&control_plane, &programs, "100ms")?;
        let node = stand_ins::start_node(&control_plane, &programs, &emulator)?;
        println!(
            "  a stand-in for a node runs the image opcancel-controller, with operations-emulator instead of Google"
        );
        println!("  export EMULATOR_ADMIN={}", emulator.admin_url);
        println!("  the requests to Google: curl $EMULATOR_ADMIN/admin/requests");
        Some(node)
    } else {
        None
    };
    println!(
        "logs, audit log and keys: {}",
        control_plane.folder().display()
    );
    println!("Press Ctrl-C to stop it.");
    let outcome = wait(&control_plane, node.as_ref());
    eprintln!("control plane: stopping");
    drop(node);
    control_plane.stop()?;
    outcome
}

/// Returns at Ctrl-C, SIGTERM or SIGHUP, and fails if one of the daemons ends before.
fn wait(control_plane: &ControlPlane, node: Option<&Node>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut check = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = hang_up.recv() => return Ok(()),
                _ = check.tick() => {
                    control_plane.check()?;
                    node.map_or(Ok(()), Node::check_itself)?;
                }
            }
        }
    })
}
