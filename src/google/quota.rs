//! Quotas (docs/life-of-a-cancellation.md#quotas): after a RESOURCE_EXHAUSTED, what shares that quota waits. Pure: time and jitter are arguments.
//!
//! An error that names its quota (ErrorInfo `consumer` and `quota_metric`) holds back whoever met that quota. One that does not
//! holds back the project in the operation's name; the whole principal only if a second project meets one within a minute.
//! While a hold lasts, one call a minute goes through and tries.
//!
//! GETs and POSTs are held apart: an answer to a GET never holds back a cancel. Some services count both in one quota all the
//! same, so polls also keep to a rate that leaves room for cancels (`quota/poll_rate.rs`).

mod poll_rate;

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, SystemTime},
};

use self::poll_rate::{CallsPerMinute, PollRate};
use super::answers::answer::{CallError, ErrorKind};

/// Shortest wait, also if a server says 0: calls that may begin at once would not be held.
pub const MIN_HOLD: Duration = Duration::from_secs(1);
/// Longest wait, whatever a server says.
pub const MAX_HOLD: Duration = Duration::from_secs(300);
/// Longest jitter after the full minute at which Google's quotas start anew.
pub const MAX_JITTER: Duration = Duration::from_secs(10);
/// While a hold lasts, one call goes through in this time.
const PROBE_EVERY: Duration = Duration::from_secs(60);
/// A second project that meets a quota without a name within this time widens the hold to the principal.
const WIDENS_WITHIN: Duration = Duration::from_secs(60);

/// Most quotas and callers that are remembered. Beyond it memory starts anew, at the price of a few more 429s.
const MAX_REMEMBERED: usize = 4096;
/// Most quotas that one caller may have met. An endpoint that invents one for each answer must not fill the memory.
const MAX_MET: usize = 16;

/// Which share of a quota a call uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// GET.
    Get,
    /// POST, the cancels.
    Post,
}

/// Whose quota a call uses, as far as that is known before it is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Base URL of the endpoint.
    pub endpoint: String,
    /// Google's name for who asks, or what stands for it.
    pub principal: String,
    /// The project in the operation's name, or its parent: with some identities it is the consumer.
    pub project: String,
}

/// What the quotas leave to one caller now. Times are monotonic, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// No GET before this time.
    pub gets_held_until: Option<Duration>,
    /// No cancel request before this time.
    pub cancels_held_until: Option<Duration>,
    /// When the next poll has its place, which may be now; none if polls need no place. First looks need none.
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

/// All quotas that were met.
#[derive(Debug, Default)]
pub struct Quotas {
    holds: HashMap<(Share, Key), Hold>,
    rates: HashMap<Key, PollRate>,
    /// The quotas that a caller met: only answers name them.
    met: HashMap<Caller, BTreeSet<Quota>>,
    /// The last project of a principal at an endpoint that met a quota without a name.
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

    /// A call is about to be made. While a hold lasts it is the one that tries.
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

    /// A poll of this caller has its place at [`Allowance::next_poll`], or now. The next one of the namespace comes later.
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

    /// Notes what came of a call. Only RESOURCE_EXHAUSTED holds anybody back; gives back until when.
    ///
    /// `wall` tells where in its minute the clock stands; `jitter` is a random number from 0 to 1.
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
                // Nobody answered, so nobody counted it.
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

    /// The quotas that an error says are used up.
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

    /// Polls that use this quota become slower.
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
