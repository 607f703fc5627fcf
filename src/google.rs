//! What this program knows about Google: the names of operations, the services and their hosts, who we are there,
//! the calls, what their answers mean, and how quotas slow us down.
//!
//! Guarantees: a token goes only to a host made from the [`catalogue`] and a validated location, or to an
//! administrator's [`endpoint`] override; what proves an identity goes only to the servers that its credential file names;
//! every text from outside went through [`clean`] before it leaves this module; nothing in here repeats a call by itself.
//! Knows nothing of Kubernetes.

mod answers;
mod byte_order_mark;
pub mod catalogue;
pub mod clean;
pub mod client;
mod connections;
pub mod identity;
mod names;
pub mod quota;
mod user_agent;

pub use self::{
    answers::{answer, error_table, proto_json, rpc_error},
    catalogue::endpoint,
    client::request_reason,
    connections::tls,
    identity::token,
    names::operation_name,
};
