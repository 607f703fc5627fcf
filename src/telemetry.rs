//! Logs, metrics, and the admin server with `/livez`, `/readyz` and `/metrics`.
//!
//! Guarantees: no label value comes from an object or an answer; nothing in this module holds a token.

pub mod admin;
pub mod exposition;
mod families;
pub mod health;
mod json_line;
pub mod logs;
pub mod metrics;
#[cfg(test)]
mod metrics_tests;
pub mod pending;
mod process;
pub mod series;
mod throttled;
