//! What the Operations API looks at before it looks at an operation: the consumer project, the permission, the host; and
//! under which names it knows things.

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
    /// What a name gets whose operation is elsewhere.
    pub wrong_location: WrongLocation,
    /// Time that every answer takes.
    pub latency: Latency,
    /// The projects that requests are charged to, with what they have used.
    pub consumers: Arc<Consumers>,
    /// Who may call what; none: everybody everything.
    pub permissions: Option<Vec<Permission>>,
    /// Whether tokens of federated principals are taken.
    pub federated_tokens: FederatedTokens,
    endpoints: Vec<Endpoint>,
    project_names: ProjectNames,
    project_id: String,
    project_number: String,
}

impl Rules {
    /// Those of a scenario.
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

    /// Whether the API takes tokens of this principal at all.
    pub fn accepts_tokens_of(&self, principal: &str) -> bool {
        self.federated_tokens == FederatedTokens::Taken || !principal.starts_with("principal://")
    }

    /// The refusal of a request, in the order in which Google's layers come: consumer project, permission, host. It counts
    /// against a quota.
    pub fn refusal(
        &self,
        request: &Request<Bytes>,
        route: &Route,
        principal: &str,
    ) -> Option<Reply> {
        let named = request
            .headers()
            .get("x-goog-user-project")
            .map(HeaderValue::as_bytes)
            .map(String::from_utf8_lossy);
        self.consumers
            .refusal(route.call, principal, named.as_deref())
            .or_else(|| self.forbidden(request, route, principal))
    }

    /// The part of it that counts nothing: permission and host.
    pub fn forbidden(
        &self,
        request: &Request<Bytes>,
        route: &Route,
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
            return Some(denied(route.call, resource));
        }
        let message = wrong_host(&self.endpoints, host(request), resource)?;
        Some(Reply::error(RpcCode::InvalidArgument, &message, &[]))
    }

    /// The name under which an operation or parent is kept.
    pub fn stored_name(&self, name: &str) -> String {
        self.renamed(name, &self.project_number, &self.project_id)
    }

    /// The name under which answers show it.
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

/// The rules that hold now; an admin may change them while requests are under way, which go on with those that they met.
#[derive(Debug)]
pub struct LiveRules(RwLock<Arc<Rules>>);

impl LiveRules {
    /// These, for now.
    pub fn new(rules: Rules) -> Self {
        Self(RwLock::new(Arc::new(rules)))
    }

    /// Those that hold at this moment.
    pub fn now(&self) -> Arc<Rules> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes them, in one step.
    pub fn change(&self, change: impl FnOnce(&mut Rules)) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut current));
    }
}
