//! A stand-in for a node: the Pods of real Deployments run as processes of this machine.
//!
//! The controller manager makes the Pods, and the API server admits them; what is played here is the
//! scheduler and the kubelet. A container is a process with the container's arguments, environment,
//! readiness probe and restarts, and with the rights of the Pod's own ServiceAccount token. `kubectl rollout
//! status`, `kubectl get pods`, `kubectl logs` and `kubectl delete pod` work as on a cluster.
//!
//! What a process cannot have is replaced where it is named: a mounted volume is a folder, and its
//! path in arguments, variables and ConfigMaps is that folder's; a Pod's address is a loopback
//! address of its own. Security contexts, limits and network policies are admitted, not enforced;
//! liveness is not probed, and each process has 20 s to end.

mod api;
mod container;
mod kubelet;
mod logs;
mod pod_status;
mod volumes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use anyhow::{Result, bail};

use crate::control_plane::{ControlPlane, Watch};
use api::Api;
use kubelet::{Kubelet, Message};

/// The name of the Node object.
pub const NODE_NAME: &str = "stand-in";

/// The labels of the Node object, which Pods may select.
fn labels() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("kubernetes.io/hostname", NODE_NAME),
        ("kubernetes.io/os", "linux"),
        // The image's, whatever this machine's is: a process of this machine stands for the image.
        ("kubernetes.io/arch", "amd64"),
        // What Pods that want GKE's workload identity select.
        ("iam.gke.io/gke-metadata-server-enabled", "true"),
    ])
}

/// What a node is started with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The programs that stand for images, by the image's name without registry and tag. A Pod with
    /// another image waits with `ErrImagePull`.
    pub images: BTreeMap<String, PathBuf>,
    /// Variables that every container gets, unless it sets them itself: where the stand-ins for
    /// Google are.
    pub variables: Vec<(String, String)>,
}

/// A running node; dropping it ends its processes.
#[derive(Debug)]
pub struct Node {
    messages: Sender<Message>,
    thread: Option<JoinHandle<()>>,
    /// `None` once it ends.
    watch: Option<Watch>,
    logs: logs::LogServer,
}

impl Node {
    /// Registers the node, and runs from now on whatever Pod fits it.
    ///
    /// # Errors
    /// When another process runs the control plane, or the API server refuses the Node.
    pub fn start(control_plane: &ControlPlane, options: Options) -> Result<Self> {
        let logs = logs::LogServer::start(control_plane.folder())?;
        let api = Api::new(control_plane);
        api.register(logs.port())?;
        let (messages, received) = mpsc::channel();
        let watch = api.watch_pods(messages.clone())?;
        let supervisor = control_plane.supervisor_handle()?;
        let kubelet = Kubelet::new(api, supervisor, options, logs.containers());
        let thread = std::thread::spawn(move || kubelet.run(&received));
        Ok(Self {
            messages,
            thread: Some(thread),
            watch: Some(watch),
            logs,
        })
    }

    /// Fails, with the end of its log, if a container's process has ended by itself, or if the node has.
    ///
    /// # Errors
    /// When one has.
    pub fn check(&self) -> Result<()> {
        self.check_itself()?;
        self.logs.containers().check()
    }

    /// Fails if the node has ended. What it runs may come and go.
    ///
    /// # Errors
    /// When it has.
    pub fn check_itself(&self) -> Result<()> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            bail!("the stand-in for a node has ended: the API server ended its watch of Pods");
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.watch = None;
        let _gone = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
