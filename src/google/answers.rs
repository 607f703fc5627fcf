//! What Google's answers say: their JSON, the errors in it, and what each error means.

pub mod answer;
pub mod error_table;
mod json_scanner;
pub mod operation_json;
pub(super) mod operation_stream;
pub mod proto_json;
pub mod rpc_error;
