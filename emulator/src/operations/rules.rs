//! The checks of the Operations API before it looks for an operation: consumer project, permission, host. Also the translation
//! between requested, stored and returned names.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::{HeaderValue, Request};

use crate::{
    operations::{
        consumers::Consumers,
        endpoints::{in_project, wrong_host},
        listing::Listing,
        permissions::{allowed, denied},
    },
    protocol::{
        bindings::Binding,
        call::{Route, host},
        rpc_code::RpcCode,
    },
    scenario::{
        FederatedTokens, Scenario,
        endpoint::{Endpoint, ProjectNames, WrongLocation},
        latency::Latency,
        permission::Permission,
    },
    transport::reply::Reply,
};

/// The rules of one emulator.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How lists behave.
    pub listing: Listing,
    /// The answer to a name whose operation is at another location.
    pub wrong_location: WrongLocation,
    /// Delay of every answer.
    pub latency: Latency,
    /// The projects that requests count against, with their usage.
    pub consumers: Arc<Consumers>,
    /// Who may make which calls; `None`: everybody may make all.
    pub permissions: Option<Vec<Permission>>,
    /// Whether tokens of federated principals are accepted.
    pub federated_tokens: FederatedTokens,
    endpoints: Vec<Endpoint>,
    project_names: ProjectNames,
    project_id: String,
    project_number: String,
}

impl Rules {
    /// The rules of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            listing: Listing::new(scenario.lists.clone()),
            wrong_location: scenario.wrong_location,
            latency: scenario.latency,
            consumers: Arc::new(Consumers::new(scenario.consumers.clone())),
            permissions: scenario.permissions.clone(),
            endpoints: scenario.endpoints.clone(),
            federated_tokens: scenario.federated_tokens,
            project_names: scenario.project_names,
            project_id: scenario.identity.project_id.clone(),
            project_number: scenario.identity.project_number.clone(),
        }
    }

    /// Whether the API accepts tokens of this principal.
    pub fn accepts_tokens_of(&self, principal: &str) -> bool {
        self.federated_tokens == FederatedTokens::Taken || !principal.starts_with("principal://")
    }

    /// The refusal of a request, in the order of Google's layers: consumer project, permission, host. The request counts
    /// against a quota.
    pub fn refusal(
        &self,
        request: &Request<Bytes>,
        route: &Route,
        binding: &Binding,
        principal: &str,
    ) -> Option<Reply> {
        let named = request
            .headers()
            .get("x-goog-user-project")
            .map(HeaderValue::as_bytes)
            .map(String::from_utf8_lossy);
        self.consumers
            .refusal(binding.service, route.call, principal, named.as_deref())
            .or_else(|| self.forbidden(request, route, binding, principal))
    }

    /// The refusal for permission or host, which counts against no quota.
    pub fn forbidden(
        &self,
        request: &Request<Bytes>,
        route: &Route,
        binding: &Binding,
        principal: &str,
    ) -> Option<Reply> {
        let resource = &route.operation;
        if let Some(permissions) = &self.permissions
            && !allowed(
                permissions,
                principal,
                route.call,
                &self.stored_name(resource),
            )
        {
            return Some(denied(binding.service, route.call, resource));
        }
        let message = wrong_host(binding.host, &self.endpoints, host(request), resource)?;
        Some(Reply::error(RpcCode::InvalidArgument, &message, &[]))
    }

    /// The name under which an operation or parent is stored.
    pub fn stored_name(&self, name: &str) -> String {
        self.renamed(name, &self.project_number, &self.project_id)
    }

    /// The name of an operation or parent in answers.
    pub fn name_in_answers(&self, name: &str) -> String {
        self.renamed(name, &self.project_id, &self.project_number)
    }

    fn renamed(&self, name: &str, from: &str, to: &str) -> String {
        let renamed = match self.project_names {
            ProjectNames::AsAsked => None,
            ProjectNames::Number => in_project(name, from, to),
        };
        renamed.unwrap_or_else(|| name.to_owned())
    }
}

/// The current rules. An admin may change them; pending requests continue with the rules of their arrival.
#[derive(Debug)]
pub struct LiveRules(RwLock<Arc<Rules>>);

impl LiveRules {
    /// Starts with these rules.
    pub fn new(rules: Rules) -> Self {
        Self(RwLock::new(Arc::new(rules)))
    }

    /// The current rules.
    pub fn now(&self) -> Arc<Rules> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the rules in one step.
    pub fn change(&self, change: impl FnOnce(&mut Rules)) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut current));
    }
}
