//! What the proxy saw in one case, and what must be true of it at every instant.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::watch;

use super::points::{
    Kind::{self, Cancel, Get},
    Point,
};

/// The record of one case. Everything is noted before the controller gets the answer.
pub struct Record {
    facts: watch::Sender<Facts>,
}

/// What has happened so far.
pub struct Facts {
    begun: Instant,
    /// Each request and event, for people.
    pub lines: Vec<String>,
    /// How often each kind came, by the number of cancel requests before.
    counts: BTreeMap<(Kind, usize), usize>,
    /// The points about the object of the case.
    pub trace: BTreeSet<Point>,
    /// Successful answers of the servers, whether they arrived or not.
    pub answers: BTreeMap<Kind, usize>,
    /// Successful answers to GETs after a successful answer to a cancel request.
    pub polls_after_acceptance: usize,
    /// Cancel requests that the controller has sent.
    pub posts: usize,
    /// The highest `cancelAttempts` that the API server has stored.
    pub intents: usize,
    /// The outcome that the API server has stored.
    pub outcome: Option<String>,
    /// Whether the object that shows that the controller works has its outcome.
    pub is_witness_finished: bool,
    /// GETs and cancel requests since the outcome was stored.
    pub calls_after_outcome: usize,
    /// Which guarantees were broken.
    pub violations: Vec<String>,
    /// Whether a process has taken the Lease.
    pub has_leader: bool,
    /// How often each process was started.
    starts: BTreeMap<usize, usize>,
    /// Which start of each process has listed the objects last.
    listed: BTreeMap<usize, usize>,
}

impl Record {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            facts: watch::Sender::new(Facts {
                begun: Instant::now(),
                lines: Vec::new(),
                counts: BTreeMap::new(),
                trace: BTreeSet::new(),
                answers: BTreeMap::new(),
                polls_after_acceptance: 0,
                posts: 0,
                intents: 0,
                outcome: None,
                is_witness_finished: false,
                calls_after_outcome: 0,
                violations: Vec::new(),
                has_leader: false,
                starts: BTreeMap::new(),
                listed: BTreeMap::new(),
            }),
        }
    }

    /// What has happened so far.
    pub fn facts(&self) -> watch::Ref<'_, Facts> {
        self.facts.borrow()
    }

    /// Waits until the facts are as wanted, at most so long.
    pub async fn wait(
        &self,
        limit: Duration,
        wanted: impl Fn(&Facts) -> bool,
    ) -> Result<(), String> {
        let mut facts = self.facts.subscribe();
        let met = facts.wait_for(|facts| wanted(facts));
        match tokio::time::timeout(limit, met).await {
            Ok(met) => met.map(drop).map_err(|error| error.to_string()),
            Err(_) => Err(format!("not within {limit:?}")),
        }
    }

    /// Notes a line for people.
    pub fn say(&self, line: &str) {
        self.facts.send_modify(|facts| facts.say(line));
    }

    /// Notes that a process starts.
    pub fn process_starts(&self, index: usize) {
        self.facts.send_modify(|facts| {
            *facts.starts.entry(index).or_default() += 1;
            facts.say(&format!("process {index} starts"));
        });
    }

    /// Notes that a process has listed the objects.
    pub fn listed(&self, index: usize) {
        self.facts.send_modify(|facts| {
            let start = facts.starts.get(&index).copied().unwrap_or_default();
            facts.listed.insert(index, start);
        });
    }

    /// Notes that a process has taken or renewed the Lease.
    pub fn lease_written(&self) {
        self.facts.send_modify(|facts| facts.has_leader = true);
    }

    /// Notes that a guarantee was broken.
    pub fn broken(&self, what: String) {
        self.facts.send_modify(|facts| facts.violations.push(what));
    }

    /// Notes a request or an event about the object of the case, or about everything. Returns its point.
    pub fn arrived(&self, kind: Kind) -> Point {
        let mut point = None;
        self.facts
            .send_modify(|facts| point = Some(facts.arrived(kind)));
        point.unwrap()
    }

    /// Notes the server's successful answer, or an event, with the object of the case in it if it has one.
    pub fn answered(&self, point: Point, object: Option<&Value>) {
        self.facts
            .send_modify(|facts| facts.answered(point.kind, object));
    }

    /// Notes that the witness has its outcome.
    pub fn witness_finished(&self) {
        self.facts
            .send_modify(|facts| facts.is_witness_finished = true);
    }
}

impl Facts {
    /// Whether the process has listed the objects since it was started last.
    pub fn has_listed(&self, index: usize) -> bool {
        self.starts.contains_key(&index) && self.starts.get(&index) == self.listed.get(&index)
    }

    fn say(&mut self, line: &str) {
        let at = self.begun.elapsed().as_millis();
        self.lines.push(format!("{at:>6} ms  {line}"));
    }

    fn arrived(&mut self, kind: Kind) -> Point {
        let cancels = if kind == Get { self.posts } else { 0 };
        let count = self.counts.entry((kind, cancels)).or_default();
        *count += 1;
        let point = Point {
            kind,
            cancels,
            number: *count,
        };
        self.trace.insert(point);
        if matches!(kind, Get | Cancel) && self.outcome.is_some() {
            self.calls_after_outcome += 1;
        }
        if kind == Cancel {
            self.posts += 1;
            if self.posts > self.intents {
                self.violations.push(format!(
                    "I1, I2: cancel request {} was sent while cancelAttempts was {}",
                    self.posts, self.intents
                ));
            }
            if self.outcome.is_some() {
                let late = "I3: a cancel request was sent after the outcome was stored";
                self.violations.push(late.to_owned());
            }
        }
        point
    }

    fn answered(&mut self, kind: Kind, object: Option<&Value>) {
        *self.answers.entry(kind).or_default() += 1;
        if kind == Get && self.answers.contains_key(&Cancel) {
            self.polls_after_acceptance += 1;
        }
        let Some(status) = object.and_then(|object| object.get("status")) else {
            return;
        };
        let attempts = status["cancelAttempts"].as_u64().unwrap_or(0);
        let attempts = usize::try_from(attempts).unwrap();
        if kind == Kind::StatusWrite && attempts < self.intents {
            self.violations.push(format!(
                "I8: cancelAttempts went back from {} to {attempts}",
                self.intents
            ));
        }
        self.intents = self.intents.max(attempts);
        let outcome = status["outcome"].as_str().map(str::to_owned);
        if let (Some(stored), Some(_)) = (&self.outcome, &outcome)
            && self.outcome != outcome
        {
            self.violations
                .push(format!("I3: the outcome {stored} became {outcome:?}"));
        }
        self.outcome = self.outcome.take().or(outcome);
    }
}
