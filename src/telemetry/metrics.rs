//! The metrics of the process. docs/metrics.md describes them.
//!
//! Guarantees: no label value comes from an object, a name or an answer, so the number of series is fixed; every series exists from
//! the start if its labels are known, so that a rate sees the first event; the cost of a scrape does not depend on the number of
//! objects.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    registry::Registry,
};

use crate::api::Reason;

use super::{
    exposition::{self, Format},
    families::Families,
    process::Process,
    series::{self, GrantState, Phase},
    throttled::Throttled,
};

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    /// The families that only the leader serves.
    objects: Registry,
    started: f64,
    families: Families,
    process: Process,
    /// The creation time of the oldest unfinished object of each phase.
    oldest: Mutex<BTreeMap<Phase, Timestamp>>,
    /// The resource and the time of the last answer of each watch, by its URL path.
    watches: Mutex<BTreeMap<String, (&'static str, f64)>>,
    throttled: Mutex<BTreeMap<&'static str, Throttled>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            objects: Registry::default(),
            started: unix(SystemTime::now()),
            families: Families::default(),
            process: Process::default(),
            oldest: Mutex::default(),
            watches: Mutex::default(),
            throttled: Mutex::default(),
        };
        metrics.families.register(&mut metrics.registry);
        metrics.families.register_objects(&mut metrics.objects);
        metrics
            .process
            .register(&mut metrics.registry, metrics.started);
        metrics.families.begin_series();
        metrics
    }
}

impl Metrics {
    /// Counts a call that ended after `duration`. `method` is Get or Cancel, `status` is OK or the name of an error kind.
    pub fn called(&self, method: &'static str, status: &'static str, duration: Duration) {
        self.families
            .requests
            .get_or_create(&[("method", method), ("status", status)])
            .inc();
        self.families
            .request_duration
            .get_or_create(&[("method", method)])
            .observe(duration.as_secs_f64());
    }

    /// Counts a cancel request that the API accepted, by the age of its object. `on_hold`: the object waited for a person for a
    /// while, because a grant was missing or it was suspended.
    pub fn accepted(&self, age: Duration, on_hold: bool) {
        let on_hold = if on_hold { "true" } else { "false" };
        self.families
            .to_accepted
            .get_or_create(&[("on_hold", on_hold)])
            .observe(age.as_secs_f64());
    }

    /// Counts an outcome, by the age of its object.
    pub fn finished(&self, outcome: &'static str, age: Duration) {
        self.families
            .outcomes
            .get_or_create(&[("outcome", outcome)])
            .inc();
        self.families
            .to_end
            .get_or_create(&[("outcome", outcome)])
            .observe(age.as_secs_f64());
    }

    /// Adds an unfinished object to a state, one of [`series::states`].
    pub(super) fn add_pending(&self, state: &'static str) {
        self.families
            .pending
            .get_or_create(&[("state", state)])
            .inc();
    }

    /// Removes an unfinished object from a state.
    pub(super) fn remove_pending(&self, state: &'static str) {
        self.families
            .pending
            .get_or_create(&[("state", state)])
            .dec();
    }

    /// Sets the number of grants by state.
    pub fn grants(&self, states: impl Iterator<Item = GrantState>) {
        let states: Vec<_> = states.collect();
        for state in GrantState::ALL {
            let count = states.iter().filter(|of| *of == state).count();
            self.families
                .grants
                .get_or_create(&[("state", state.name())])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Sets the creation time of the oldest unfinished object of each phase.
    pub fn oldest(&self, created: BTreeMap<Phase, Timestamp>) {
        *lock(&self.oldest) = created;
    }

    /// Counts a token fetch. `result` is the name of a [`crate::google::token::FetchResult`].
    pub fn token_fetched(&self, result: &'static str) {
        self.families
            .token_fetches
            .get_or_create(&[("result", result)])
            .inc();
    }

    /// Counts a fetch of a token for a ServiceAccount. `failed` is the step that failed.
    pub fn service_account_token_fetched(&self, failed: Option<Reason>) {
        let result = series::service_account_token_result(failed);
        self.families
            .service_account_token_fetches
            .get_or_create(&[("result", result)])
            .inc();
    }

    /// Counts a status write.
    pub fn wrote(&self, kind: &'static str, result: &'static str) {
        self.families
            .writes
            .get_or_create(&[("kind", kind), ("result", result)])
            .inc();
    }

    /// Counts a Kubernetes event that was not published.
    pub fn event_dropped(&self) {
        self.families.events_dropped.inc();
    }

    /// Counts an intent that another process recorded for an object of this one.
    pub fn foreign_intent(&self) {
        self.families.foreign_intents.inc();
    }

    /// Starts to record the answers of a watch.
    pub fn watch_began(&self, resource: &'static str, path: &str) {
        lock(&self.watches).insert(path.to_owned(), (resource, unix(SystemTime::now())));
    }

    /// Records that a path is not watched any more.
    pub fn watch_ended(&self, path: &str) {
        lock(&self.watches).remove(path);
    }

    /// Counts a full list after the first.
    pub fn watch_restarted(&self, resource: &'static str) {
        self.families
            .watch_restarts
            .get_or_create(&[("resource", resource)])
            .inc();
    }

    /// Counts a watch that ended within a second.
    pub fn watch_was_short(&self, resource: &'static str) {
        self.families
            .short_watches
            .get_or_create(&[("resource", resource)])
            .inc();
    }

    /// Records that the API server answered a watch. Does nothing if the path is not watched.
    pub fn answered(&self, path: &str) {
        if let Some((_, last)) = lock(&self.watches).get_mut(path) {
            *last = unix(SystemTime::now());
        }
    }

    /// Sets the number of calls or writes that wait in a lane.
    pub fn queued(&self, lane: &'static str, count: usize) {
        self.families
            .queue_depth
            .get_or_create(&[("lane", lane)])
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Sets the number of namespaces with calls that wait for their rate.
    pub fn limited_namespaces(&self, count: usize) {
        self.families
            .limited_namespaces
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Sets the number of objects in memory.
    pub fn objects(&self, count: usize) {
        self.families
            .objects
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Records the duration of a turn of the dispatcher's loop.
    pub fn turn(&self, took: Duration) {
        self.families.turn_duration.observe(took.as_secs_f64());
    }

    /// Records that a quota holds calls of this method back for this long from now.
    pub fn throttled(&self, method: &'static str, wait: Duration) {
        lock(&self.throttled)
            .entry(method)
            .or_default()
            .hold(Instant::now(), wait);
    }

    /// Sets whether this process is the leader.
    pub fn leads(&self, leads: bool) {
        self.families.leader.set(i64::from(leads));
    }

    /// Writes all metrics. Those of objects are left out unless this process is the leader.
    ///
    /// # Errors
    /// Never in practice: the text is written to memory.
    pub fn text(&self, format: Format) -> Result<String, fmt::Error> {
        self.bring_up_to_date();
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        if self.families.leader.get() > 0 {
            encode_registry(&mut text, &self.objects)?;
        }
        encode_eof(&mut text)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Text => exposition::text(&text),
        })
    }

    /// Computes what changes with time alone.
    fn bring_up_to_date(&self) {
        let now = Timestamp::now();
        let oldest = lock(&self.oldest);
        for phase in Phase::ALL.iter().copied() {
            let age = oldest
                .get(&phase)
                .map_or(Duration::ZERO, |created| age(*created, now));
            self.families
                .oldest_age
                .get_or_create(&[("phase", phase.name())])
                .set(age.as_secs_f64());
        }
        let watches = lock(&self.watches);
        for resource in series::RESOURCES {
            let answered = watches
                .values()
                .filter(|(of, _)| *of == resource)
                .map(|(_, last)| *last);
            let answered = answered.reduce(f64::min);
            let labels = [("resource", resource)];
            if answered.is_none() && resource == series::NAMESPACES {
                self.families.watch_answers.remove(&labels);
                continue;
            }
            // A watch that has not started counts from the start of the process.
            self.families
                .watch_answers
                .get_or_create(&labels)
                .set(answered.unwrap_or(self.started));
        }
        for (method, throttled) in lock(&self.throttled).iter_mut() {
            let held = throttled.take(Instant::now());
            self.families
                .throttled_seconds
                .get_or_create(&[("method", method)])
                .inc_by(held.as_secs_f64());
        }
        self.process.read();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// The time since `created`; zero if it is in the future.
pub fn age(created: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(created)).unwrap_or_default()
}

fn unix(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
