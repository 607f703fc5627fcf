//! What the project's tasks and its tests share: a real Kubernetes control plane on loopback.

pub mod control_plane;
