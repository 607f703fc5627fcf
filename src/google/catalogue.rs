//! The services whose operations can be cancelled, and where the calls for an operation go.

pub mod endpoint;
mod service;
mod target;
mod unknown_name;

pub use self::{
    service::{
        CLOUD_PLATFORM, OperationForm, Right, Service, Version, service, service_names, services,
    },
    target::{ResolveError, Target, endpoint, read, resolve},
};
