//! An emulator of `google.longrunning.Operations` over REST, with GKE's metadata server and Google's token services beside it, scripted by
//! scenarios. For tests in-process ([`Emulator::start`]) and, as the binary `operations-emulator`, for trying a
//! GitOps repository without a Google project.
//!
//! How it is built: [`operation`] is the life of one operation, pure. [`store`] holds them by name. The services
//! (`operations_service`, `metadata_server`, `credential_services`) turn a request into a [`reply::Reply`]; `transport` carries it. `admin`
//! and [`Emulator`] are two doors to the same store and [`record`].

pub mod call;
pub mod connection_fault;
pub mod consumers;
pub mod content;
pub mod credentials;
pub mod duration_text;
pub mod endpoints;
pub mod fault;
pub mod fault_answer;
pub mod json_web_token;
pub mod latency;
pub mod listing;
pub mod operation;
pub mod operation_view;
pub mod permissions;
pub mod record;
pub mod reply;
pub mod rpc_code;
pub mod scenario;
pub mod script;
pub mod shown;
pub mod store;
pub mod tokens;

mod admin;
mod admin_guard;
mod admin_refusal;
mod config;
mod credential_services;
mod emulator;
mod fates;
mod form;
mod iam_credentials;
mod metadata_server;
mod oauth;
mod operation_json;
mod operations_service;
mod page;
mod query;
mod rules;
mod scenario_check;
mod scenario_schema;
mod self_signed;
mod shared;
mod sts;
mod timed_out;
mod transport;

#[cfg(test)]
mod contract_tests;

pub use call::Call;
pub use config::{Addresses, Config, StartError};
pub use connection_fault::{Certificate, ConnectionAnswer, ConnectionFault};
pub use consumers::{Consumer, PerMinute};
pub use credentials::Credentials;
pub use emulator::Emulator;
pub use endpoints::{Endpoint, ProjectNames, WrongLocation};
pub use fault::{Fault, FaultCall};
pub use fault_answer::{Deep, Drip, ErrorInfo, FaultAnswer, GoAway, RawAnswer, Refusal, Truncated};
pub use latency::Latency;
pub use listing::Lists;
pub use operation_view::OperationView;
pub use permissions::Permission;
pub use record::{Answer, Authorization, RequestRecord};
pub use rpc_code::RpcCode;
pub use scenario::{FederatedTokens, Identity, Scenario, ScenarioError, UnknownOperations};
pub use scenario_schema::scenario_schema;
pub use script::{
    CancelAnswer, CancelBehaviour, CancelEffect, EndResult, Ending, Failure, MetadataScript,
    Response, Script, Vanishing,
};
pub use shared::ChangeError;
pub use timed_out::TimedOut;
pub use tokens::IssuedToken;
pub use transport::tls::TlsError;
