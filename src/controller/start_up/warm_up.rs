//! Fetches a token and opens the connections before `/readyz` reports ready, so that the first cancel waits for neither. After that
//! it keeps the token fresh and the connections warm, however long nothing is cancelled.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::{join, join_all, join3};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    backoff::doubling,
    controller::{
        dispatch::calls::Calls, grants::book::Grants, rate_limited_warning::RateLimitedWarning,
    },
    google::{catalogue::service, endpoint::EndpointOverrides, token::TokenSource},
    telemetry::health::Health,
};

/// The names of these steps of the readiness.
pub const STEPS: [&str; 2] = ["token", "connections"];

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A token server that takes longer than this is reported.
const ANSWER_EXPECTED: Duration = Duration::from_secs(10);

/// How many services' hosts are opened before any call. A grant may name all services; those that are called are kept warm anyway.
const MOST_WARMED: usize = 16;

/// How long hosts of Google's that cannot be reached hold up the readiness.
const LONGEST_WARM_UP: Duration = Duration::from_secs(5);

/// How often the token is requested while it is not needed. It comes from the cache, except shortly before its end.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// Runs both steps until they succeed, then keeps token and connections ready. The controller works meanwhile: objects show in
/// their status what fails. Call it before the grants are read.
pub fn run(
    calls: Arc<Calls>,
    health: Arc<Health>,
    namespaces: Vec<String>,
) -> impl Future<Output = ()> {
    // At once, not when the future is polled: the first list may come before the first token, and must not be missed.
    let grants = calls.grants.changes();
    warm_up(calls, health, namespaces, grants)
}

async fn warm_up(
    calls: Arc<Calls>,
    health: Arc<Health>,
    namespaces: Vec<String>,
    mut grants: watch::Receiver<Arc<Grants>>,
) {
    let [token, connections] = STEPS;
    first_token(calls.tokens.as_ref(), &health, ANSWER_EXPECTED).await;
    health.done(token);
    let opened = async {
        let overrides = calls.overrides.fixed_endpoints();
        let overrides = overrides.map(|endpoint| open(&calls, &health, endpoint, true));
        // All at once, so that a dead endpoint does not delay the others.
        let (_, warmed) = join(join_all(overrides), async {
            // The first change is the first list.
            let _listed = grants.changed().await;
            let hosts = global_hosts(&grants.borrow_and_update(), &namespaces, &calls.overrides);
            first_hosts(&calls, &health, hosts).await
        })
        .await;
        health.done(connections);
        warm_new_hosts(&calls, &namespaces, grants, warmed).await;
    };
    join3(opened, keep_fresh(&calls), calls.client.keep_warm()).await;
}

/// Opens the connections to an endpoint. Tries until it succeeds, and reports each failure as the reason why the controller is not
/// ready.
async fn open(calls: &Calls, health: &Health, endpoint: &str, overridden: bool) {
    let mut tries = Tries::new(STEPS[1], health);
    while let Err(error) = calls.client.warm(endpoint, overridden).await {
        tries.failed(format!("{endpoint}: {}", error.message)).await;
    }
}

/// Opens the connections to the services that the first grants name. The controller becomes ready without those that take too long:
/// a private cluster may reach none of Google's global hosts. Returns the endpoints.
async fn first_hosts(calls: &Calls, health: &Health, hosts: BTreeSet<String>) -> BTreeSet<String> {
    let hosts: BTreeSet<String> = hosts.into_iter().take(MOST_WARMED).collect();
    let opened = hosts.iter().map(|host| open(calls, health, host, false));
    if timeout(LONGEST_WARM_UP, join_all(opened)).await.is_err() {
        tracing::warn!(
            "no connection to the host of a service that a grant names; an endpoint override can name another"
        );
    }
    hosts
}

/// Opens the connections to the services that later grants name.
async fn warm_new_hosts(
    calls: &Calls,
    namespaces: &[String],
    mut changes: watch::Receiver<Arc<Grants>>,
    mut warmed: BTreeSet<String>,
) {
    // The book lives as long as the calls.
    while changes.changed().await.is_ok() {
        let hosts = global_hosts(&changes.borrow_and_update(), namespaces, &calls.overrides);
        let new = hosts.difference(&warmed).cloned();
        let new: Vec<String> = new.take(MOST_WARMED.saturating_sub(warmed.len())).collect();
        // The calls report what fails.
        join_all(new.iter().map(|host| calls.client.warm(host, false))).await;
        warmed.extend(new);
    }
}

/// The catalogue's global hosts of the services that the grants of these namespaces name, without those that an override replaces.
fn global_hosts(
    grants: &Grants,
    namespaces: &[String],
    overrides: &EndpointOverrides,
) -> BTreeSet<String> {
    let services = grants.services(namespaces).into_iter().filter_map(service);
    services
        .filter_map(|service| overrides.global_endpoint(service))
        .collect()
}

/// Waits for a token. Reports a wait that is longer than `expected`, but never gives up: a token server may need half a minute.
async fn first_token(tokens: &dyn TokenSource, health: &Health, expected: Duration) {
    let mut tries = Tries::new(STEPS[0], health);
    loop {
        match timeout(expected, tokens.token()).await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => tries.failed(error.to_string()).await,
            Err(_) => tries.explain(&format!(
                "the token server has not answered for {expected:?}; still waiting"
            )),
        }
    }
}

/// Keeps the token fresh even if no call needs one. Never ends.
async fn keep_fresh(calls: &Calls) {
    loop {
        sleep(REFRESH_INTERVAL).await;
        // A failure is counted where it happens, and reported by the calls that need the token.
        let _kept = calls.tokens.token().await;
    }
}

/// The failed tries of one step.
struct Tries<'a> {
    step: &'static str,
    health: &'a Health,
    warning: RateLimitedWarning,
    failures: u32,
}

impl<'a> Tries<'a> {
    fn new(step: &'static str, health: &'a Health) -> Self {
        Self {
            step,
            health,
            warning: RateLimitedWarning::default(),
            failures: 0,
        }
    }

    fn explain(&mut self, why: &str) {
        let line = format!("not ready: {}: {why}", self.step);
        // First in `/readyz`: a reader of the log finds it there too.
        self.health.explain(self.step, why);
        self.warning.warn(&line);
    }

    async fn failed(&mut self, why: String) {
        self.explain(&why);
        self.failures = self.failures.saturating_add(1);
        sleep(doubling(FIRST_PAUSE, LONGEST_PAUSE, self.failures)).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::{
        FutureExt,
        future::{BoxFuture, join},
    };
    use tokio::sync::Semaphore;

    use super::*;
    use crate::api::{CancellationGrantSpec, IdentityKind};
    use crate::google::token::{Token, TokenError};

    /// Answers when the test allows it.
    struct Slow(Semaphore);

    impl TokenSource for Slow {
        fn token(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
            async {
                let _allowed = self.0.acquire().await;
                Token::new("a-token")
            }
            .boxed()
        }

        fn refused(&self, _: &Token) {}

        fn principal(&self) -> Option<String> {
            None
        }
    }

    #[tokio::test]
    async fn a_slow_token_server_is_reported_and_waited_for() {
        let (tokens, health) = (Slow(Semaphore::new(0)), Health::waiting_for(&STEPS));
        let waited = first_token(&tokens, &health, Duration::from_millis(1));
        let told = async {
            let said = "token: the token server has not answered for 1ms; still waiting";
            while !health
                .missing()
                .is_some_and(|missing| missing.contains(said))
            {
                tokio::task::yield_now().await;
            }
            tokens.0.add_permits(1);
        };
        timeout(Duration::from_secs(30), join(waited, told))
            .await
            .unwrap();
    }

    #[test]
    fn the_global_hosts_of_granted_services_are_opened_unless_an_override_replaces_them() {
        const DIALOGFLOW: &str = "https://dialogflow.googleapis.com";
        const TRANSLATE: &str = "https://translation.googleapis.com";
        for (services, given, hosts) in [
            (vec!["dialogflow"], None, vec![DIALOGFLOW]),
            (
                vec!["translate", "dialogflow"],
                None,
                vec![DIALOGFLOW, TRANSLATE],
            ),
            (vec!["*"], None, vec![]),
            (vec!["not-yet-known"], None, vec![]),
            (
                vec!["translate", "dialogflow"],
                Some("dialogflow=https://dialogflow.corp.example"),
                vec![TRANSLATE],
            ),
            (
                vec!["dialogflow"],
                Some("dialogflow/global=https://dialogflow.corp.example"),
                vec![],
            ),
            (
                vec!["dialogflow"],
                Some("dialogflow/us=https://dialogflow.corp.example"),
                vec![DIALOGFLOW],
            ),
        ] {
            let set = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
            let grants = Grants::new(&[CancellationGrantSpec {
                namespaces: set(&["a"]),
                namespace_selector: None,
                projects: set(&["p"]),
                parents: BTreeSet::new(),
                operation_names: BTreeSet::new(),
                services: set(&services),
                identities: [IdentityKind::ServiceAccount].into(),
            }]);
            let overrides = EndpointOverrides::new(given.map(|given| given.parse().unwrap()));
            let found = global_hosts(&grants, &[], &overrides);
            assert_eq!(
                found.into_iter().collect::<Vec<_>>(),
                hosts,
                "{services:?} {given:?}"
            );
        }
    }
}
