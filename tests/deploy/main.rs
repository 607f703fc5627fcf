//! What `deploy/` holds: that its files are current and agree with each other and with the program, and that a real API
//! server, the cluster's own roles and the controller itself take what is rendered.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the end-to-end tests use the rest")]
mod support;

mod admission;
mod applied;
mod argo_diff;
mod chart;
mod chart_installed;
mod chart_values;
mod consistency;
mod kustomizations;
mod people;
mod rendered;
mod replicas;
mod rights_used;
mod service_accounts;
