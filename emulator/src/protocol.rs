//! What Google's API and the token services define, without any behaviour: paths, queries, forms, codes, web tokens.

pub(crate) mod bindings;
pub(crate) mod call;
pub(crate) mod form;
pub mod json_web_token;
pub(crate) mod query;
pub(crate) mod rpc_code;
