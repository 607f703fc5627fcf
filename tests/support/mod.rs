//! What the tests against a real API server share: the cluster, a controller process, and a world of both for each test.

pub mod all_outcomes;
pub mod cluster;
pub mod controller_process;
pub mod judges;
pub mod object;
pub mod own_cluster;
pub mod relay;
pub mod release;
pub mod served_metrics;
pub mod service_kinds;
pub mod simulated_life;
pub mod tls_server;
pub mod world;
