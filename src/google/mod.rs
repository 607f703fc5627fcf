//! What this program knows about Google: the names of operations, the services and their hosts, who we are there,
//! the calls, what their answers mean, and how quotas slow us down.
//!
//! Guarantees: a token goes only to a host made from the [`catalogue`] and a validated location, or to an
//! administrator's [`endpoint`] override; what proves an identity goes only to the servers that its credential file names;
//! every text from outside went through [`clean`] before it leaves this module; nothing in here repeats a call by itself.
//! Knows nothing of Kubernetes.

pub mod answer;
mod byte_order_mark;
pub mod catalogue;
pub mod clean;
pub mod client;
mod connection;
mod connections;
mod connector;
pub mod endpoint;
pub mod error_table;
mod hosts_without_address;
pub mod identity;
mod json_scanner;
mod known_endpoints;
mod name_pattern;
mod network_error;
pub mod operation_json;
pub mod operation_name;
mod operation_stream;
mod pasted_name;
pub mod proto_json;
pub mod quota;
pub mod request_reason;
pub mod request_url;
pub mod rpc_error;
pub mod tls;
pub mod token;
