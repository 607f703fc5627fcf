//! Quotas (docs/life-of-a-cancellation.md#quotas): after a RESOURCE_EXHAUSTED, all calls that use that quota wait. Pure: time and
//! jitter are arguments.
//!
//! An error that names its quota (ErrorInfo `consumer` and `quota_metric`) holds back all callers that met that quota. An error without a
//! name holds back the project in the operation's name, and the whole principal only if a second project gets one within a minute. During
//! a hold, one call a minute is made to test the quota.
//!
//! GETs and POSTs have separate holds: an answer to a GET never holds back a cancel request. Some services count both in one quota, so
//! polls also keep to a rate that leaves room for cancel requests (`quota/poll_rate.rs`).

mod poll_rate;

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, SystemTime},
};

use self::poll_rate::{CallsPerMinute, PollRate};
use super::answers::answer::{CallError, ErrorKind};

/// Shortest hold, even if a server says 0.
pub const MIN_HOLD: Duration = Duration::from_secs(1);
/// Longest hold, even if a server asks for more.
pub const MAX_HOLD: Duration = Duration::from_secs(300);
/// Longest jitter after the full minute at which Google resets its quotas.
pub const MAX_JITTER: Duration = Duration::from_secs(10);
/// During a hold, one call is made in this time.
const PROBE_EVERY: Duration = Duration::from_secs(60);
/// If a second project meets a quota without a name within this time, the hold covers the principal.
const WIDENS_WITHIN: Duration = Duration::from_secs(60);

/// Maximum number of remembered quotas and callers. If it is reached, all are forgotten, at the cost of a few more 429s.
const MAX_REMEMBERED: usize = 4096;
/// Maximum number of quotas of a caller. An endpoint that invents one for each answer must not fill the memory.
const MAX_MET: usize = 16;

/// The share of a quota that a call uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// GET.
    Get,
    /// POST: cancel requests.
    Post,
}

/// What decides the quota of a call, as far as it is known before the call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Base URL of the endpoint.
    pub endpoint: String,
    /// Google's name for the identity, or a substitute.
    pub principal: String,
    /// The project in the operation's name, or its parent. For some identities it is the consumer.
    pub project: String,
}

/// What a caller may do now. Times are monotonic, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// No GET before this time.
    pub gets_held_until: Option<Duration>,
    /// No cancel request before this time.
    pub cancels_held_until: Option<Duration>,
    /// When the next poll may be made; `None` if polls are not limited. First reads are never limited.
    pub next_poll: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Quota {
    Named { consumer: String, metric: String },
    OfProject { principal: String, project: String },
    OfPrincipal(String),
}

/// A quota at an endpoint.
type Key = (String, Quota);

#[derive(Clone, Copy, Debug)]
struct Hold {
    until: Duration,
    next_probe: Duration,
}

/// All known holds and rates.
#[derive(Debug, Default)]
pub struct Quotas {
    holds: HashMap<(Share, Key), Hold>,
    rates: HashMap<Key, PollRate>,
    /// The quotas that each caller met; only answers name them.
    met: HashMap<Caller, BTreeSet<Quota>>,
    /// The last project that met a quota without a name, by endpoint and principal.
    unnamed: HashMap<(String, String), (String, Duration)>,
    taken: HashMap<Caller, CallsPerMinute>,
}

impl Quotas {
    /// Whether no quota holds any call back.
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.rates.is_empty()
    }

    /// What a caller may do now, on behalf of a namespace.
    pub fn allowance(&self, caller: &Caller, namespace: &str, now: Duration) -> Allowance {
        if self.is_empty() {
            return Allowance::default();
        }
        let keys = self.keys(caller);
        let held = |share| {
            let holds = keys
                .iter()
                .filter_map(|key| self.holds.get(&(share, key.clone())));
            holds
                .filter(|hold| hold.until > now && hold.next_probe > now)
                .map(|hold| hold.until)
                .max()
        };
        let rates = keys.iter().filter_map(|key| self.rates.get(key));
        let rates = rates.filter(|rate| rate.is_in_force(now));
        Allowance {
            gets_held_until: held(Share::Get),
            cancels_held_until: held(Share::Post),
            next_poll: rates.map(|rate| rate.next(namespace, now)).max(),
        }
    }

    /// Records that a call is about to be made. During a hold it is the one that tests the quota.
    pub fn begin(&mut self, share: Share, caller: &Caller, now: Duration) {
        if self.holds.is_empty() {
            return;
        }
        for key in self.keys(caller) {
            if let Some(hold) = self.holds.get_mut(&(share, key)) {
                hold.next_probe = hold.next_probe.max(now.saturating_add(PROBE_EVERY));
            }
        }
    }

    /// Reserves the poll at [`Allowance::next_poll`], or now. The next poll of the namespace comes later.
    pub fn reserve_poll(&mut self, caller: &Caller, namespace: &str, now: Duration) {
        if self.rates.is_empty() {
            return;
        }
        for key in self.keys(caller) {
            if let Some(rate) = self.rates.get_mut(&key) {
                rate.reserve(namespace, now);
            }
        }
    }

    /// Records the result of a call. Returns the end of the hold if it was RESOURCE_EXHAUSTED.
    ///
    /// `wall` is the wall-clock time, for the next full minute; `jitter` is a random number from 0 to 1.
    pub fn record(
        &mut self,
        share: Share,
        caller: &Caller,
        error: Option<&CallError>,
        now: Duration,
        wall: SystemTime,
        jitter: f64,
    ) -> Option<Duration> {
        let exhausted = error.filter(|error| error.kind == ErrorKind::ResourceExhausted);
        let Some(exhausted) = exhausted else {
            if error.is_some_and(|error| error.http_status.is_none()) {
                // Without an answer, the call did not count against a quota.
                return None;
            }
            if self.taken.len() >= MAX_REMEMBERED {
                self.taken.clear();
            }
            self.taken.entry(caller.clone()).or_default().add(now);
            return None;
        };
        let wait = exhausted
            .retry_after
            .unwrap_or_else(|| to_next_minute(wall, jitter));
        let until = now.saturating_add(wait.clamp(MIN_HOLD, MAX_HOLD));
        self.forget(now);
        let mut held = until;
        for quota in self.exhausted(caller, exhausted, now) {
            self.met
                .entry(caller.clone())
                .or_default()
                .insert(quota.clone());
            let key = (caller.endpoint.clone(), quota);
            self.slow_down(&key, now);
            let next_probe = now.saturating_add(PROBE_EVERY);
            let hold = self
                .holds
                .entry((share, key))
                .or_insert(Hold { until, next_probe });
            hold.until = hold.until.max(until);
            hold.next_probe = next_probe;
            held = held.max(hold.until);
        }
        Some(held)
    }

    /// The quotas that an error reports as exhausted.
    fn exhausted(&mut self, caller: &Caller, error: &CallError, now: Duration) -> Vec<Quota> {
        let metadata = |key| error.metadata.get(key).cloned();
        if let (Some(consumer), Some(metric)) = (metadata("consumer"), metadata("quota_metric")) {
            return vec![Quota::Named { consumer, metric }];
        }
        let at = (caller.endpoint.clone(), caller.principal.clone());
        let before = self.unnamed.insert(at, (caller.project.clone(), now));
        let widened = before.is_some_and(|(project, when)| {
            project != caller.project && now.saturating_sub(when) <= WIDENS_WITHIN
        });
        let mut quotas = vec![Quota::OfProject {
            principal: caller.principal.clone(),
            project: caller.project.clone(),
        }];
        if widened {
            quotas.push(Quota::OfPrincipal(caller.principal.clone()));
        }
        quotas
    }

    /// Slows down the polls that use this quota.
    fn slow_down(&mut self, key: &Key, now: Duration) {
        let (endpoint, quota) = key;
        let taken = self.taken.iter().filter(|(caller, _)| {
            caller.endpoint == *endpoint
                && match quota {
                    Quota::OfProject { principal, project } => {
                        caller.principal == *principal && caller.project == *project
                    }
                    Quota::OfPrincipal(principal) => caller.principal == *principal,
                    Quota::Named { .. } => {
                        self.met.get(caller).is_some_and(|met| met.contains(quota))
                    }
                }
        });
        let taken = taken.map(|(_, taken)| taken.in_last_minute(now)).sum();
        self.rates
            .entry(key.clone())
            .and_modify(|rate| rate.exhausted(taken, now))
            .or_insert_with(|| PollRate::new(taken, now));
    }

    /// The quotas that a caller may use: its project's, its principal's, and those that it met.
    fn keys(&self, caller: &Caller) -> Vec<Key> {
        let own = [
            Quota::OfProject {
                principal: caller.principal.clone(),
                project: caller.project.clone(),
            },
            Quota::OfPrincipal(caller.principal.clone()),
        ];
        let met = self.met.get(caller).into_iter().flatten();
        let named = met.filter(|quota| matches!(quota, Quota::Named { .. }));
        own.into_iter()
            .chain(named.cloned())
            .map(|quota| (caller.endpoint.clone(), quota))
            .collect()
    }

    fn forget(&mut self, now: Duration) {
        self.holds.retain(|_, hold| hold.until > now);
        self.rates.retain(|_, rate| rate.is_in_force(now));
        self.unnamed
            .retain(|_, (_, when)| now.saturating_sub(*when) <= WIDENS_WITHIN);
        if self.holds.len() >= MAX_REMEMBERED {
            self.holds.clear();
        }
        if self.rates.len() >= MAX_REMEMBERED {
            self.rates.clear();
        }
        if self.unnamed.len() >= MAX_REMEMBERED {
            self.unnamed.clear();
        }
        if self.met.len() >= MAX_REMEMBERED {
            self.met.clear();
        }
        self.met.retain(|_, quotas| quotas.len() < MAX_MET);
    }
}

fn to_next_minute(wall: SystemTime, jitter: f64) -> Duration {
    let since_epoch = wall
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let into_minute = Duration::new(since_epoch.as_secs() % 60, since_epoch.subsec_nanos());
    let jitter = if jitter.is_finite() {
        jitter.clamp(0.0, 1.0)
    } else {
        1.0
    };
    Duration::from_secs(60).saturating_sub(into_minute) + MAX_JITTER.mul_f64(jitter)
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
