//! What a node asks of the API server, through kubectl.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::Sender;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::kubelet::Message;
use super::{NODE_NAME, labels};
use crate::control_plane::{ControlPlane, Watch, WatchEvent, client};

/// How long the token of a Pod lives, in seconds: longer than any run.
const TOKEN_SECONDS: u64 = 24 * 60 * 60;

/// The API server, as the node sees it.
#[derive(Clone, Debug)]
pub(super) struct Api {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    /// The control plane's folder.
    pub(super) folder: PathBuf,
    pub(super) server_url: String,
    pub(super) ca_file: PathBuf,
}

impl Api {
    pub(super) fn new(control_plane: &ControlPlane) -> Self {
        Self {
            kubectl: control_plane.kubectl().to_owned(),
            kubeconfig: control_plane.kubeconfig(),
            folder: control_plane.folder().to_owned(),
            server_url: control_plane.server_url().to_owned(),
            ca_file: control_plane.ca_file(),
        }
    }

    fn command(&self) -> Command {
        client::command(&self.kubectl, &self.kubeconfig)
    }

    /// Makes the Node object, ready, whose logs are served on `port`.
    pub(super) fn register(&self, port: u16) -> Result<()> {
        let node = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": NODE_NAME, "labels": labels()},
        });
        client::fed(
            self.command().args(["apply", "--filename=-"]),
            &node.to_string(),
        )?;
        let status = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "StandIn",
                "message": "Pods run as processes on loopback",
            }],
            "nodeInfo": {
                "kubeletVersion": "stand-in", "operatingSystem": "linux", "architecture": "",
                "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
                "machineID": "", "osImage": "", "systemUUID": "",
            },
        }});
        self.patch_status(&["node", NODE_NAME], &status)
    }

    /// Merges `patch` into the status of an object.
    pub(super) fn patch_status(&self, object: &[&str], patch: &Value) -> Result<()> {
        let mut command = self.command();
        command
            .arg("patch")
            .args(object)
            .args(["--subresource=status", "--type=merge"]);
        client::output(command.args(["--patch", &patch.to_string()]))?;
        Ok(())
    }

    /// Says that a Pod runs on this node.
    pub(super) fn bind(&self, pod: &PodName, node: &str) -> Result<()> {
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        self.create_raw(&format!("{}/binding", pod.path()), &binding)?;
        Ok(())
    }

    /// Deletes a Pod whose processes are gone.
    pub(super) fn forget(&self, pod: &PodName) -> Result<()> {
        let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid}});
        let mut command = self.command();
        command.args(["delete", "--raw", &pod.path(), "--filename=-"]);
        client::fed(&mut command, &options.to_string())?;
        Ok(())
    }

    /// A token of the Pod's ServiceAccount, bound to the Pod; for the API server without `audience`.
    pub(super) fn token(
        &self,
        pod: &PodName,
        account: &str,
        audience: Option<&str>,
    ) -> Result<String> {
        #[derive(Deserialize)]
        struct Answer {
            status: Status,
        }
        #[derive(Deserialize)]
        struct Status {
            token: String,
        }
        let audiences: Vec<&str> = audience.into_iter().collect();
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {
                "audiences": audiences,
                "expirationSeconds": TOKEN_SECONDS,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid},
            },
        });
        let path = format!(
            "/api/v1/namespaces/{}/serviceaccounts/{account}/token",
            pod.namespace
        );
        let answer: Answer = serde_json::from_str(&self.create_raw(&path, &request)?)?;
        Ok(answer.status.token)
    }

    /// A ConfigMap of the Pod's namespace.
    pub(super) fn config_map(&self, namespace: &str, name: &str) -> Result<ConfigMap> {
        self.get(namespace, "configmap", name)
    }

    /// A Secret of the Pod's namespace.
    pub(super) fn secret(&self, namespace: &str, name: &str) -> Result<Secret> {
        self.get(namespace, "secret", name)
    }

    fn get<T: DeserializeOwned>(&self, namespace: &str, kind: &str, name: &str) -> Result<T> {
        let mut command = self.command();
        let json = client::output(command.args([
            "get",
            kind,
            name,
            "--output=json",
            "--namespace",
            namespace,
        ]))?;
        serde_json::from_str(&json).with_context(|| format!("{kind} {name}"))
    }

    fn create_raw(&self, path: &str, body: &Value) -> Result<String> {
        client::fed(
            self.command()
                .args(["create", "--raw", path, "--filename=-"]),
            &body.to_string(),
        )
    }

    /// Sends every change of every Pod, those that are there first.
    pub(super) fn watch_pods(&self, messages: Sender<Message>) -> Result<Watch> {
        let message = |event: WatchEvent| {
            let pod = serde_json::from_value::<Pod>(event.object)
                .ok()
                .map(Box::new)?;
            Some(match event.kind.as_str() {
                "DELETED" => Message::Gone(pod),
                _ => Message::Seen(pod),
            })
        };
        client::watch(self.command(), "/api/v1/pods", move |event| {
            let Some(event) = event else {
                return messages.send(Message::Stop).is_ok();
            };
            message(event).is_none_or(|message| messages.send(message).is_ok())
        })
    }
}

/// Which Pod, this very one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodName {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

impl PodName {
    /// `None` for what no API server gives.
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        Some(Self {
            namespace: pod.metadata.namespace.clone()?,
            name: pod.metadata.name.clone()?,
            uid: pod.metadata.uid.clone()?,
        })
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods/{}", self.namespace, self.name)
    }

    /// The folder of what the Pod mounts.
    pub(super) fn folder(&self, folder: &Path) -> PathBuf {
        folder.join("pods").join(&self.uid)
    }
}
