//! What the project's tasks and its tests share: a real Kubernetes control plane on loopback, a stand-in for a node of it,
//! the generated files of `deploy/`, programs that are built once or come in packages, promtool, and a browser.

pub mod browser;
pub mod catalogue;
pub mod chart_values;
pub mod control_plane;
pub mod debian_packages;
pub mod deploy_files;
pub mod go_tool;
pub mod loopback_http;
pub mod node;
pub mod official_clients;
pub mod promtool;
pub mod user_cache;
