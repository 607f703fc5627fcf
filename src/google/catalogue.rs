//! The services whose operations can be cancelled, and where the calls for an operation go.

pub mod endpoint;
mod service;
mod target;

pub use self::{
    service::{
        SERVICES, Service, Version, default_scopes, service, service_names, sufficient_scopes,
    },
    target::{ResolveError, Target, read, resolve},
};
