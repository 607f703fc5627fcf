//! What the controller does while parts of the cluster or of the network fail, and that it recovers by itself: on a real API
//! server and a real etcd, with the controller as a process and an emulator in Google's place.
//!
//! Tests that disturb the whole cluster have a control plane of their own ([`support::own_cluster`]); the others share one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

// The end-to-end tests use more of it.
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

mod api_proxy;
mod many_objects;
mod own_account;
mod preload;

mod api_priority;
mod api_server_restarted;
mod compaction;
mod crd_deleted;
mod dead_endpoint;
mod etcd_full;
mod far_future;
mod file_descriptors;
mod grant_for_many;
mod leader_clocks;
mod lost_event;
mod name_service;
mod namespace_deleted;
mod namespace_labels;
mod network_faults;
mod node_clock;
mod other_versions;
mod rights_revoked;
mod stalled_watch;
mod too_many_requests;
