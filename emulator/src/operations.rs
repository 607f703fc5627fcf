//! The Operations API: the life of each operation, the rules that come before it, and the service that answers.

pub(crate) mod consumers;
pub(crate) mod endpoints;
pub(crate) mod listing;
pub(crate) mod operation;
pub(crate) mod operation_json;
pub(crate) mod operation_view;
pub(crate) mod permissions;
pub(crate) mod rules;
pub(crate) mod service;
pub(crate) mod store;

#[cfg(test)]
mod contract_tests;
