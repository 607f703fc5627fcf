//! What is counted and measured, and how it is kept up to date. docs/metrics.md explains it to people.
//!
//! Guarantees: no label is made from an object, a name or an answer's text, so the number of series is fixed; every series
//! whose labels are known exists from the start, so that a rate sees the first event; a scrape costs the same however many
//! objects there are.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use prometheus_client::{encoding::text::encode, registry::Registry};

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
    started: f64,
    families: Families,
    process: Process,
    /// The creation of the oldest pending object, by what it waits for.
    oldest: Mutex<BTreeMap<Phase, Timestamp>>,
    /// The path of each watch, with its resource and when it was last answered.
    watches: Mutex<BTreeMap<String, (&'static str, f64)>>,
    throttled: Mutex<BTreeMap<&'static str, Throttled>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            started: unix(SystemTime::now()),
            families: Families::default(),
            process: Process::default(),
            oldest: Mutex::default(),
            watches: Mutex::default(),
            throttled: Mutex::default(),
        };
        metrics.families.register(&mut metrics.registry);
        metrics
            .process
            .register(&mut metrics.registry, metrics.started);
        metrics.families.begin_series();
        metrics
    }
}

impl Metrics {
    /// A call was answered after `duration`: `method` is Get or Cancel, `status` OK or the name of an error kind.
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

    /// The API took the cancel request of an object created so long ago. `on_hold`: for a while it waited for people, by a
    /// grant that was missing or by a suspension.
    pub fn accepted(&self, age: Duration, on_hold: bool) {
        let on_hold = if on_hold { "true" } else { "false" };
        self.families
            .to_accepted
            .get_or_create(&[("on_hold", on_hold)])
            .observe(age.as_secs_f64());
    }

    /// An outcome was recorded for an object created so long ago.
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

    /// One more unfinished object is in this state, one of [`series::STATES`].
    pub(super) fn pending_more(&self, state: &'static str) {
        self.families
            .pending
            .get_or_create(&[("state", state)])
            .inc();
    }

    /// One less.
    pub(super) fn pending_less(&self, state: &'static str) {
        self.families
            .pending
            .get_or_create(&[("state", state)])
            .dec();
    }

    /// The grants that there are, each as this release reads it.
    pub fn grants(&self, states: impl Iterator<Item = GrantState>) {
        let mut counts = GrantState::ALL.map(|state| (state, 0i64));
        for state in states {
            for (_, count) in counts.iter_mut().filter(|(of, _)| *of == state) {
                *count = count.saturating_add(1);
            }
        }
        for (state, count) in counts {
            self.families
                .grants
                .get_or_create(&[("state", state.name())])
                .set(count);
        }
    }

    /// When the oldest unfinished objects were created, by what they wait for.
    pub fn oldest(&self, created: BTreeMap<Phase, Timestamp>) {
        *lock(&self.oldest) = created;
    }

    /// A token was asked for at its source: the name of a [`crate::google::token::FetchResult`].
    pub fn token_fetched(&self, result: &'static str) {
        self.families
            .token_fetches
            .get_or_create(&[("result", result)])
            .inc();
    }

    /// A status write was answered.
    pub fn wrote(&self, kind: &'static str, result: &'static str) {
        self.families
            .writes
            .get_or_create(&[("kind", kind), ("result", result)])
            .inc();
    }

    /// A Kubernetes event was not published.
    pub fn event_dropped(&self) {
        self.families.events_dropped.inc();
    }

    /// This URL path is listed and watched from now on.
    pub fn watch_began(&self, resource: &'static str, path: &str) {
        lock(&self.watches).insert(path.to_owned(), (resource, unix(SystemTime::now())));
    }

    /// A full list was begun, not the first.
    pub fn watch_restarted(&self, resource: &'static str) {
        self.families
            .watch_restarts
            .get_or_create(&[("resource", resource)])
            .inc();
    }

    /// A watch ended as soon as it began.
    pub fn watch_was_short(&self, resource: &'static str) {
        self.families
            .short_watches
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
        self.families
            .queue_depth
            .get_or_create(&[("lane", lane)])
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A turn of the dispatcher's loop took so long.
    pub fn turn(&self, took: Duration) {
        self.families.turn_duration.observe(took.as_secs_f64());
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
        for phase in Phase::ALL {
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
            // A watch that has not begun shows its age too.
            let longest_ago = answered.reduce(f64::min).unwrap_or(self.started);
            self.families
                .watch_answers
                .get_or_create(&[("resource", resource)])
                .set(longest_ago);
        }
        for (method, throttled) in lock(&self.throttled).iter_mut() {
            let passed = throttled.passed(Instant::now());
            self.families
                .throttled_seconds
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

fn unix(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
