//! What a test changes while the emulator runs; the admin API does the same for other processes.

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
    /// [`ChangeError::Wrong`] for a name or a script that makes no sense.
    pub fn set_operation(&self, name: &str, script: Script) -> Result<(), ChangeError> {
        self.shared.set_operation(name, script)
    }

    /// Ends a running operation now.
    ///
    /// # Errors
    /// [`ChangeError`] if there is none, if it does not run, or if the result makes no sense.
    pub fn finish_operation(&self, name: &str, result: EndResult) -> Result<(), ChangeError> {
        self.shared.finish_operation(name, result)
    }

    /// Takes an operation away: NOT_FOUND from now on, also where a template would make a new one.
    ///
    /// # Errors
    /// [`ChangeError`] if there is none, or if it is absent already.
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

    /// Replaces the faults of the whole endpoint and counts their requests from 1 again; none ends them.
    ///
    /// # Errors
    /// [`ChangeError::Wrong`] for a fault that makes no sense.
    pub fn set_faults(&self, faults: Vec<Fault>) -> Result<(), ChangeError> {
        self.shared.set_faults(faults)
    }

    /// Replaces the permissions of the scenario; none: everybody may do everything.
    ///
    /// # Errors
    /// [`ChangeError::Wrong`] for a permission that makes no sense.
    pub fn set_permissions(&self, permissions: Option<Vec<Permission>>) -> Result<(), ChangeError> {
        self.shared.set_permissions(permissions)
    }

    /// Replaces the consumer projects of the scenario; what they used of their quota is forgotten.
    ///
    /// # Errors
    /// [`ChangeError::Wrong`] for a project that makes no sense.
    pub fn set_consumers(&self, consumers: BTreeMap<String, Consumer>) -> Result<(), ChangeError> {
        self.shared.set_consumers(consumers)
    }

    /// Says from now on whether tokens of federated principals are taken.
    pub fn set_federated_tokens(&self, federated_tokens: FederatedTokens) {
        self.shared.set_federated_tokens(federated_tokens);
    }

    /// Says how long answers take from now on, where an operation's script does not.
    pub fn set_latency(&self, latency: Latency) {
        self.shared.set_latency(latency);
    }

    /// Replaces what is wrong with connections to the Operations API, and counts them from 1 again; none ends it.
    ///
    /// # Errors
    /// [`ChangeError::Wrong`] for a rule that makes no sense.
    pub fn set_connection_faults(&self, faults: Vec<ConnectionFault>) -> Result<(), ChangeError> {
        self.shared.set_connection_faults(faults)
    }
}
