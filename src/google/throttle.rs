//! Quotas: after a RESOURCE_EXHAUSTED, what shares that quota waits. Pure: time and jitter come in as arguments.
//!
//! The scope is the endpoint with the consumer and metric that the error names (ErrorInfo), else the endpoint with who
//! asks. GETs and POSTs have gates of their own, so polls never hold back a cancel (design section 3).

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, SystemTime},
};

use super::answer::{CallError, ErrorKind};

/// Shortest wait, also where a server says 0: a gate that opens at once is none.
pub const MIN_HOLD: Duration = Duration::from_secs(1);
/// Longest wait. Servers may say anything; asking once an hour troubles nobody.
pub const MAX_HOLD: Duration = Duration::from_secs(3600);
/// Longest jitter after the full minute at which Google's quotas start anew.
pub const MAX_JITTER: Duration = Duration::from_secs(10);

/// Most quotas and callers that are remembered. Beyond it memory starts anew, at the price of a few more 429s.
const MAX_REMEMBERED: usize = 4096;

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
    /// The project in the operation's name: with some identities it is the consumer.
    pub project: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Quota {
    Named { consumer: String, metric: String },
    OfPrincipal(String),
}

/// The gates of all quotas. Times are monotonic, since the start of the process.
#[derive(Debug, Default)]
pub struct Gates {
    held: HashMap<(Share, String, Quota), Duration>,
    /// The quotas that a caller met: only answers name them.
    met: HashMap<Caller, BTreeSet<Quota>>,
}

impl Gates {
    /// Until when calls of this share by this caller wait; none if they need not.
    pub fn held_until(&self, share: Share, caller: &Caller, now: Duration) -> Option<Duration> {
        let own = Quota::OfPrincipal(caller.principal.clone());
        let met = self.met.get(caller).into_iter().flatten();
        std::iter::once(&own)
            .chain(met)
            .filter_map(|quota| {
                self.held
                    .get(&(share, caller.endpoint.clone(), quota.clone()))
            })
            .copied()
            .filter(|until| *until > now)
            .max()
    }

    /// Notes how a call failed. Only RESOURCE_EXHAUSTED closes a gate; gives back until when it is closed.
    ///
    /// `wall` tells where in its minute the clock stands; `jitter` is a random number from 0 to 1.
    pub fn record(
        &mut self,
        share: Share,
        caller: &Caller,
        error: &CallError,
        now: Duration,
        wall: SystemTime,
        jitter: f64,
    ) -> Option<Duration> {
        if error.kind != ErrorKind::ResourceExhausted {
            return None;
        }
        let wait = error
            .retry_after
            .unwrap_or_else(|| to_next_minute(wall, jitter));
        let until = now.saturating_add(wait.clamp(MIN_HOLD, MAX_HOLD));
        let quota = quota(caller, error);
        self.forget(now);
        self.met
            .entry(caller.clone())
            .or_default()
            .insert(quota.clone());
        let held = self
            .held
            .entry((share, caller.endpoint.clone(), quota))
            .or_insert(until);
        *held = until.max(*held);
        Some(*held)
    }

    fn forget(&mut self, now: Duration) {
        self.held.retain(|_, until| *until > now);
        if self.held.len() >= MAX_REMEMBERED {
            self.held.clear();
        }
        if self.met.len() >= MAX_REMEMBERED {
            self.met.clear();
        }
        // One caller meets a handful of quotas; an endpoint that invents one per answer must not grow us.
        self.met.retain(|_, quotas| quotas.len() < 16);
    }
}

fn quota(caller: &Caller, error: &CallError) -> Quota {
    match (
        error.metadata.get("consumer"),
        error.metadata.get("quota_metric"),
    ) {
        (Some(consumer), Some(metric)) => Quota::Named {
            consumer: consumer.clone(),
            metric: metric.clone(),
        },
        _ => Quota::OfPrincipal(caller.principal.clone()),
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
mod tests {
    use super::*;
    use crate::google::rpc_error;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(100);

    /// 12:34:45 of some day.
    fn wall() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 3600 + 34 * 60 + 45)
    }

    fn caller(endpoint: &str, principal: &str, project: &str) -> Caller {
        Caller {
            endpoint: endpoint.to_owned(),
            principal: principal.to_owned(),
            project: project.to_owned(),
        }
    }

    fn exhausted(retry_after: Option<u64>, consumer: Option<&str>) -> CallError {
        let mut error = rpc_error::error(ErrorKind::ResourceExhausted, Some(429), String::new());
        error.retry_after = retry_after.map(Duration::from_secs);
        if let Some(consumer) = consumer {
            error
                .metadata
                .insert("consumer".to_owned(), consumer.to_owned());
            error
                .metadata
                .insert("quota_metric".to_owned(), "m".to_owned());
        }
        error
    }

    #[test]
    fn waits_are_those_of_the_server_or_the_next_minute() {
        for (retry_after, jitter, seconds) in [
            (Some(7), 0.5, 7),
            (Some(0), 0.5, 1),
            (Some(u64::MAX), 0.5, 3600),
            (None, 0.0, 15),
            (None, 0.5, 20),
            (None, 1.0, 25),
            (None, 9.0, 25),
            (None, f64::NAN, 25),
        ] {
            let mut gates = Gates::default();
            let caller = caller("e", "a", "p");
            let error = exhausted(retry_after, None);
            let until = gates.record(Share::Get, &caller, &error, NOW, wall(), jitter);
            assert_eq!(until, Some(NOW + Duration::from_secs(seconds)));
            assert_eq!(gates.held_until(Share::Get, &caller, NOW), until);
            assert_eq!(gates.held_until(Share::Get, &caller, until.unwrap()), None);
        }
    }

    #[test]
    fn gets_and_posts_have_shares_of_their_own() {
        let mut gates = Gates::default();
        let caller = caller("e", "a", "p");
        gates.record(
            Share::Get,
            &caller,
            &exhausted(Some(9), None),
            NOW,
            wall(),
            0.0,
        );
        assert!(gates.held_until(Share::Get, &caller, NOW).is_some());
        assert!(gates.held_until(Share::Post, &caller, NOW).is_none());
    }

    #[test]
    fn a_quota_without_a_name_is_the_principals_at_that_endpoint() {
        let mut gates = Gates::default();
        gates.record(
            Share::Get,
            &caller("e", "a", "p"),
            &exhausted(Some(9), None),
            NOW,
            wall(),
            0.0,
        );
        let held = |c: Caller| gates.held_until(Share::Get, &c, NOW).is_some();
        assert!(held(caller("e", "a", "another project")));
        assert!(!held(caller("e", "b", "p")));
        assert!(!held(caller("f", "a", "p")));
    }

    #[test]
    fn a_named_quota_holds_those_who_met_it() {
        let mut gates = Gates::default();
        let (mine, yours) = (caller("e", "a", "p"), caller("e", "b", "q"));
        let error = exhausted(Some(9), Some("projects/1"));
        gates.record(Share::Get, &mine, &error, NOW, wall(), 0.0);
        assert!(gates.held_until(Share::Get, &yours, NOW).is_none());
        gates.record(Share::Get, &yours, &error, NOW, wall(), 0.0);
        let later = NOW + Duration::from_secs(60);
        assert!(gates.held_until(Share::Get, &mine, later).is_none());
        gates.record(Share::Get, &mine, &error, later, wall(), 0.0);
        assert!(gates.held_until(Share::Get, &yours, later).is_some());
    }

    #[test]
    fn other_errors_close_no_gate_and_shorter_waits_open_none() {
        let mut gates = Gates::default();
        let caller = caller("e", "a", "p");
        let other = rpc_error::error(ErrorKind::Unavailable, Some(503), String::new());
        assert_eq!(
            gates.record(Share::Get, &caller, &other, NOW, wall(), 0.0),
            None
        );
        assert_eq!(gates.held_until(Share::Get, &caller, NOW), None);
        let long = gates.record(
            Share::Get,
            &caller,
            &exhausted(Some(60), None),
            NOW,
            wall(),
            0.0,
        );
        let short = gates.record(
            Share::Get,
            &caller,
            &exhausted(Some(2), None),
            NOW,
            wall(),
            0.0,
        );
        assert_eq!(long, short);
    }

    proptest! {
        #[test]
        fn memory_stays_bounded_and_waits_too(calls in proptest::collection::vec((0u32..9000, 0u64..u64::MAX), 1..200)) {
            let mut gates = Gates::default();
            for (n, wait) in calls {
                let caller = caller("e", &format!("a{}", n % 3), "p");
                let error = exhausted(Some(wait), Some(&format!("projects/{n}")));
                let until = gates.record(Share::Post, &caller, &error, NOW, wall(), 0.0).unwrap();
                prop_assert!(until <= NOW + MAX_HOLD && until >= NOW + MIN_HOLD);
                prop_assert!(gates.met.values().all(|quotas| quotas.len() <= 16));
            }
        }
    }

    #[test]
    fn a_flood_of_callers_starts_memory_anew() {
        let mut gates = Gates::default();
        for n in 0..3 * MAX_REMEMBERED {
            let caller = caller("e", &format!("a{n}"), "p");
            gates.record(
                Share::Get,
                &caller,
                &exhausted(Some(9), None),
                NOW,
                wall(),
                0.0,
            );
            assert!(gates.held.len() <= MAX_REMEMBERED && gates.met.len() <= MAX_REMEMBERED);
        }
    }
}
