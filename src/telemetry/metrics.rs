//! What is counted and measured: the families, and how each is kept up to date. docs/metrics.md explains them to people.
//!
//! Guarantees: no label is made from an object, a name or an answer's text, so the number of series is fixed; every series
//! whose labels are known exists from the start, so that a rate sees the first event; a scrape costs the same however many
//! objects there are.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

use super::{
    exposition::{self, Format},
    process::Process,
    series::{self, METHODS, STATES, WaitsFor},
    throttled::Throttled,
};
use crate::api::Outcome;

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Seconds = Gauge<f64, AtomicU64>;
type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    started: f64,
    outcomes: Counters<1>,
    to_accepted: Histograms,
    to_end: Histograms,
    requests: Counters<2>,
    request_duration: Histograms,
    pending: Family<Labels<1>, Gauge>,
    oldest_age: Family<Labels<1>, Seconds>,
    token_fetches: Counters<1>,
    writes: Counters<2>,
    events_dropped: Counter,
    watch_restarts: Counters<1>,
    watch_answers: Family<Labels<1>, Seconds>,
    queue_depth: Family<Labels<1>, Gauge>,
    throttled_seconds: Family<Labels<1>, Counter<f64, AtomicU64>>,
    process: Process,
    /// The creation of the oldest pending object, by what it waits for.
    oldest: Mutex<BTreeMap<WaitsFor, Timestamp>>,
    /// The path of each watch, with its resource and when it was last answered.
    watches: Mutex<BTreeMap<String, (&'static str, f64)>>,
    throttled: Mutex<BTreeMap<&'static str, Throttled>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            started: unix(SystemTime::now()),
            outcomes: Family::default(),
            to_accepted: Family::new_with_constructor(series::to_accepted),
            to_end: Family::new_with_constructor(series::to_end),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(series::request_duration),
            pending: Family::default(),
            oldest_age: Family::default(),
            token_fetches: Family::default(),
            writes: Family::default(),
            events_dropped: Counter::default(),
            watch_restarts: Family::default(),
            watch_answers: Family::default(),
            queue_depth: Family::default(),
            throttled_seconds: Family::default(),
            process: Process::default(),
            oldest: Mutex::default(),
            watches: Mutex::default(),
            throttled: Mutex::default(),
        };
        metrics.register();
        metrics.begin_series();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        add(
            registry,
            "cancellations",
            "Outcomes that were recorded",
            self.outcomes.clone(),
        );
        add(
            registry,
            "time_to_accepted_seconds",
            "Time from an object's creation until the API took its cancel request",
            self.to_accepted.clone(),
        );
        add(
            registry,
            "time_to_end_seconds",
            "Time from an object's creation until its outcome was recorded",
            self.to_end.clone(),
        );
        add(
            registry,
            "google_requests",
            "Answered calls to Google APIs by method and status",
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
            "pending",
            "Unfinished objects by what their status shows",
            self.pending.clone(),
        );
        add(
            registry,
            "oldest_pending_age_seconds",
            "Age of the oldest unfinished object by what it waits for, 0 if there is none",
            self.oldest_age.clone(),
        );
        add(
            registry,
            "token_fetches",
            "Tokens asked for by result",
            self.token_fetches.clone(),
        );
        add(
            registry,
            "status_writes",
            "Writes to /status by kind and result",
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
            "watch_restarts",
            "Watches that were begun anew with a full list",
            self.watch_restarts.clone(),
        );
        add(
            registry,
            "watch_last_answer_timestamp_seconds",
            "When the API server last answered a list or watch, of several watches the one that waits longest",
            self.watch_answers.clone(),
        );
        add(
            registry,
            "queue_depth",
            "Calls and writes that wait for a worker",
            self.queue_depth.clone(),
        );
        add(
            registry,
            "throttled_seconds",
            "Time in which at least one used-up quota held calls back",
            self.throttled_seconds.clone(),
        );
        let build = Family::<Labels<1>, Gauge>::default();
        build
            .get_or_create(&[("version", env!("CARGO_PKG_VERSION"))])
            .set(1);
        add(registry, "build_info", "The release that runs", build);
        self.process.register(registry, self.started);
    }

    /// So that the first event of each kind is an increase, and no alert waits for a series.
    fn begin_series(&self) {
        for outcome in Outcome::ALL.map(Outcome::name) {
            let _ = self.outcomes.get_or_create(&[("outcome", outcome)]);
            let _ = self.to_end.get_or_create(&[("outcome", outcome)]);
        }
        for held in ["no", "yes"] {
            let _ = self.to_accepted.get_or_create(&[("held", held)]);
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
        for state in STATES {
            let _ = self.pending.get_or_create(&[("state", state)]);
        }
        for result in series::TOKEN_RESULTS {
            let _ = self.token_fetches.get_or_create(&[("result", result)]);
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
        }
        for lane in series::LANES {
            let _ = self.queue_depth.get_or_create(&[("lane", lane)]);
        }
    }

    /// A call was answered after `duration`: `method` is Get or Cancel, `status` OK or the name of an error kind.
    pub fn called(&self, method: &'static str, status: &'static str, duration: Duration) {
        self.requests
            .get_or_create(&[("method", method), ("status", status)])
            .inc();
        self.request_duration
            .get_or_create(&[("method", method)])
            .observe(duration.as_secs_f64());
    }

    /// The API took the cancel request of an object created so long ago. `held`: for a while people held it back, by a
    /// grant that was missing or by a suspension.
    pub fn accepted(&self, age: Duration, held: bool) {
        let held = if held { "yes" } else { "no" };
        self.to_accepted
            .get_or_create(&[("held", held)])
            .observe(age.as_secs_f64());
    }

    /// An outcome was recorded for an object created so long ago.
    pub fn finished(&self, outcome: &'static str, age: Duration) {
        self.outcomes.get_or_create(&[("outcome", outcome)]).inc();
        self.to_end
            .get_or_create(&[("outcome", outcome)])
            .observe(age.as_secs_f64());
    }

    /// One more unfinished object is in this state, one of [`STATES`].
    pub(super) fn pending_more(&self, state: &'static str) {
        self.pending.get_or_create(&[("state", state)]).inc();
    }

    /// One less.
    pub(super) fn pending_less(&self, state: &'static str) {
        self.pending.get_or_create(&[("state", state)]).dec();
    }

    /// When the oldest unfinished objects were created, by what they wait for.
    pub fn oldest(&self, created: BTreeMap<WaitsFor, Timestamp>) {
        *lock(&self.oldest) = created;
    }

    /// A token was asked for: `fetched` or `failed`.
    pub fn token_fetched(&self, result: &'static str) {
        self.token_fetches
            .get_or_create(&[("result", result)])
            .inc();
    }

    /// A status write was answered.
    pub fn wrote(&self, kind: &'static str, result: &'static str) {
        self.writes
            .get_or_create(&[("kind", kind), ("result", result)])
            .inc();
    }

    /// A Kubernetes event was not published.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// This URL path is listed and watched from now on.
    pub fn watch_began(&self, resource: &'static str, path: &str) {
        lock(&self.watches).insert(path.to_owned(), (resource, unix(SystemTime::now())));
    }

    /// A watch was begun anew.
    pub fn watch_restarted(&self, resource: &'static str) {
        self.watch_restarts
            .get_or_create(&[("resource", resource)])
            .inc();
    }

    /// The API server answered a request for this URL path; of no account unless it is watched.
    pub fn answered(&self, path: &str) {
        if let Some((_, last)) = lock(&self.watches).get_mut(path) {
            *last = unix(SystemTime::now());
        }
    }

    /// So many calls or writes wait in a lane.
    pub fn queued(&self, lane: &'static str, count: usize) {
        self.queue_depth
            .get_or_create(&[("lane", lane)])
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A quota of this method is used up for so long from now.
    pub fn throttled(&self, method: &'static str, wait: Duration) {
        lock(&self.throttled)
            .entry(method)
            .or_default()
            .until(Instant::now(), wait);
    }

    /// All of it.
    ///
    /// # Errors
    /// Never in practice: the text is written to memory.
    pub fn text(&self, format: Format) -> Result<String, fmt::Error> {
        self.bring_up_to_date();
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Text => exposition::text(&text),
        })
    }

    /// What time alone changes is computed when it is asked for.
    fn bring_up_to_date(&self) {
        let now = Timestamp::now();
        let oldest = lock(&self.oldest);
        for waits_for in WaitsFor::ALL {
            let age = oldest
                .get(&waits_for)
                .map_or(Duration::ZERO, |created| age(*created, now));
            self.oldest_age
                .get_or_create(&[("waits_for", waits_for.name())])
                .set(age.as_secs_f64());
        }
        let watches = lock(&self.watches);
        for resource in series::RESOURCES {
            let answered = watches
                .values()
                .filter(|(of, _)| *of == resource)
                .map(|(_, last)| *last);
            // A watch that has not begun shows its age too.
            let longest_ago = answered.reduce(f64::min).unwrap_or(self.started);
            self.watch_answers
                .get_or_create(&[("resource", resource)])
                .set(longest_ago);
        }
        for (method, throttled) in lock(&self.throttled).iter_mut() {
            let passed = throttled.passed(Instant::now());
            self.throttled_seconds
                .get_or_create(&[("method", method)])
                .inc_by(passed.as_secs_f64());
        }
        self.process.read();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// How long ago a time was; nothing if it is still to come.
pub fn age(created: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(created)).unwrap_or_default()
}

fn add(registry: &mut Registry, name: &str, help: &str, metric: impl Metric) {
    registry.register(format!("opcancel_{name}"), help, metric);
}

fn unix(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
