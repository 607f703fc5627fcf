//! The state that the servers of one emulator share, and its changes from tests and from the admin API. The checks of these
//! changes are here, for both.

use std::{collections::BTreeMap, sync::Arc};

use http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::{
    operations::{consumers::Consumers, rules::LiveRules, store::Store},
    record::{Record, Timeline},
    scenario::{
        FederatedTokens, check,
        connection_fault::{ConnectionFault, ConnectionFaults},
        consumer::Consumer,
        error::ScenarioError,
        fault::Fault,
        latency::Latency,
        permission::Permission,
        script::{EndResult, Script},
    },
    tokens::Tokens,
};

/// Why a change from outside was refused.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The script, fault or name is invalid.
    #[error("{}", .0.details())]
    Wrong(#[from] ScenarioError),
    /// No operation of this name has been created.
    #[error(
        "there is no operation {0:?}; add it to the scenario, set it, or let a permitted client ask for it once if it has a template"
    )]
    NoOperation(String),
    /// The operation is absent already, so it cannot vanish.
    #[error("the operation {0:?} is absent already")]
    Absent(String),
    /// The operation does not run, so it cannot be finished.
    #[error("the operation {0:?} is done or absent; a result never changes")]
    NotRunning(String),
}

impl ChangeError {
    /// The HTTP status in answers of the admin API and of the web page.
    pub(crate) fn http_status(&self) -> StatusCode {
        match self {
            Self::Wrong(_) => StatusCode::BAD_REQUEST,
            Self::NoOperation(_) => StatusCode::NOT_FOUND,
            Self::NotRunning(_) | Self::Absent(_) => StatusCode::CONFLICT,
        }
    }
}

/// The state that all servers of one emulator share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) requests: Arc<Record>,
    pub(crate) metadata_requests: Arc<Record>,
    pub(crate) credentials_requests: Arc<Record>,
    pub(crate) connections: Arc<ConnectionFaults>,
    pub(crate) rules: Arc<LiveRules>,
    /// The certificate of the authority (PEM), if TLS is on.
    pub(crate) authority: Option<String>,
    pub(crate) stop: CancellationToken,
}

impl Shared {
    pub(crate) fn set_operation(&self, name: &str, script: Script) -> Result<(), ChangeError> {
        check::to_result(check::operation(name, &script))?;
        self.store.set(name, script);
        Ok(())
    }

    pub(crate) fn finish_operation(
        &self,
        name: &str,
        result: EndResult,
    ) -> Result<(), ChangeError> {
        check::to_result(check::result("result", &result))?;
        match self.store.finish(name, result) {
            Some(true) => Ok(()),
            Some(false) => Err(ChangeError::NotRunning(name.to_owned())),
            None => Err(ChangeError::NoOperation(name.to_owned())),
        }
    }

    pub(crate) fn vanish_operation(&self, name: &str) -> Result<(), ChangeError> {
        match self.store.vanish(name) {
            Some(true) => Ok(()),
            Some(false) => Err(ChangeError::Absent(name.to_owned())),
            None => Err(ChangeError::NoOperation(name.to_owned())),
        }
    }

    pub(crate) fn set_permissions(
        &self,
        permissions: Option<Vec<Permission>>,
    ) -> Result<(), ChangeError> {
        if let Some(permissions) = &permissions {
            check::to_result(check::permissions(permissions))?;
        }
        self.rules.change(|rules| rules.permissions = permissions);
        Ok(())
    }

    pub(crate) fn set_consumers(
        &self,
        consumers: BTreeMap<String, Consumer>,
    ) -> Result<(), ChangeError> {
        check::to_result(check::consumers(&consumers))?;
        let consumers = Arc::new(Consumers::new(consumers));
        self.rules.change(|rules| rules.consumers = consumers);
        Ok(())
    }

    pub(crate) fn set_federated_tokens(&self, federated_tokens: FederatedTokens) {
        self.rules
            .change(|rules| rules.federated_tokens = federated_tokens);
    }

    pub(crate) fn set_latency(&self, latency: Latency) {
        self.rules.change(|rules| rules.latency = latency);
    }

    pub(crate) fn set_faults(&self, faults: Vec<Fault>) -> Result<(), ChangeError> {
        check::to_result(check::faults("faults", &faults))?;
        self.store.set_faults(faults);
        Ok(())
    }

    pub(crate) fn set_connection_faults(
        &self,
        faults: Vec<ConnectionFault>,
    ) -> Result<(), ChangeError> {
        check::to_result(check::connections("connections", &faults))?;
        self.connections.set(faults);
        Ok(())
    }

    pub(crate) fn clear_requests(&self) {
        self.requests.clear();
        self.metadata_requests.clear();
        self.credentials_requests.clear();
    }
}
