//! The metric families: names, help texts and labels, and the series that exist from the start.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

use super::series::{self, METHODS};
use crate::api::Outcome;

/// Label names and values. They are static, so nothing from an object can become a label.
type Labels<const N: usize> = [(&'static str, &'static str); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Seconds = Gauge<f64, AtomicU64>;
type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// All families except those of the process.
pub(super) struct Families {
    pub outcomes: Counters<1>,
    pub to_accepted: Histograms,
    pub to_end: Histograms,
    pub requests: Counters<2>,
    pub request_duration: Histograms,
    pub pending: Family<Labels<1>, Gauge>,
    pub grants: Family<Labels<1>, Gauge>,
    pub oldest_age: Family<Labels<1>, Seconds>,
    pub token_fetches: Counters<1>,
    pub service_account_token_fetches: Counters<1>,
    pub writes: Counters<2>,
    pub events_dropped: Counter,
    pub foreign_intents: Counter,
    pub watch_restarts: Counters<1>,
    pub short_watches: Counters<1>,
    pub watch_answers: Family<Labels<1>, Seconds>,
    pub queue_depth: Family<Labels<1>, Gauge>,
    pub limited_namespaces: Gauge,
    pub objects: Gauge,
    pub turn_duration: Histogram,
    pub throttled_seconds: Family<Labels<1>, Counter<f64, AtomicU64>>,
    pub leader: Gauge,
}

impl Default for Families {
    fn default() -> Self {
        Self {
            outcomes: Family::default(),
            to_accepted: Family::new_with_constructor(series::to_accepted),
            to_end: Family::new_with_constructor(series::to_end),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(series::request_duration),
            pending: Family::default(),
            grants: Family::default(),
            oldest_age: Family::default(),
            token_fetches: Family::default(),
            service_account_token_fetches: Family::default(),
            writes: Family::default(),
            events_dropped: Counter::default(),
            foreign_intents: Counter::default(),
            watch_restarts: Family::default(),
            short_watches: Family::default(),
            watch_answers: Family::default(),
            queue_depth: Family::default(),
            limited_namespaces: Gauge::default(),
            objects: Gauge::default(),
            turn_duration: series::turn_duration(),
            throttled_seconds: Family::default(),
            leader: Gauge::default(),
        }
    }
}

impl Families {
    /// Registers the families that every process serves.
    pub fn register(&self, registry: &mut Registry) {
        add(
            registry,
            "cancellations",
            "Recorded outcomes",
            self.outcomes.clone(),
        );
        add(
            registry,
            "time_to_accepted_seconds",
            "Time from the creation of an object until the API accepted its cancel request",
            self.to_accepted.clone(),
        );
        add(
            registry,
            "time_to_end_seconds",
            "Time from the creation of an object until its outcome was recorded",
            self.to_end.clone(),
        );
        add(
            registry,
            "google_requests",
            "Calls to Google APIs by method and status",
            self.requests.clone(),
        );
        add(
            registry,
            "google_request_duration_seconds",
            "Duration of calls to Google APIs",
            self.request_duration.clone(),
        );
        add(
            registry,
            "token_fetches",
            "Token fetches by result",
            self.token_fetches.clone(),
        );
        add(
            registry,
            "service_account_token_fetches",
            "Token fetches for ServiceAccounts by result",
            self.service_account_token_fetches.clone(),
        );
        add(
            registry,
            "status_writes",
            "Status writes by kind and result",
            self.writes.clone(),
        );
        add(
            registry,
            "events_dropped",
            "Kubernetes events that were not published",
            self.events_dropped.clone(),
        );
        add(
            registry,
            "foreign_intents",
            "Intents that another process recorded for an object of this one",
            self.foreign_intents.clone(),
        );
        add(
            registry,
            "watch_restarts",
            "Full lists after the first one",
            self.watch_restarts.clone(),
        );
        add(
            registry,
            "short_watches",
            "Watches that ended within a second",
            self.short_watches.clone(),
        );
        add(
            registry,
            "watch_last_answer_timestamp_seconds",
            "Time of the API server's last answer to a list or watch; the oldest one if there are several watches",
            self.watch_answers.clone(),
        );
        add(
            registry,
            "queue_depth",
            "Calls and writes that wait for a worker, or for the rate of their namespace",
            self.queue_depth.clone(),
        );
        add(
            registry,
            "rate_limited_namespaces",
            "Namespaces with calls that wait because of --namespace-calls-per-minute",
            self.limited_namespaces.clone(),
        );
        add(
            registry,
            "objects",
            "Objects in memory: unfinished ones, and finished ones until the watch removes them",
            self.objects.clone(),
        );
        add(
            registry,
            "turn_duration_seconds",
            "Duration of one turn of the main loop",
            self.turn_duration.clone(),
        );
        add(
            registry,
            "throttled_seconds",
            "Time during which an exhausted quota held calls back",
            self.throttled_seconds.clone(),
        );
        add(
            registry,
            "leader",
            "Whether this process is the leader, 1 or 0",
            self.leader.clone(),
        );
        let build = Family::<Labels<1>, Gauge>::default();
        build
            .get_or_create(&[("version", env!("CARGO_PKG_VERSION"))])
            .set(1);
        add(
            registry,
            "build_info",
            "Version of the running release",
            build,
        );
    }

    /// Registers the families about the objects in the cluster. Only the leader serves them: each process has them all.
    pub fn register_objects(&self, registry: &mut Registry) {
        add(
            registry,
            "pending",
            "Unfinished objects by the reason of their Ready condition",
            self.pending.clone(),
        );
        add(
            registry,
            "grants",
            "CancellationGrants by whether this release understands them",
            self.grants.clone(),
        );
        add(
            registry,
            "oldest_pending_age_seconds",
            "Age of the oldest unfinished object in each phase, 0 if there is none",
            self.oldest_age.clone(),
        );
    }

    /// Creates every series with known labels, so that the first event counts as an increase.
    pub fn begin_series(&self) {
        for outcome in Outcome::ALL.iter().map(|outcome| outcome.name()) {
            let _ = self.outcomes.get_or_create(&[("outcome", outcome)]);
            let _ = self.to_end.get_or_create(&[("outcome", outcome)]);
        }
        for on_hold in ["false", "true"] {
            let _ = self.to_accepted.get_or_create(&[("on_hold", on_hold)]);
        }
        for method in METHODS {
            for status in series::statuses() {
                let _ = self
                    .requests
                    .get_or_create(&[("method", method), ("status", status)]);
            }
            let _ = self.request_duration.get_or_create(&[("method", method)]);
            let _ = self.throttled_seconds.get_or_create(&[("method", method)]);
        }
        for state in series::states() {
            let _ = self.pending.get_or_create(&[("state", state)]);
        }
        for state in series::GrantState::ALL {
            let _ = self.grants.get_or_create(&[("state", state.name())]);
        }
        for result in series::token_results() {
            let _ = self.token_fetches.get_or_create(&[("result", result)]);
        }
        for result in series::SERVICE_ACCOUNT_TOKEN_RESULTS {
            let _ = self
                .service_account_token_fetches
                .get_or_create(&[("result", result)]);
        }
        for kind in series::WRITE_KINDS {
            for result in series::WRITE_RESULTS {
                let _ = self
                    .writes
                    .get_or_create(&[("kind", kind), ("result", result)]);
            }
        }
        for resource in series::RESOURCES {
            let _ = self.watch_restarts.get_or_create(&[("resource", resource)]);
            let _ = self.short_watches.get_or_create(&[("resource", resource)]);
        }
        for lane in series::LANES {
            let _ = self.queue_depth.get_or_create(&[("lane", lane)]);
        }
    }
}

fn add(registry: &mut Registry, name: &str, help: &str, metric: impl Metric) {
    registry.register(format!("opcancel_{name}"), help, metric);
}
