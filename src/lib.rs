//! opcancel: stops Google long-running operations that are declared in Kubernetes, and tells truthfully how they ended.

pub mod api;
pub mod arguments;
mod backoff;
pub mod controller;
pub mod duration_text;
pub mod google;
pub mod lifecycle;
pub mod one_thread;
pub mod stop_signals;
pub mod telemetry;
