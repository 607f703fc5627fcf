//! Google's side: names of operations, services and their hosts, identities, calls, the meaning of answers, and quotas.
//!
//! Guarantees: a token is sent only to a host made from the [`catalogue`] and a valid location, or to an administrator's
//! [`mod@endpoint`] override; proofs of an identity are sent only to the servers that its credential file names; every text from outside
//! is [`clean`]ed before it leaves this module; no call is repeated here. The module does not use Kubernetes.

mod answers;
mod byte_order_mark;
pub mod catalogue;
pub mod clean;
pub mod client;
mod connections;
pub mod identity;
mod names;
pub mod quota;
mod text_file;
mod universe_domain;
mod user_agent;

pub use self::{
    answers::{answer, error_table, operation_json, proto_json, rpc_error},
    catalogue::endpoint,
    client::request_reason,
    connections::{proxy, tls},
    identity::token,
    names::operation_name,
    universe_domain::UniverseDomain,
};
