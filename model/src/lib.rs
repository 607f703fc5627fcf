//! The life cycle of the controller under a model checker: the sources of the controller, compiled with optimisation.
//!
//! The checker itself is `lifecycle::model`, in `src/lifecycle/tests/model.rs`.

#![allow(
    dead_code,
    missing_docs,
    unused_imports,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::derived_hash_with_manual_eq,
    reason = "it is a part of the controller, which uses and documents all of it, and tests"
)]

#[path = "../../src"]
mod source {
    pub mod api;
    pub mod backoff;
    /// The part of it that the life cycle needs.
    pub mod google {
        mod answers;
        pub mod catalogue;
        pub mod clean;
        mod names;
        pub mod quota;
        pub mod universe_domain;

        pub use self::{
            answers::{answer, error_table, proto_json, rpc_error},
            catalogue::endpoint,
            names::operation_name,
        };
    }
    pub mod lifecycle;
}

pub use source::{api, backoff, google, lifecycle};
