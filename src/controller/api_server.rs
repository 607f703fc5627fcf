//! Requests to the API server, and what its answers say.

pub mod api_answer;
pub mod json_sieve;
pub mod kube_client;
pub mod kube_error;
pub mod raw_object;
pub mod versions;
