//! Fetches a token and opens the connections before `/readyz` reports ready, so that the first cancel waits for neither. After that
//! it keeps the token fresh and the connections warm, however long nothing is cancelled.

use std::{sync::Arc, time::Duration};

use futures::future::{join_all, join4};
use tokio::time::{sleep, timeout};

use crate::{
    backoff::doubling,
    controller::{dispatch::calls::Calls, rate_limited_warning::RateLimitedWarning},
    google::{catalogue::SERVICES, endpoint::EndpointOverrides, token::TokenSource},
    telemetry::health::Health,
};

/// The names of these steps of the readiness.
pub const STEPS: [&str; 2] = ["token", "connections"];

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A token server that takes longer than this is reported.
const ANSWER_EXPECTED: Duration = Duration::from_secs(10);

/// How often the token is requested while it is not needed. It comes from the cache, except shortly before its end.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// Runs both steps until they succeed, then keeps token and connections ready. The controller works meanwhile: objects show in
/// their status what fails.
pub async fn run(calls: Arc<Calls>, health: Arc<Health>) {
    let [token, connections] = STEPS;
    first_token(calls.tokens.as_ref(), &health, ANSWER_EXPECTED).await;
    health.done(token);
    let Endpoints { needed, perhaps } = Endpoints::new(&calls.overrides);
    // All at once, so that a dead endpoint does not delay the others.
    let warm = needed.into_iter().map(async |(endpoint, overridden)| {
        let mut tries = Tries::new(connections, &health);
        while let Err(error) = calls.client.warm(&endpoint, overridden).await {
            tries.failed(format!("{endpoint}: {}", error.message)).await;
        }
    });
    let opened = async {
        join_all(warm).await;
        health.done(connections);
    };
    let tried = join_all(perhaps.into_iter().map(async |endpoint| {
        if let Err(error) = calls.client.warm(&endpoint, false).await {
            tracing::info!(
                endpoint,
                error = error.message,
                "no connection to a host without an endpoint override"
            );
        }
    }));
    join4(opened, tried, keep_fresh(&calls), calls.client.keep_warm()).await;
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

/// The endpoints that are known before any object.
#[derive(Debug, PartialEq)]
struct Endpoints {
    /// Fixed overrides, and the global host of each service without an override. The flag says whether it is an override.
    needed: Vec<(String, bool)>,
    /// The global hosts of services with overrides for other locations only. A private cluster may reach none of them, so they
    /// are tried once, and the controller is ready without them.
    perhaps: Vec<String>,
}

impl Endpoints {
    fn new(overrides: &EndpointOverrides) -> Self {
        let mut needed: Vec<_> = overrides
            .fixed_endpoints()
            .map(|endpoint| (endpoint.to_owned(), true))
            .collect();
        let mut perhaps = Vec::new();
        for service in SERVICES {
            if overrides.endpoint(service.name, None).is_some() {
                continue;
            }
            let global = format!("https://{}", service.global_host);
            if overrides.has_any(service.name) {
                perhaps.push(global);
            } else {
                needed.push((global, false));
            }
        }
        needed.sort();
        needed.dedup();
        Self { needed, perhaps }
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
    fn a_global_host_is_needed_only_without_overrides() {
        const GLOBAL: &str = "https://dialogflow.googleapis.com";
        const PRIVATE: &str = "https://dialogflow.corp.example";
        for (given, needed, perhaps) in [
            (vec![], vec![(GLOBAL, false)], vec![]),
            (
                vec!["dialogflow=https://dialogflow.corp.example"],
                vec![(PRIVATE, true)],
                vec![],
            ),
            (
                vec!["dialogflow/global=https://dialogflow.corp.example"],
                vec![(PRIVATE, true)],
                vec![],
            ),
            (
                vec!["dialogflow/us=https://dialogflow.corp.example"],
                vec![(PRIVATE, true)],
                vec![GLOBAL],
            ),
            (
                vec!["dialogflow/us+eu=https://{location}.corp.example"],
                vec![
                    ("https://eu.corp.example", true),
                    ("https://us.corp.example", true),
                ],
                vec![GLOBAL],
            ),
            (
                vec!["dialogflow=https://{location}-dialogflow.p.googleapis.com"],
                vec![],
                vec![],
            ),
        ] {
            let overrides =
                EndpointOverrides::new(given.iter().map(|given| given.parse().unwrap()));
            let owned = |(endpoint, overridden): (&str, bool)| (endpoint.to_owned(), overridden);
            let expected = Endpoints {
                needed: needed.into_iter().map(owned).collect(),
                perhaps: perhaps.into_iter().map(str::to_owned).collect(),
            };
            assert_eq!(Endpoints::new(&overrides), expected, "{given:?}");
        }
    }
}
