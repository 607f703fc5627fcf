//! Fetches a token and opens the connections before `/readyz` reports ready, so that the first cancel waits for neither. After that
//! it keeps the token fresh and the connections warm, however long nothing is cancelled.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::future::{join, join_all, join3};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    backoff::doubling,
    controller::{
        dispatch::calls::Calls, grants::book::Grants, rate_limited_warning::RateLimitedWarning,
    },
    google::{
        catalogue::{endpoint, service},
        endpoint::EndpointOverrides,
        token::TokenSource,
    },
    telemetry::health::Health,
};

/// The names of these steps of the readiness.
pub const STEPS: [&str; 2] = ["token", "connections"];

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A token server that takes longer than this is reported.
const ANSWER_EXPECTED: Duration = Duration::from_secs(10);

/// Longest pause between tries to open what a grant names.
const LONGEST_PAUSE_BESIDE: Duration = Duration::from_secs(600);

/// How many endpoints that grants name are opened before any call. Those that are called are kept warm anyway.
const MOST_WARMED: usize = 16;

/// How long hosts that do not answer, and that grants name, hold up the readiness.
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
    // All at once, so that a dead endpoint does not delay the others.
    let fixed: BTreeSet<String> = calls
        .overrides
        .fixed_endpoints()
        .map(str::to_owned)
        .collect();
    let overrides = join_all(fixed.iter().map(|endpoint| open(&calls, &health, endpoint)));
    let mut granted = GrantedEndpoints::new(calls.clone());
    let opened = async {
        let first = async {
            // The first change is the first list.
            let _listed = grants.changed().await;
            let wanted = wanted(&grants.borrow_and_update(), &namespaces, &calls.overrides);
            granted.change_to(wanted).await;
        };
        join(overrides, first).await;
        health.done(connections);
        // The book lives as long as the calls.
        while grants.changed().await.is_ok() {
            let wanted = wanted(&grants.borrow_and_update(), &namespaces, &calls.overrides);
            granted.change_to(wanted).await;
        }
    };
    join3(opened, keep_fresh(&calls), calls.client.keep_warm()).await;
}

/// Opens the connections to an endpoint that an administrator named. Tries until it succeeds, and reports each failure as the reason why
/// the controller is not ready.
async fn open(calls: &Calls, health: &Health, endpoint: &str) {
    let mut tries = Tries::new(STEPS[1], health);
    while let Err(error) = calls.client.warm(endpoint, true).await {
        tries.failed(format!("{endpoint}: {}", error.message)).await;
    }
}

/// A base URL, and whether an override names it.
type Endpoint = (String, bool);

/// The endpoints that grants name, each with the task that opens its connections. Nothing but the first try delays anything: a private
/// cluster may reach none of Google's global hosts.
struct GrantedEndpoints<W> {
    warmer: Arc<W>,
    /// How long [`GrantedEndpoints::change_to`] waits for a first try.
    limit: Duration,
    /// The pause after the first failure.
    pause: Duration,
    opening: BTreeMap<Endpoint, JoinHandle<()>>,
}

/// What opens connections.
trait Warmer: Send + Sync + 'static {
    /// Opens the connections to an endpoint and keeps them warm.
    fn warm(&self, endpoint: &Endpoint) -> impl Future<Output = Result<(), String>> + Send;

    /// No longer keeps them warm.
    fn give_up(&self, endpoint: &Endpoint);
}

impl Warmer for Calls {
    async fn warm(&self, (endpoint, overridden): &Endpoint) -> Result<(), String> {
        let warmed = self.client.warm(endpoint, *overridden).await;
        warmed.map_err(|error| error.message)
    }

    fn give_up(&self, (endpoint, overridden): &Endpoint) {
        self.client.stop_keeping_warm(endpoint, *overridden);
    }
}

impl<W: Warmer> GrantedEndpoints<W> {
    const fn new(warmer: Arc<W>) -> Self {
        Self {
            warmer,
            limit: LONGEST_WARM_UP,
            pause: FIRST_PAUSE,
            opening: BTreeMap::new(),
        }
    }

    /// Gives up the endpoints that are no longer wanted, and begins to open the new ones, [`MOST_WARMED`] in all. Returns when each new one
    /// was tried once, or after the limit; the tries go on.
    async fn change_to(&mut self, wanted: BTreeSet<Endpoint>) {
        let warmer = self.warmer.clone();
        self.opening.retain(|endpoint, opening| {
            let stays = wanted.contains(endpoint);
            if !stays {
                opening.abort();
                warmer.give_up(endpoint);
            }
            stays
        });
        let new = wanted
            .into_iter()
            .filter(|endpoint| !self.opening.contains_key(endpoint));
        let free = MOST_WARMED.saturating_sub(self.opening.len());
        let new: Vec<_> = new.take(free).collect();
        let mut tried = Vec::new();
        for endpoint in new {
            let (first, is_tried) = oneshot::channel();
            tried.push(is_tried);
            let opening = keep_trying(self.warmer.clone(), endpoint.clone(), first, self.pause);
            let opening = tokio::spawn(opening);
            self.opening.insert(endpoint, opening);
        }
        // Late ones go on beside everything else.
        let _all_tried = timeout(self.limit, join_all(tried)).await;
    }
}

impl<W> Drop for GrantedEndpoints<W> {
    fn drop(&mut self) {
        self.opening.values().for_each(JoinHandle::abort);
    }
}

/// Tries until the connections are open. The calls report what fails, so this does only once.
async fn keep_trying(
    warmer: Arc<impl Warmer>,
    endpoint: Endpoint,
    first: oneshot::Sender<()>,
    pause: Duration,
) {
    let mut first = Some(first);
    let mut failures = 0_u32;
    while let Err(why) = warmer.warm(&endpoint).await {
        if let Some(first) = first.take() {
            tracing::warn!(
                "no connection to the host of a service that a grant names; an endpoint override can name another: {}: {why}",
                endpoint.0
            );
            // Nobody waits any more after the limit.
            let _late = first.send(());
        }
        failures = failures.saturating_add(1);
        sleep(doubling(pause, LONGEST_PAUSE_BESIDE, failures)).await;
    }
    if let Some(first) = first {
        let _late = first.send(());
    }
}

/// The endpoints that the grants of these namespaces name, without those of the administrator, which are open anyway.
fn wanted(
    grants: &Grants,
    namespaces: &[String],
    overrides: &EndpointOverrides,
) -> BTreeSet<Endpoint> {
    let fixed: BTreeSet<&str> = overrides.fixed_endpoints().collect();
    let named = grants.services_and_locations(namespaces).into_iter();
    let endpoints =
        named.filter_map(|(name, location)| endpoint(service(name)?, location, overrides));
    endpoints
        .filter(|(url, overridden)| !(*overridden && fixed.contains(url.as_str())))
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
    use std::sync::Mutex;
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

    /// Endpoints that answer, fail or stay silent, by the first letter of their URL.
    #[derive(Default)]
    struct Hosts {
        tries: watch::Sender<Vec<String>>,
        given_up: Mutex<Vec<String>>,
    }

    impl Hosts {
        fn tries(&self, url: &str) -> usize {
            let tries = self.tries.borrow();
            tries.iter().filter(|tried| *tried == url).count()
        }

        async fn wait_for_tries(&self, url: &str, count: usize) {
            let mut tries = self.tries.subscribe();
            let enough =
                tries.wait_for(|tries| tries.iter().filter(|tried| *tried == url).count() >= count);
            timeout(Duration::from_secs(30), enough)
                .await
                .unwrap()
                .unwrap();
        }
    }

    impl Warmer for Hosts {
        async fn warm(&self, (url, _): &Endpoint) -> Result<(), String> {
            self.tries.send_modify(|tries| tries.push(url.clone()));
            match url.chars().next() {
                Some('a') => Ok(()),
                Some('f') => Err("refused".to_owned()),
                _ => std::future::pending().await,
            }
        }

        fn give_up(&self, (url, _): &Endpoint) {
            self.given_up.lock().unwrap().push(url.clone());
        }
    }

    fn endpoints(urls: &[&str]) -> BTreeSet<Endpoint> {
        urls.iter().map(|url| ((*url).to_owned(), false)).collect()
    }

    fn granted(hosts: &Arc<Hosts>, limit: Duration, pause: Duration) -> GrantedEndpoints<Hosts> {
        let mut granted = GrantedEndpoints::new(hosts.clone());
        granted.limit = limit;
        granted.pause = pause;
        granted
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_dead_service_in_a_grant_delays_nothing_and_a_silent_one_until_the_limit() {
        for (urls, limit) in [
            (&["answers", "fails", "fails-too"][..], HOUR),
            (&["answers", "silent"], Duration::from_millis(1)),
        ] {
            let hosts = Arc::new(Hosts::default());
            let mut granted = granted(&hosts, limit, HOUR);
            let changed = granted.change_to(endpoints(urls));
            timeout(Duration::from_secs(30), changed).await.unwrap();
            for url in urls {
                hosts.wait_for_tries(url, 1).await;
            }
        }
    }

    #[tokio::test]
    async fn what_fails_is_tried_again_until_no_grant_names_it() {
        let hosts = Arc::new(Hosts::default());
        let mut granted = granted(&hosts, HOUR, Duration::from_millis(1));
        let both = endpoints(&["answers", "fails", "fails-too"]);
        granted.change_to(both).await;
        hosts.wait_for_tries("fails", 4).await;
        granted
            .change_to(endpoints(&["answers", "fails-too"]))
            .await;
        assert_eq!(*hosts.given_up.lock().unwrap(), ["fails"]);
        let (before, other) = (hosts.tries("fails"), hosts.tries("fails-too"));
        hosts.wait_for_tries("fails-too", other + 2).await;
        assert_eq!((hosts.tries("fails"), hosts.tries("answers")), (before, 1));
    }

    #[tokio::test]
    async fn few_are_opened_and_one_that_is_gone_makes_room() {
        let hosts = Arc::new(Hosts::default());
        let mut granted = granted(&hosts, HOUR, HOUR);
        let urls: Vec<String> = (0..20).map(|n| format!("a{n:02}")).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        granted.change_to(endpoints(&urls)).await;
        assert_eq!(hosts.tries.borrow().len(), MOST_WARMED);
        granted.change_to(endpoints(&urls[1..])).await;
        assert_eq!(*hosts.given_up.lock().unwrap(), ["a00"]);
        assert_eq!(hosts.tries("a16"), 1);
        assert_eq!(hosts.tries.borrow().len(), MOST_WARMED + 1);
    }

    #[test]
    fn the_endpoints_are_those_that_grants_name_and_no_override_has() {
        const DIALOGFLOW: &str = "https://dialogflow.googleapis.com";
        const EUROPE: &str = "https://europe-west1-dialogflow.googleapis.com";
        const TRANSLATE: &str = "https://translation.googleapis.com";
        const CORP: &str = "https://dialogflow.corp.example";
        let (project, region) = ("projects/p", "projects/p/locations/europe-west1");
        for (services, parent, given, endpoints) in [
            (vec!["dialogflow"], project, None, vec![DIALOGFLOW]),
            (vec!["dialogflow"], region, None, vec![EUROPE]),
            (
                vec!["translate", "dialogflow"],
                region,
                None,
                // All locations of translate have one host.
                vec![EUROPE, TRANSLATE],
            ),
            (vec!["*"], project, None, vec![]),
            (vec!["not-yet-known"], project, None, vec![]),
            (
                vec!["translate", "dialogflow"],
                project,
                Some(format!("dialogflow={CORP}")),
                vec![TRANSLATE],
            ),
            (
                vec!["dialogflow"],
                region,
                Some(format!("dialogflow/global={CORP}")),
                vec![EUROPE],
            ),
            (
                vec!["dialogflow"],
                region,
                Some("dialogflow=https://{location}-df.p.googleapis.com".to_owned()),
                vec!["https://europe-west1-df.p.googleapis.com"],
            ),
        ] {
            let set = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
            let grants = Grants::new(&[CancellationGrantSpec {
                namespaces: set(&["a"]),
                namespace_selector: None,
                projects: BTreeSet::new(),
                parents: set(&[parent]),
                operation_names: BTreeSet::new(),
                services: set(&services),
                identities: [IdentityKind::ServiceAccount].into(),
            }]);
            let overrides = EndpointOverrides::new(given.iter().map(|text| text.parse().unwrap()));
            let found = wanted(&grants, &[], &overrides).into_iter();
            assert_eq!(
                found.map(|(url, _)| url).collect::<Vec<_>>(),
                endpoints,
                "{services:?} {parent} {given:?}"
            );
        }
    }
}
