//! Changes while the emulator runs; the admin API offers the same to other processes.

use std::collections::BTreeMap;

use super::Emulator;
use crate::{
    operations::operation_view::OperationView,
    scenario::{
        FederatedTokens,
        connection_fault::ConnectionFault,
        consumer::Consumer,
        fault::Fault,
        latency::Latency,
        permission::Permission,
        script::{EndResult, Script},
    },
    shared::ChangeError,
};

impl Emulator {
    /// Creates an operation now, in place of one of the same name. A name that ends in `*` makes a template.
    ///
    /// # Errors
    /// [`ChangeError::Wrong`] for an invalid name or script.
    pub fn set_operation(&self, name: &str, script: Script) -> Result<(), ChangeError> {
        self.shared.set_operation(name, script)
    }

    /// Ends a running operation now.
    ///
    /// # Errors
    /// [`ChangeError`] if there is no such operation, if it is not running, or if the result is invalid.
    pub fn finish_operation(&self, name: &str, result: EndResult) -> Result<(), ChangeError> {
        self.shared.finish_operation(name, result)
    }

    /// Removes an operation for good: NOT_FOUND from now on, even if a template matches its name.
    ///
    /// # Errors
    /// [`ChangeError`] if there is no such operation, or if it is already absent.
    pub fn vanish_operation(&self, name: &str) -> Result<(), ChangeError> {
        self.shared.vanish_operation(name)
    }

    /// Removes an operation or a template; returns whether there was one.
    pub fn remove_operation(&self, name: &str) -> bool {
        self.shared.store.remove(name)
    }

    /// All operations that were created, by name.
    pub fn operations(&self) -> Vec<OperationView> {
        self.shared.store.views()
    }

    /// Replaces the faults of the whole endpoint and counts requests from 1 again; an empty list removes them.
    ///
    /// # Errors
    /// [`ChangeError::Wrong`] for an invalid fault.
    pub fn set_faults(&self, faults: Vec<Fault>) -> Result<(), ChangeError> {
        self.shared.set_faults(faults)
    }

    /// Replaces the permissions of the scenario. With `None`, everybody may make all calls.
    ///
    /// # Errors
    /// [`ChangeError::Wrong`] for an invalid permission.
    pub fn set_permissions(&self, permissions: Option<Vec<Permission>>) -> Result<(), ChangeError> {
        self.shared.set_permissions(permissions)
    }

    /// Replaces the consumer projects of the scenario, and resets their quotas.
    ///
    /// # Errors
    /// [`ChangeError::Wrong`] for an invalid project.
    pub fn set_consumers(&self, consumers: BTreeMap<String, Consumer>) -> Result<(), ChangeError> {
        self.shared.set_consumers(consumers)
    }

    /// Sets whether tokens of federated principals are accepted.
    pub fn set_federated_tokens(&self, federated_tokens: FederatedTokens) {
        self.shared.set_federated_tokens(federated_tokens);
    }

    /// Sets the delay of answers, except for operations whose script has its own.
    pub fn set_latency(&self, latency: Latency) {
        self.shared.set_latency(latency);
    }

    /// Replaces the faults of connections to the Operations API, and counts connections from 1 again; an empty list removes them.
    ///
    /// # Errors
    /// [`ChangeError::Wrong`] for an invalid rule.
    pub fn set_connection_faults(&self, faults: Vec<ConnectionFault>) -> Result<(), ChangeError> {
        self.shared.set_connection_faults(faults)
    }
}
