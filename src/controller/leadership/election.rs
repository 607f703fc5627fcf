//! Decides when to create, take, renew and give up the Lease. Pure: no client, clock or random source.
//!
//! The Lease is written as client-go writes it, so that its tools and its election work with it too. One rule differs: the leader's
//! renew deadline counts from the moment that the last successful request was sent, not from its answer.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Timing;
use crate::controller::api_server::versions::number;

/// The longest duration that is believed of another holder's Lease. Users can edit it.
const LONGEST_LEASE: Duration = Duration::from_secs(600);

/// The duration in a released Lease, as client-go writes it.
const RELEASED_SECONDS: i32 = 1;

/// The time limit of a request is at least this long, unless the term ends earlier.
const SHORTEST_LIMIT: Duration = Duration::from_secs(1);

/// The time limit of a request of a process that does not lead.
const LIMIT_WITHOUT_TERM: Duration = Duration::from_secs(5);

/// The spec of a Lease. Its times are texts: the API server accepts years for which this program has no time, and a Lease with one of
/// them must not stop the election.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseSpec {
    /// The name of the holder; absent or empty if there is none.
    pub holder_identity: Option<String>,
    /// How long the others wait after the last renewal.
    pub lease_duration_seconds: Option<i32>,
    /// When the holder took it.
    pub acquire_time: Option<String>,
    /// When the holder renewed it last.
    pub renew_time: Option<String>,
    /// How often it has had another holder.
    pub lease_transitions: Option<i32>,
}

/// The Lease as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// `metadata.resourceVersion`.
    pub version: String,
    /// `spec`.
    pub spec: LeaseSpec,
}

/// What is known of the Lease.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    /// It was never read.
    Nothing,
    /// It does not exist.
    Missing,
    /// It is this.
    Lease(Stored),
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Another writer was first.
    Conflict,
    /// Anything else. A write may have been stored.
    Other,
}

/// Why this process does not lead any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It could not renew the Lease in time.
    NotRenewed,
    /// The Lease has another holder; empty if it has none.
    Taken(String),
}

/// How far the start of this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preparation {
    /// It does not know the objects yet, and cannot lead.
    Begun,
    /// It knows them, but has no token or no connection. It leads only if no other process does: the objects then show what fails.
    Cached,
    /// It can work at once.
    Complete,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Read the Lease, and answer with [`Election::read`].
    Read,
    /// Create the Lease, and answer with [`Election::written`].
    Create(LeaseSpec),
    /// Write the Lease if it still has this version, and answer with [`Election::written`].
    Update(String, LeaseSpec),
    /// Wait until this time, or for a change of the Lease.
    Wait(Option<Duration>),
    /// Stop all work.
    Stop(Lost),
}

/// The Lease of another holder.
#[derive(Clone, Debug)]
struct Other {
    spec: LeaseSpec,
    /// When this process first saw it like this.
    since: Duration,
}

/// This process leads.
#[derive(Clone, Debug)]
struct Leading {
    /// When the last successful write was sent.
    sent: Duration,
    /// The Lease after that write.
    spec: LeaseSpec,
}

/// What one process knows of the election. All times are those of one clock that never stands still.
#[derive(Debug)]
pub struct Election {
    identity: String,
    timing: Timing,
    preparation: Preparation,
    /// Since when the Lease has had no holder.
    free_since: Option<Duration>,
    known: Known,
    /// What is known may be out of date, because a request failed.
    must_read: bool,
    /// The last Lease that another process held, unless that process has released it.
    other: Option<Other>,
    /// The last other holder.
    predecessor: Option<String>,
    leading: Option<Leading>,
    /// The newest version of the Lease that was seen.
    newest: Option<u64>,
    /// No request before this time.
    not_before: Duration,
    last_conflict: Option<Duration>,
}

impl Election {
    /// Knows nothing of the Lease yet. `identity` is unique to this process.
    pub const fn new(identity: String, timing: Timing) -> Self {
        Self {
            identity,
            timing,
            preparation: Preparation::Begun,
            free_since: None,
            known: Known::Nothing,
            must_read: false,
            other: None,
            predecessor: None,
            leading: None,
            newest: None,
            not_before: Duration::ZERO,
            last_conflict: None,
        }
    }

    /// Notes how far this process is.
    pub const fn prepared(&mut self, preparation: Preparation) {
        self.preparation = preparation;
    }

    /// How far this process is.
    pub const fn preparation(&self) -> Preparation {
        self.preparation
    }

    /// The last other holder that was seen.
    pub fn predecessor(&self) -> Option<&str> {
        self.predecessor.as_deref()
    }

    /// The holder in the Lease; empty if there is none.
    pub fn holder(&self) -> &str {
        match &self.known {
            Known::Lease(stored) => holder(&stored.spec),
            Known::Nothing | Known::Missing => "",
        }
    }

    /// Until when this process may act; `None` if it does not lead.
    pub fn term(&self) -> Option<Duration> {
        let leading = self.leading.as_ref()?;
        Some(self.term_after(leading.sent))
    }

    /// The end of the term after a successful write that was sent at this time.
    const fn term_after(&self, sent: Duration) -> Duration {
        sent.saturating_add(self.timing.renew_deadline)
    }

    /// The time limit of a request that is sent now. A leader has time for a second one.
    pub fn limit(&self, now: Duration) -> Duration {
        match self.term() {
            Some(until) => {
                let half = until.saturating_sub(now) / 2;
                half.min(self.timing.retry_period.max(SHORTEST_LIMIT))
            }
            None => LIMIT_WITHOUT_TERM.min(self.timing.renew_deadline / 2),
        }
    }

    /// What to do now. `wall` is only written, never compared.
    pub fn decide(&self, now: Duration, wall: Timestamp) -> Decision {
        match &self.leading {
            Some(leading) => self.decide_as_leader(leading, now, wall),
            None => self.decide_without_lease(now, wall),
        }
    }

    fn decide_as_leader(&self, leading: &Leading, now: Duration, wall: Timestamp) -> Decision {
        let until = self.term_after(leading.sent);
        if until <= now {
            return Decision::Stop(Lost::NotRenewed);
        }
        let wait = |at: Duration| Decision::Wait(Some(at.min(until)));
        let stored = match &self.known {
            Known::Lease(stored) if holder(&stored.spec) != self.identity => {
                return Decision::Stop(Lost::Taken(holder(&stored.spec).to_owned()));
            }
            _ if now < self.not_before => return wait(self.not_before),
            _ if self.must_read => return Decision::Read,
            Known::Lease(stored) => stored,
            Known::Nothing | Known::Missing => {
                // Another writer deleted it. The others wait as if it were still there.
                return Decision::Create(self.renewed(leading, wall));
            }
        };
        let period = self.timing.retry_period;
        // After an edit by another writer the others may wait for a shorter time, so it is corrected soon. But that must not become
        // a fight.
        let pause = if stored.spec == leading.spec {
            period
        } else {
            period / 4
        };
        let renew_at = leading.sent.saturating_add(pause);
        if now < renew_at {
            return wait(renew_at);
        }
        Decision::Update(stored.version.clone(), self.renewed(leading, wall))
    }

    fn decide_without_lease(&self, now: Duration, wall: Timestamp) -> Decision {
        if now < self.not_before {
            return Decision::Wait(Some(self.not_before));
        }
        if self.must_read || self.known == Known::Nothing {
            return Decision::Read;
        }
        if self.preparation == Preparation::Begun {
            return Decision::Wait(None);
        }
        let expires = self.other.as_ref().map(|other| {
            let duration = duration(&other.spec, self.timing.lease_duration);
            other.since.saturating_add(duration)
        });
        // One that is ready goes first.
        let precedence = match self.preparation {
            Preparation::Complete => Duration::ZERO,
            Preparation::Begun | Preparation::Cached => self.timing.lease_duration,
        };
        let free_at = expires.or(self.free_since).unwrap_or(now);
        let may_at = free_at.saturating_add(precedence);
        // If this process holds it already, the answer to its own write was lost.
        if now < may_at && self.holder() != self.identity {
            return Decision::Wait(Some(may_at));
        }
        match &self.known {
            Known::Lease(stored) => {
                Decision::Update(stored.version.clone(), self.taken(&stored.spec, wall))
            }
            Known::Nothing | Known::Missing => {
                Decision::Create(self.spec(micro_time(wall), 0, wall))
            }
        }
    }

    /// The Lease was read.
    pub fn read(&mut self, known: Known, now: Duration) {
        self.must_read = false;
        if let Known::Lease(stored) = &known {
            // It may be older: etcd may have been restored.
            self.newest = number(&stored.version);
        }
        self.know(known, now);
    }

    /// The watch shows the Lease, or that it is missing. An event from before the newest version is ignored.
    pub fn watched(&mut self, version: &str, spec: Option<LeaseSpec>, now: Duration) {
        let seen = number(version);
        if seen.is_some() && seen <= self.newest {
            return;
        }
        self.newest = seen.or(self.newest);
        let known = spec.map_or(Known::Missing, |spec| {
            Known::Lease(Stored {
                version: version.to_owned(),
                spec,
            })
        });
        self.know(known, now);
    }

    fn know(&mut self, known: Known, now: Duration) {
        if let Known::Lease(Stored { spec, .. }) = &known {
            let holder = holder(spec);
            if holder.is_empty() {
                self.other = None;
                self.free_since.get_or_insert(now);
            } else if holder != self.identity {
                self.free_since = None;
                self.predecessor = Some(holder.to_owned());
                if self.other.as_ref().is_none_or(|other| other.spec != *spec) {
                    self.other = Some(Other {
                        spec: spec.clone(),
                        since: now,
                    });
                }
            }
        }
        if known == Known::Missing {
            self.free_since.get_or_insert(now);
        }
        self.known = known;
    }

    /// A write that was sent at `sent` is stored. It counts only if it was answered before the time was over.
    pub fn written(&mut self, stored: Stored, sent: Duration, now: Duration) {
        let is_late = self.term().is_some_and(|until| until <= now) || self.term_after(sent) <= now;
        if is_late {
            self.must_read = true;
        } else {
            self.leading = Some(Leading {
                sent,
                spec: stored.spec.clone(),
            });
            self.must_read = false;
        }
        self.newest = number(&stored.version);
        self.known = Known::Lease(stored);
    }

    /// A request that was sent at `sent` failed.
    pub fn failed(&mut self, failure: Failure, sent: Duration, now: Duration) {
        self.must_read = true;
        let period = self.timing.retry_period;
        let is_first = self
            .last_conflict
            .is_none_or(|last| last.saturating_add(period) <= now);
        self.not_before = match failure {
            Failure::Conflict if is_first => now,
            Failure::Conflict => now.saturating_add(period),
            Failure::Other => sent.saturating_add(period).max(now),
        };
        if failure == Failure::Conflict {
            self.last_conflict = Some(now);
        }
    }

    /// How to release the Lease now.
    pub fn release(&self, wall: Timestamp) -> Release {
        if self.must_read {
            return Release::Read;
        }
        match &self.known {
            Known::Lease(stored) if holder(&stored.spec) == self.identity => {
                let spec = LeaseSpec {
                    holder_identity: Some(String::new()),
                    lease_duration_seconds: Some(RELEASED_SECONDS),
                    ..self.spec(micro_time(wall), transitions(&stored.spec), wall)
                };
                Release::Update(stored.version.clone(), spec)
            }
            _ => Release::NotHeld,
        }
    }

    /// The next Lease of the leader.
    fn renewed(&self, leading: &Leading, wall: Timestamp) -> LeaseSpec {
        let acquired = leading.spec.acquire_time.clone();
        let acquired = acquired.unwrap_or_else(|| micro_time(wall));
        self.spec(acquired, transitions(&leading.spec), wall)
    }

    /// The Lease with this process as its new holder.
    fn taken(&self, before: &LeaseSpec, wall: Timestamp) -> LeaseSpec {
        let transitions = transitions(before);
        let more = i32::from(holder(before) != self.identity);
        self.spec(micro_time(wall), transitions.saturating_add(more), wall)
    }

    fn spec(&self, acquired: String, transitions: i32, wall: Timestamp) -> LeaseSpec {
        let seconds = self.timing.lease_duration.as_secs();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
            acquire_time: Some(acquired),
            renew_time: Some(micro_time(wall)),
            lease_transitions: Some(transitions),
        }
    }
}

/// How to release the Lease.
#[derive(Clone, Debug, PartialEq)]
pub enum Release {
    /// Read it first.
    Read,
    /// Write it if it still has this version.
    Update(String, LeaseSpec),
    /// This process does not hold it.
    NotHeld,
}

/// The holder; empty if there is none.
pub fn holder(spec: &LeaseSpec) -> &str {
    spec.holder_identity.as_deref().unwrap_or_default()
}

/// A time as Kubernetes writes it in a Lease.
fn micro_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn transitions(spec: &LeaseSpec) -> i32 {
    spec.lease_transitions.unwrap_or_default().max(0)
}

/// How long a Lease is valid after its last change.
fn duration(spec: &LeaseSpec, default: Duration) -> Duration {
    let seconds = spec.lease_duration_seconds.map(u64::try_from);
    match seconds {
        Some(Ok(seconds)) => Duration::from_secs(seconds.max(1)).min(LONGEST_LEASE),
        _ => default,
    }
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
