//! Starts a control plane: folder, supervisor, keys, etcd, API server, administrator, controllers.

use std::fs::{self, DirBuilder};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::binaries::Binaries;
use super::certificates::Authority;
use super::daemons::{self, API_SERVER, CONTROLLER_MANAGER, ETCD};
use super::kubeconfig::{self, Credential};
use super::supervisor::{Afterwards, Supervisor, WaitOutcome};
use super::{ADMIN_GROUP, ControlPlane, End, FACTS, Facts, Options, client, etcd};

/// How long a daemon may take to be ready on a busy machine; it takes about 3 s on an idle one.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// How often to start the API server if another process takes its port each time.
const PORT_TRIES: u32 = 5;

/// As [`ControlPlane::start`].
pub(super) fn start(options: Options) -> Result<ControlPlane> {
    let binaries = Binaries::get()?;
    let (folder, afterwards) = make_folder(options.data_dir)?;
    // From here on the supervisor cleans up, whatever happens.
    let supervisor = Supervisor::start(&folder, afterwards)?;

    let authority = Authority::create(&folder)?;
    start_etcd(&supervisor, &folder, &binaries)?;
    let server_url = start_api_server(&supervisor, &folder, &binaries, &authority)?;
    let facts = Facts {
        server_url,
        kubectl: binaries.kubectl.clone(),
    };
    let mut control_plane = ControlPlane {
        folder,
        facts,
        supervisor: None,
    };
    admit_admin(&supervisor, &control_plane, &authority)?;
    start_controllers(&supervisor, &control_plane, &binaries, &authority)?;

    let facts = serde_json::to_string(&control_plane.facts)?;
    fs::write(control_plane.folder.join(FACTS), facts)?;
    control_plane.supervisor = Some(supervisor);
    Ok(control_plane)
}

/// Creates the working folder, and returns whether it is temporary.
fn make_folder(data_dir: Option<PathBuf>) -> Result<(PathBuf, Afterwards)> {
    let Some(folder) = data_dir else {
        let folder = tempfile::Builder::new().prefix("opcancel-").tempdir()?;
        return Ok((folder.keep(), Afterwards::Remove));
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    if fs::read_dir(&folder)?.next().is_some() {
        bail!(
            "{} is not empty; use an empty or new folder",
            folder.display()
        );
    }
    Ok((folder.canonicalize()?, Afterwards::Keep))
}

fn start_etcd(supervisor: &Supervisor, folder: &Path, binaries: &Binaries) -> Result<()> {
    supervisor.run(ETCD, &binaries.etcd, &daemons::etcd())?;
    let waited = supervisor.wait(ETCD, READY_LIMIT, || {
        etcd::is_healthy(folder).unwrap_or(false)
    });
    supervisor.require(ETCD, waited)
}

/// As [`ControlPlane::back_up`] and [`ControlPlane::restore`]: ends API server and etcd, lets `change` have etcd's data and the
/// folder with the copy, and starts both again at the same address.
pub(super) fn with_storage(
    supervisor: &Supervisor,
    control_plane: &ControlPlane,
    change: impl FnOnce(&Path, &Path) -> std::io::Result<()>,
) -> Result<()> {
    let folder = control_plane.folder();
    for name in [API_SERVER, ETCD] {
        stop_daemon(supervisor, control_plane, name, End::Term)?;
    }
    change(&folder.join("etcd"), &folder.join("etcd-copy"))?;
    let _gone = fs::remove_file(folder.join(daemons::ETCD_SOCKET));
    start_etcd(supervisor, folder, &Binaries::get()?)?;
    restart_api_server(supervisor, control_plane)
}

/// Ends a daemon and waits until it is gone.
pub(super) fn stop_daemon(
    supervisor: &Supervisor,
    control_plane: &ControlPlane,
    name: &str,
    how: End,
) -> Result<()> {
    match how {
        End::Term => supervisor.handle().end(name)?,
        End::Kill => control_plane.kill(name)?,
    }
    match supervisor.wait(name, READY_LIMIT, || false) {
        WaitOutcome::Ended => Ok(()),
        waited => bail!("{name} does not end: {waited:?}"),
    }
}

/// As [`ControlPlane::start_api_server`].
pub(super) fn restart_api_server(
    supervisor: &Supervisor,
    control_plane: &ControlPlane,
) -> Result<()> {
    let binaries = Binaries::get()?;
    let port = control_plane
        .server_url()
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .context("the API server's URL has no port")?;
    supervisor.run(API_SERVER, &binaries.api_server, &daemons::api_server(port))?;
    let ready = || {
        control_plane
            .run_kubectl(&["get", "--raw", "/readyz"])
            .is_ok()
    };
    let waited = supervisor.wait(API_SERVER, READY_LIMIT, ready);
    supervisor.require(API_SERVER, waited)
}

/// Copies a folder into one that must not exist yet.
pub(super) fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Starts the API server on a free port, waits until it is ready, and returns its URL.
fn start_api_server(
    supervisor: &Supervisor,
    folder: &Path,
    binaries: &Binaries,
    authority: &Authority,
) -> Result<String> {
    authority.issue_server()?;
    authority.issue_token_key()?;
    fs::write(
        folder.join("audit-policy.yaml"),
        include_str!("audit-policy.yaml"),
    )?;
    let master = authority.issue_client("bootstrap", "bootstrap", Some("system:masters"))?;
    let credential = Credential::Certificate(&master);
    let bootstrap = bootstrap_kubeconfig(folder);
    let mut tries = 0;
    loop {
        tries += 1;
        let port = free_port()?;
        let url = format!("https://127.0.0.1:{port}");
        kubeconfig::write(
            &bootstrap,
            &url,
            &folder.join("ca.crt"),
            "bootstrap",
            None,
            &credential,
        )?;
        supervisor.run(API_SERVER, &binaries.api_server, &daemons::api_server(port))?;
        // Each check starts a process, which is useless before something listens.
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        let ready = || {
            let mut command = client::command(&binaries.kubectl, &bootstrap);
            client::output(command.args(["get", "--raw", "/readyz"])).is_ok()
        };
        let waited = supervisor.wait(API_SERVER, READY_LIMIT, || listens() && ready());
        let raced = waited == WaitOutcome::Ended
            && supervisor
                .log(API_SERVER)
                .contains("address already in use");
        if !raced || tries == PORT_TRIES {
            if waited != WaitOutcome::Ready {
                supervisor
                    .check(ETCD)
                    .context("the API server needs etcd")?;
            }
            supervisor.require(API_SERVER, waited)?;
            return Ok(url);
        }
    }
}

/// The kubeconfig of a member of `system:masters`, for the harness only.
fn bootstrap_kubeconfig(folder: &Path) -> PathBuf {
    folder.join("bootstrap.kubeconfig")
}

/// A port of 127.0.0.1 that is free now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// Binds the administrator's group to `cluster-admin` and writes the administrator's kubeconfig.
fn admit_admin(
    supervisor: &Supervisor,
    control_plane: &ControlPlane,
    authority: &Authority,
) -> Result<()> {
    let bootstrap = bootstrap_kubeconfig(&control_plane.folder);
    let bind = [
        "create",
        "clusterrolebinding",
        ADMIN_GROUP,
        "--clusterrole=cluster-admin",
    ];
    let group = format!("--group={ADMIN_GROUP}");
    let mut command = client::command(control_plane.kubectl(), &bootstrap);
    client::output(command.args(bind).arg(group))?;
    let admin = authority.issue_client("admin", "admin", Some(ADMIN_GROUP))?;
    let credential = Credential::Certificate(&admin);
    write_kubeconfig(
        control_plane,
        &control_plane.kubeconfig(),
        "admin",
        &credential,
    )?;
    // The authorizer learns of the binding by a watch.
    let waited = supervisor.wait(API_SERVER, READY_LIMIT, || {
        control_plane
            .run_kubectl(&["auth", "can-i", "*", "*", "--all-namespaces"])
            .is_ok()
    });
    supervisor.require(API_SERVER, waited)
}

/// Starts the controller manager and waits until it works.
fn start_controllers(
    supervisor: &Supervisor,
    control_plane: &ControlPlane,
    binaries: &Binaries,
    authority: &Authority,
) -> Result<()> {
    let name = "system:kube-controller-manager";
    let certificate = authority.issue_client("controller-manager", name, None)?;
    let path = control_plane.folder.join("controller-manager.kubeconfig");
    write_kubeconfig(
        control_plane,
        &path,
        name,
        &Credential::Certificate(&certificate),
    )?;
    let arguments = daemons::controller_manager();
    supervisor.run(CONTROLLER_MANAGER, &binaries.controller_manager, &arguments)?;
    // Its first work is to give each namespace a ServiceAccount.
    let first = ["get", "serviceaccount", "default", "--namespace=default"];
    let waited = supervisor.wait(CONTROLLER_MANAGER, READY_LIMIT, || {
        control_plane.run_kubectl(&first).is_ok()
    });
    supervisor.require(CONTROLLER_MANAGER, waited)
}

fn write_kubeconfig(
    control_plane: &ControlPlane,
    path: &Path,
    user: &str,
    credential: &Credential<'_>,
) -> Result<()> {
    let ca_file = control_plane.ca_file();
    kubeconfig::write(
        path,
        control_plane.server_url(),
        &ca_file,
        user,
        None,
        credential,
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_etcd_that_dies_after_it_listens_is_reported_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        // As with a full disk: the socket is there for longer than it takes to look at it, and stays.
        let program = folder.path().join("dying-etcd");
        let script =
            "#!/bin/sh\ntouch etcd.sock; sleep 0.5; echo no space left on device >&2; exit 2\n";
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let supervisor = Supervisor::start(folder.path(), Afterwards::Keep).unwrap();
        let mut binaries = Binaries::get().unwrap();
        binaries.etcd = program;
        let error = start_etcd(&supervisor, folder.path(), &binaries).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("etcd ended with exit code 2"), "{error}");
        assert!(error.contains("no space left on device"), "{error}");
    }

    #[test]
    fn etcd_is_asked_in_a_folder_with_a_long_name() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("long".repeat(40));
        fs::create_dir(&long).unwrap();
        let supervisor = Supervisor::start(&long, Afterwards::Keep).unwrap();
        start_etcd(&supervisor, &long, &Binaries::get().unwrap()).unwrap();
        assert!(etcd::is_healthy(&long).unwrap());
    }
}
