//! Makes the calls to Google: grant, quota, token, grant again, call.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    api::IdentityKind,
    controller::{
        clock::{Clock, milliseconds},
        grants::book::{GrantBook, Unit},
        queue::lanes::Method,
        service_accounts::tenant_tokens::{AtHand, TenantTokens},
    },
    google::{
        answer::{CallError, ErrorKind},
        catalogue::Target,
        client::OperationsClient,
        endpoint::EndpointOverrides,
        quota::{Allowance, Caller, Quotas, Share},
        request_reason::RequestReason,
        token::{Token, TokenError, TokenSource},
    },
    lifecycle::{Event, ObjectView},
    telemetry::metrics::Metrics,
};

/// What stands for the operator's identity before Google's name for it is known.
const UNKNOWN_PRINCIPAL: &str = "operator";

/// Makes the calls. There is one for the whole process.
pub struct Calls {
    /// The HTTP side.
    pub client: OperationsClient,
    /// The operator's own identity.
    pub tokens: Arc<dyn TokenSource>,
    /// The identities of tenants' ServiceAccounts, if an administrator has allowed them.
    pub tenants: Option<TenantTokens>,
    /// The grants.
    pub grants: GrantBook,
    /// `--endpoint-override`.
    pub overrides: EndpointOverrides,
    /// `--cluster-name`, may be empty.
    pub cluster: String,
    /// The clocks.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The exhausted quotas.
    pub quotas: Mutex<Quotas>,
}

/// Which operation to call, and for which object: all of it comes from one object (I5).
#[derive(Clone, Debug)]
pub struct Address {
    namespace: String,
    /// The ServiceAccount whose identity makes the call; the operator's identity if there is none.
    service_account: Option<String>,
    target: Target,
    reason: RequestReason,
}

/// The answer to a call.
#[derive(Debug)]
pub struct CallAnswer {
    /// The event for the life cycle.
    pub event: Event,
    /// The token, if Google did not accept it.
    pub refused: Option<Token>,
}

/// Why a call was not made.
enum NotMade {
    /// No grant allows it.
    Withheld,
    /// No token.
    NoToken(CallError),
}

impl Address {
    /// The ServiceAccount that makes the call, with its namespace.
    fn requester(&self) -> Option<(&str, &str)> {
        let name = self.service_account.as_deref()?;
        Some((&self.namespace, name))
    }
}

impl From<Event> for CallAnswer {
    /// No token was refused.
    fn from(event: Event) -> Self {
        Self {
            event,
            refused: None,
        }
    }
}

impl Calls {
    /// The address of an object; `None` if its target is not known. The life cycle never makes a call then.
    pub fn address(&self, object: &ObjectView) -> Option<Address> {
        let spec = object.spec.as_ref().ok()?;
        let target = spec.target.as_ref().ok()?;
        Some(Address {
            namespace: object.namespace.clone(),
            service_account: spec.service_account_name.clone(),
            target: target.clone(),
            reason: RequestReason::new(&self.cluster, &object.namespace, &object.name, &object.uid),
        })
    }

    /// What has to be done before the call if the token of its ServiceAccount is not at hand. Nothing is done for a call that no
    /// grant allows. The ServiceAccount must have been read since `since`.
    pub fn missing_token(
        &self,
        address: &Address,
        since: Duration,
    ) -> Option<impl Future<Output = Result<(), TokenError>> + Send + 'static> {
        let name = address.service_account.as_deref()?;
        let tenants = self.tenants.as_ref().filter(|_| self.allowed(address))?;
        match tenants.at_hand(&address.namespace, name, since) {
            AtHand::Nothing => Some(tenants.obtain(&address.namespace, name, since)),
            AtHand::Token(_) | AtHand::Failed(_) => None,
        }
    }

    /// While the intent of a cancel request is written, its ServiceAccount is read and a token is fetched if there is none. Returns
    /// when that began.
    pub fn request_token(&self, object: &ObjectView) -> Option<Duration> {
        let since = self.clock.mono();
        let missing = self.missing_token(&self.address(object)?, since)?;
        // If it fails, the cancel request will show that.
        tokio::spawn(async { drop(missing.await) });
        Some(since)
    }

    /// The namespace and the endpoint for which a call of the object counts. `None` as in [`Calls::address`].
    pub fn owner(object: &ObjectView) -> Option<(&str, &str)> {
        Some((&object.namespace, &target_of(object)?.endpoint))
    }

    /// Makes a call. `large` is notified once if the answer is large. A cancel request is not sent if it is `withdrawn` before. The
    /// ServiceAccount must have been read since `since`.
    pub async fn make(
        &self,
        address: &Address,
        method: Method,
        since: Duration,
        large: &Notify,
        withdrawn: &CancellationToken,
    ) -> CallAnswer {
        match method {
            Method::Get {
                regardless_of_quota,
            } => self.get(address, regardless_of_quota, since, large).await,
            Method::Cancel => self.cancel(address, since, withdrawn).await,
        }
    }

    async fn get(
        &self,
        address: &Address,
        regardless_of_quota: bool,
        since: Duration,
        large: &Notify,
    ) -> CallAnswer {
        let caller = self.caller(&address.target, address.requester());
        if !regardless_of_quota && self.are_gets_held(&caller, &address.namespace) {
            return Event::GetWithheld.into();
        }
        let token = match self.token(address, since).await {
            Ok(token) => token,
            Err(NotMade::Withheld) => {
                tracing::debug!(call = "Get", "not made: no grant allows it");
                return Event::GetWithheld.into();
            }
            Err(NotMade::NoToken(error)) => {
                tracing::debug!(call = "Get", "not made: {}", error.message);
                return Event::GetAnswered(Err(error)).into();
            }
        };
        let begun = Instant::now();
        self.quotas().begin(Share::Get, &caller, self.clock.mono());
        let answer = self
            .client
            .get_and_notify(
                &address.target,
                &address.reason,
                &token,
                self.clock.system_time(),
                large,
            )
            .await;
        let what = answer
            .as_ref()
            .map(|operation| if operation.done { "done" } else { "not done" });
        let refused = self.note(Share::Get, &caller, what, begun.elapsed(), token);
        CallAnswer {
            event: Event::GetAnswered(answer),
            refused,
        }
    }

    /// The intent is recorded, so a quota that was exhausted since then does not hold the request back. `withdrawn` does until
    /// it is sent: while it waits for a token and a connection, a GET may show that the operation is done.
    async fn cancel(
        &self,
        address: &Address,
        since: Duration,
        withdrawn: &CancellationToken,
    ) -> CallAnswer {
        let token = tokio::select! {
            biased;
            () = withdrawn.cancelled() => return not_sent("it is no longer needed"),
            token = self.token(address, since) => token,
        };
        let token = match token {
            Ok(token) => token,
            Err(NotMade::Withheld) => return not_sent("no grant allows it"),
            Err(NotMade::NoToken(error)) => {
                tracing::debug!(call = "Cancel", "not made: {}", error.message);
                return Event::CancelAnswered(Err(error)).into();
            }
        };
        let caller = self.caller(&address.target, address.requester());
        let begun = Instant::now();
        self.quotas().begin(Share::Post, &caller, self.clock.mono());
        let answer = self.client.cancel_unless(
            &address.target,
            &address.reason,
            &token,
            self.clock.system_time(),
            withdrawn.cancelled(),
        );
        let Ok(answer) = answer.await else {
            return not_sent("it is no longer needed");
        };
        let what = answer.as_ref().map(|()| "taken");
        let refused = self.note(Share::Post, &caller, what, begun.elapsed(), token);
        CallAnswer {
            event: Event::CancelAnswered(answer),
            refused,
        }
    }

    /// Which of an object's calls the quotas allow now.
    pub fn allowance(&self, object: &ObjectView) -> Allowance {
        let quotas = self.quotas();
        if quotas.is_empty() {
            return Allowance::default();
        }
        self.caller_for(object)
            .map(|caller| quotas.allowance(&caller, &object.namespace, self.clock.mono()))
            .unwrap_or_default()
    }

    /// Reserves the next poll of an object.
    pub fn reserve_poll(&self, object: &ObjectView) {
        if let Some(caller) = self.caller_for(object) {
            self.quotas()
                .reserve_poll(&caller, &object.namespace, self.clock.mono());
        }
    }

    fn caller_for(&self, object: &ObjectView) -> Option<Caller> {
        Some(self.caller(target_of(object)?, requester_of(object)))
    }

    /// Google's name for the identity that makes the calls of an object, if it is known.
    pub fn principal_of(&self, object: &ObjectView) -> Option<String> {
        match requester_of(object) {
            None => self.tokens.principal(),
            Some((namespace, name)) => self.tenants.as_ref()?.principal(namespace, name),
        }
    }

    /// Google refused this token.
    pub fn refused(&self, token: &Token) {
        match &self.tenants {
            Some(tenants) if token.is_of_tenant() => tenants.refused(token),
            _ => self.tokens.refused(token),
        }
    }

    fn quotas(&self) -> MutexGuard<'_, Quotas> {
        self.quotas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token, if a grant allows the call both before and after it was fetched.
    async fn token(&self, address: &Address, since: Duration) -> Result<Token, NotMade> {
        if !self.allowed(address) {
            return Err(NotMade::Withheld);
        }
        let token = match &address.service_account {
            None => self.tokens.token().await,
            Some(name) => self.token_of(&address.namespace, name, since),
        };
        let token = token.map_err(|error| NotMade::NoToken(error.into()))?;
        if self.allowed(address) {
            Ok(token)
        } else {
            Err(NotMade::Withheld)
        }
    }

    /// The token of a ServiceAccount. No failure leads to another identity.
    fn token_of(&self, namespace: &str, name: &str, since: Duration) -> Result<Token, TokenError> {
        let at_hand = self
            .tenants
            .as_ref()
            .map(|tenants| tenants.at_hand(namespace, name, since));
        match at_hand {
            Some(AtHand::Token(token)) => Ok(token),
            Some(AtHand::Failed(error)) => Err(error),
            Some(AtHand::Nothing) => Err(TokenError::new(format!(
                "the token of ServiceAccount {namespace}/{name} is no longer valid; the controller fetches another one"
            ))),
            None => Err(TokenError::new(format!(
                "this controller cannot act as ServiceAccount {namespace}/{name}"
            ))),
        }
    }

    fn allowed(&self, address: &Address) -> bool {
        self.grants.now().allows(
            &address.namespace,
            Unit::of(&address.target),
            &address.target.service,
            match address.service_account {
                None => IdentityKind::Operator,
                Some(_) => IdentityKind::ServiceAccount,
            },
        )
    }

    /// Whose quotas a call uses. A `requester` is a ServiceAccount; without one it is the operator.
    fn caller(&self, target: &Target, requester: Option<(&str, &str)>) -> Caller {
        Caller {
            endpoint: target.endpoint.clone(),
            principal: match requester {
                None => self.principal(),
                Some((namespace, name)) => format!("ServiceAccount {namespace}/{name}"),
            },
            // Operations without a project share the quota of the endpoint.
            project: target.project().unwrap_or_default().to_owned(),
        }
    }

    fn principal(&self) -> String {
        self.tokens
            .principal()
            .unwrap_or_else(|| UNKNOWN_PRINCIPAL.to_owned())
    }

    fn are_gets_held(&self, caller: &Caller, namespace: &str) -> bool {
        let now = self.clock.mono();
        let until = self
            .quotas()
            .allowance(caller, namespace, now)
            .gets_held_until;
        if let Some(until) = until {
            tracing::debug!(
                call = "Get",
                milliseconds = milliseconds(until.saturating_sub(now)),
                "held back: a quota is exhausted"
            );
        }
        until.is_some()
    }

    /// Counts and logs an answer, `what` in short, and notes a quota that is exhausted. Returns the token if Google refused it.
    fn note(
        &self,
        share: Share,
        caller: &Caller,
        what: Result<&str, &CallError>,
        duration: Duration,
        token: Token,
    ) -> Option<Token> {
        let method = method_name(share);
        let status = what.map_or_else(|error| error.kind.name(), |_| "OK");
        self.metrics.called(method, status, duration);
        tracing::debug!(
            call = method,
            status,
            milliseconds = milliseconds(duration),
            "answered: {}",
            what.unwrap_or_else(|error| error.message.as_str())
        );
        let now = self.clock.mono();
        let (wall, jitter) = (self.clock.system_time(), fastrand::f64());
        let held = self
            .quotas()
            .record(share, caller, what.err(), now, wall, jitter);
        if let Some(until) = held {
            self.metrics.throttled(method, until.saturating_sub(now));
        }
        let error = what.err()?;
        (error.kind == ErrorKind::Unauthenticated).then_some(token)
    }
}

fn not_sent(why: &str) -> CallAnswer {
    tracing::debug!(call = "Cancel", "not made: {why}");
    Event::CancelWithheld.into()
}

/// The method's name in logs and metrics, one of [`crate::telemetry::series::METHODS`].
const fn method_name(share: Share) -> &'static str {
    match share {
        Share::Get => "Get",
        Share::Post => "Cancel",
    }
}

fn target_of(object: &ObjectView) -> Option<&Target> {
    object.spec.as_ref().ok()?.target.as_ref().ok()
}

/// The ServiceAccount that makes the calls of an object, with its namespace; `None` if it is the operator.
fn requester_of(object: &ObjectView) -> Option<(&str, &str)> {
    let name = object.spec.as_ref().ok()?.service_account_name.as_deref()?;
    Some((&object.namespace, name))
}
