//! The changes, from a watch of the API server.

use std::sync::mpsc::{self, Receiver};

use anyhow::Result;
use serde::Deserialize;
use xtask::control_plane::{self, ControlPlane};

use super::examples::Key;
use super::state::State;

/// The OperationCancellations of all namespaces.
const PATH: &str = "/apis/opcancel.github.io/v1alpha1/operationcancellations";

/// One change of one object.
pub(super) struct Change {
    pub(super) key: Key,
    pub(super) state: State,
}

/// A running watch; dropping it ends it.
pub(super) struct Watch {
    /// The changes in their order; it is closed when the watch ends.
    pub(super) changes: Receiver<Change>,
    _watch: control_plane::Watch,
}

impl Watch {
    /// Watches the OperationCancellations of all namespaces.
    pub(super) fn start(control_plane: &ControlPlane) -> Result<Self> {
        let (sender, changes) = mpsc::channel();
        let watch = control_plane.watch(PATH, move |event| {
            let Some(event) = event else { return false };
            let Ok(object) = serde_json::from_value::<Object>(event.object.clone()) else {
                return true;
            };
            let state = match event.kind.as_str() {
                "DELETED" => State::unseen(),
                _ => State::of(&event.object),
            };
            let key = object.metadata;
            sender.send(Change { key, state }).is_ok()
        })?;
        Ok(Self {
            changes,
            _watch: watch,
        })
    }
}

#[derive(Deserialize)]
struct Object {
    metadata: Key,
}
