//! What changes, as a watch of the API server tells any client.

use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use xtask::control_plane::ControlPlane;

use super::examples::Key;
use super::state::State;

/// The watch of all OperationCancellations, those that are there first. Asked for as it is, because
/// `kubectl get --watch` looks for the resource first, and misses the first second.
const EVENTS: &str = "/apis/opcancel.github.io/v1alpha1/operationcancellations?watch=true";

/// One change of one object.
pub(super) struct Change {
    pub(super) key: Key,
    pub(super) state: State,
}

/// A running watch; dropping it ends it.
pub(super) struct Watch {
    kubectl: Child,
    /// The changes in their order; it is closed when the watch ends.
    pub(super) changes: Receiver<Change>,
}

impl Watch {
    /// Watches the OperationCancellations of all namespaces.
    pub(super) fn start(control_plane: &ControlPlane) -> Result<Self> {
        let mut kubectl = control_plane
            .kubectl_command()
            .args(["get", "--raw", EVENTS])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // That it ended is told; when all ends, its own words are noise.
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run kubectl")?;
        let output = kubectl.stdout.take().context("kubectl has no output")?;
        let (sender, changes) = mpsc::channel();
        std::thread::spawn(move || {
            let events = serde_json::Deserializer::from_reader(std::io::BufReader::new(output));
            // What cannot be read ends the watch, and that is told.
            for event in events.into_iter::<Event>().map_while(Result::ok) {
                let Ok(object) = serde_json::from_value::<Object>(event.object.clone()) else {
                    continue;
                };
                let state = match event.kind.as_str() {
                    "DELETED" => State::unseen(),
                    _ => State::of(&event.object),
                };
                let change = Change {
                    key: object.metadata,
                    state,
                };
                if sender.send(change).is_err() {
                    break;
                }
            }
        });
        Ok(Self { kubectl, changes })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ended = self.kubectl.kill();
        let _waited = self.kubectl.wait();
    }
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

#[derive(Deserialize)]
struct Object {
    metadata: Key,
}
