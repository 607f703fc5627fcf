//! The guarantees, checked from the records. Pure: it reads no record itself.
//!
//! The order matters: the emulator's record is read first, then the audit log, then what is stored. So each intent is known whose
//! cancel request is. An outcome is compared with the calls before it after they were read the next time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use xtask::control_plane::audit::Request;

use super::claim::Claim;
use super::records::{Answer, Call, Method, Truth, Version};

/// A broken guarantee, with what shows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Violation {
    /// Its number in docs/guarantees.md.
    pub(super) invariant: &'static str,
    /// `NAMESPACE/NAME UID`, or a process.
    pub(super) object: String,
    pub(super) what: String,
    pub(super) evidence: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.invariant, self.object, self.what)?;
        self.evidence
            .iter()
            .try_for_each(|line| write!(f, "\n    {line}"))
    }
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) objects: usize,
    pub(super) versions: usize,
    pub(super) gets: usize,
    pub(super) posts: usize,
    /// Cancel requests that arrived after the answer to their intent, by the clock. The answers to the other intents were lost in a
    /// fault: for these only the numbers are compared.
    pub(super) posts_after_intent: usize,
    pub(super) outcomes: usize,
}

/// All that is known, and what was wrong.
pub(super) struct Checker {
    not_found_after: SignedDuration,
    lives: HashMap<String, Life>,
    /// The uid of the object that a key of etcd has now.
    uids: HashMap<String, String>,
    /// When the API server received a write, and when its answer was complete, by the version that it stored.
    writes: HashMap<u64, Written>,
    /// The uid that a call without an answer was made for.
    unanswered: BTreeMap<u64, String>,
    /// Calls for objects that were not known yet.
    early: Vec<Call>,
    /// Objects with cancel requests whose intent was not found in the audit log yet.
    unconfirmed: BTreeSet<String>,
    not_judged: BTreeSet<String>,
    violations: Vec<Violation>,
    counts: Counts,
}

#[derive(Clone, Copy)]
struct Written {
    received: Timestamp,
    completed: Timestamp,
}

/// One uid.
struct Life {
    version: Version,
    /// The versions that raised `cancelAttempts`: the first one to 1, and so on.
    intents: Vec<u64>,
    /// The version that recorded the outcome.
    outcome: Option<Version>,
    deleted: bool,
    forgotten: bool,
    gets: Vec<Call>,
    posts: Vec<Call>,
    confirmed: BTreeSet<usize>,
}

impl Checker {
    /// `not_found_after` is the controller's `--not-found-after`.
    pub(super) fn new(not_found_after: SignedDuration) -> Self {
        Self {
            not_found_after,
            lives: HashMap::new(),
            uids: HashMap::new(),
            writes: HashMap::new(),
            unanswered: BTreeMap::new(),
            early: Vec::new(),
            unconfirmed: BTreeSet::new(),
            not_judged: BTreeSet::new(),
            violations: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// The violations so far.
    pub(super) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// What was checked so far.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// The latest versions of the objects that exist.
    pub(super) fn existing(&self) -> impl Iterator<Item = &Version> {
        let lives = self.lives.values().filter(|life| !life.deleted);
        lives.map(|life| &life.version)
    }

    /// How many objects have an outcome, by the outcome.
    pub(super) fn outcomes(&self) -> BTreeMap<&str, usize> {
        let mut outcomes = BTreeMap::new();
        for life in self.lives.values() {
            if let Some(outcome) = &life.version.outcome {
                *outcomes.entry(outcome.as_str()).or_default() += 1;
            }
        }
        outcomes
    }

    /// A call that the emulator received, or one whose answer was pending before.
    pub(super) fn call(&mut self, call: Call) {
        if let Some(uid) = self.unanswered.get(&call.sequence).cloned() {
            self.answered(&uid, &call);
            return;
        }
        match call.method {
            Method::Get => self.counts.gets += 1,
            Method::Cancel => self.counts.posts += 1,
            Method::List => return,
        }
        if call.answer == Answer::Pending {
            self.unanswered.insert(call.sequence, call.uid.clone());
        }
        self.early.push(call);
    }

    /// The earliest call without an answer.
    pub(super) fn first_unanswered(&self) -> Option<u64> {
        self.unanswered.keys().next().copied()
    }

    /// Whether the call of this number had no answer when it was read.
    pub(super) fn is_unanswered(&self, sequence: u64) -> bool {
        self.unanswered.contains_key(&sequence)
    }

    fn answered(&mut self, uid: &str, call: &Call) {
        if call.answer == Answer::Pending {
            return;
        }
        self.unanswered.remove(&call.sequence);
        let known = self.lives.get_mut(uid).into_iter();
        let known = known.flat_map(|life| life.gets.iter_mut().chain(&mut life.posts));
        for before in known.chain(&mut self.early) {
            if before.sequence == call.sequence {
                before.answer = call.answer;
            }
        }
    }

    /// A request in the API server's audit log.
    pub(super) fn request(&mut self, request: &Request) {
        let of_controller = request.is_from("opcancel-system", "opcancel-controller");
        if !of_controller || request.resource != "operationcancellations" {
            return;
        }
        if request.verb.starts_with("delete") {
            let object = format!("{}/{}", request.namespace, request.name);
            let what = "the controller deletes an object".to_owned();
            self.violated("I13", object, what, vec![describe(request)]);
        }
        let version = request.answer.as_ref();
        let version = version.and_then(|answer| answer.pointer("/metadata/resourceVersion"));
        let version = version.and_then(|version| version.as_str()?.parse().ok());
        if let Some(version) = version
            && request.is_write()
            && (200..300).contains(&request.code)
        {
            // A write that changes nothing is answered with the version that another one stored.
            self.writes.entry(version).or_insert(Written {
                received: request.received,
                completed: request.completed,
            });
        }
    }

    /// A version that was stored under this key.
    pub(super) fn stored(&mut self, key: &str, version: Version) {
        self.counts.versions += 1;
        self.uids.insert(key.to_owned(), version.uid.clone());
        if version.has_finalizers {
            let what = "the object has a finalizer".to_owned();
            self.violated("I13", name(&version), what, vec![stored(&version)]);
        }
        let uid = version.uid.clone();
        let Some(life) = self.lives.get(&uid) else {
            self.counts.objects += 1;
            if version.attempts > 0 || version.outcome.is_some() {
                let what = "a new object has the status of another one".to_owned();
                self.violated("I5", name(&version), what, vec![stored(&version)]);
            }
            self.lives.insert(uid, Life::new(version));
            return;
        };
        for (invariant, what) in changed(&life.version, &version) {
            let evidence = vec![stored(&life.version), stored(&version)];
            self.violations.push(Violation {
                invariant,
                object: name(&version),
                what,
                evidence,
            });
        }
        if let Some(life) = self.lives.get_mut(&uid) {
            life.follow(version);
            if life.outcome.as_ref() == Some(&life.version) {
                self.counts.outcomes += 1;
                self.not_judged.insert(uid);
            }
        }
    }

    /// The object under this key was deleted.
    pub(super) fn deleted(&mut self, key: &str) {
        let uid = self.uids.remove(key);
        if let Some(life) = uid.and_then(|uid| self.lives.get_mut(&uid)) {
            life.deleted = true;
        }
    }

    /// Compares cancel requests and intents: everything that was stored before the last call is known now.
    pub(super) fn compare(&mut self) {
        for call in std::mem::take(&mut self.early) {
            self.assign(call);
        }
        for uid in std::mem::take(&mut self.unconfirmed) {
            self.confirm(&uid);
        }
    }

    fn assign(&mut self, call: Call) {
        let Some(life) = self.lives.get_mut(&call.uid) else {
            let what = "a call for an object that never was".to_owned();
            self.violated("I5", call.uid.clone(), what, vec![received(&call)]);
            return;
        };
        let object = name(&life.version);
        let version = stored(&life.version);
        let other = (life.version.operation != call.operation).then(|| received(&call));
        let mut surplus = None;
        if call.method == Method::Cancel {
            let uid = call.uid.clone();
            life.posts.push(call);
            if life.posts.len() > life.intents.len() {
                surplus = Some(life.posts.iter().map(received).collect::<Vec<_>>());
            } else {
                self.unconfirmed.insert(uid);
            }
        } else {
            life.gets.push(call);
        }
        if let Some(call) = other {
            let what = "a call for another operation than the object's".to_owned();
            self.violated("I5", object.clone(), what, vec![version.clone(), call]);
        }
        if let Some(sent) = surplus {
            let what = format!("{} cancel requests and fewer intents", sent.len());
            self.violated("I2", object, what, [vec![version], sent].concat());
        }
    }

    /// Compares the times of an object's cancel requests with those of the answers to their intents.
    fn confirm(&mut self, uid: &str) {
        let Some(life) = self.lives.get_mut(uid) else {
            return;
        };
        let mut early = Vec::new();
        for (index, (post, intent)) in life.posts.iter().zip(&life.intents).enumerate() {
            let Some(written) = self.writes.get(intent) else {
                continue;
            };
            if !life.confirmed.insert(index) {
                continue;
            }
            self.counts.posts_after_intent += 1;
            if post.received < written.completed {
                let answer = format!(
                    "audit log: version {intent} with cancelAttempts {} was answered at {}",
                    index + 1,
                    written.completed
                );
                early.push(vec![answer, received(post)]);
            }
        }
        if life.confirmed.len() < life.posts.len() {
            self.unconfirmed.insert(uid.to_owned());
        }
        let object = name(&life.version);
        for evidence in early {
            let what = "a cancel request left before its intent was stored".to_owned();
            self.violated("I1", object.clone(), what, evidence);
        }
    }

    /// The objects whose outcomes were not compared with the truth yet. To be taken before calls are read: etcd may answer seconds later,
    /// and then it has outcomes of calls that are not known yet.
    pub(super) fn take_unjudged(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.not_judged)
    }

    /// Compares the outcomes of these objects with what the emulator says of the operations `now`.
    pub(super) fn judge(&mut self, unjudged: BTreeSet<String>, truths: &[Truth], now: Timestamp) {
        let truths: HashMap<&str, &Truth> = truths
            .iter()
            .map(|truth| (truth.name.as_str(), truth))
            .collect();
        for uid in unjudged {
            let Some(life) = self.lives.get(&uid) else {
                continue;
            };
            let Some(version) = &life.outcome else {
                continue;
            };
            let written = self.writes.get(&version.revision);
            let written = written.map_or(now, |written| written.received);
            let truth = truths.get(version.operation.as_str()).copied();
            let claim = Claim {
                version,
                gets: &life.gets,
                posts: &life.posts,
                written,
            };
            if let Err(what) = claim.check(truth, self.not_found_after) {
                let calls = life.gets.iter().chain(&life.posts);
                let mut evidence = vec![stored(version), format!("emulator: {truth:?}")];
                evidence.extend(calls.rev().take(6).map(received));
                self.violated("I4", name(version), what, evidence);
            }
        }
    }

    /// Forgets the calls for objects that were deleted, and returns the operations that no object needs any more.
    pub(super) fn forget_deleted(&mut self) -> Vec<String> {
        let is_over = |uid: &String, life: &Life| life.deleted && !self.not_judged.contains(uid);
        let lives = self.lives.iter();
        let needed: BTreeSet<String> = lives
            .filter(|(uid, life)| !is_over(uid, life))
            .map(|(_, life)| life.version.operation.clone())
            .collect();
        let mut gone = BTreeSet::new();
        for (uid, life) in &mut self.lives {
            if is_over(uid, life) && !std::mem::replace(&mut life.forgotten, true) {
                life.gets.clear();
                gone.insert(life.version.operation.clone());
            }
        }
        gone.difference(&needed).cloned().collect()
    }

    /// An object that had to finish by now and has not.
    pub(super) fn not_finished(&mut self) {
        let unfinished: Vec<_> = self
            .existing()
            .filter(|version| version.outcome.is_none())
            .map(|version| {
                let evidence = vec![stored(version), format!("status: {}", version.status)];
                (name(version), evidence)
            })
            .collect();
        for (object, evidence) in unfinished {
            let what = "the faults have stopped, and the object does not finish".to_owned();
            self.violated("I9", object, what, evidence);
        }
    }

    /// Notes that something happened when all had to be quiet.
    pub(super) fn not_quiet(&mut self, evidence: Vec<String>) {
        let what = "all objects have finished, and there are still requests".to_owned();
        self.violated("I9", "the controller".to_owned(), what, evidence);
    }

    /// Notes that a process still has so many objects in memory when all have finished.
    pub(super) fn not_forgotten(&mut self, process: String, kept: f64) {
        let what = format!("all objects have finished, and it has {kept} in memory");
        self.violated("I9", process, what, Vec::new());
    }

    /// Notes a broken guarantee.
    pub(super) fn violated(
        &mut self,
        invariant: &'static str,
        object: String,
        what: String,
        evidence: Vec<String>,
    ) {
        self.violations.push(Violation {
            invariant,
            object,
            what,
            evidence,
        });
    }
}

impl Life {
    const fn new(version: Version) -> Self {
        Self {
            version,
            intents: Vec::new(),
            outcome: None,
            deleted: false,
            forgotten: false,
            gets: Vec::new(),
            posts: Vec::new(),
            confirmed: BTreeSet::new(),
        }
    }

    fn follow(&mut self, version: Version) {
        for _ in self.version.attempts..version.attempts {
            self.intents.push(version.revision);
        }
        if self.outcome.is_none() && version.outcome.is_some() {
            self.outcome = Some(version.clone());
        }
        self.version = version;
    }
}

/// What must not change from one version of an object to the next.
fn changed(before: &Version, after: &Version) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    if before.outcome.is_some() && before.status != after.status {
        wrong.push(("I3", "the status changes after the outcome".to_owned()));
    }
    if after.operation != before.operation {
        wrong.push(("I5", "the operation changes".to_owned()));
    }
    if after.attempts < before.attempts {
        wrong.push(("I8", "cancelAttempts goes back".to_owned()));
    }
    if after.attempts > before.attempts + 1 {
        wrong.push(("I8", "cancelAttempts rises by more than one".to_owned()));
    }
    if after.outcome.is_none() && after.observed_generation < before.observed_generation {
        wrong.push(("I8", "observedGeneration goes back".to_owned()));
    }
    if before.attempts > 0 && before.start != after.start {
        wrong.push(("I10", "startTime changes after the first intent".to_owned()));
    }
    wrong
}

fn name(version: &Version) -> String {
    format!("{} {}", version.object, version.uid)
}

fn stored(version: &Version) -> String {
    format!(
        "etcd: version {} has cancelAttempts {}, observedGeneration {:?}, startTime {:?}, completionTime {:?}, outcome {:?}",
        version.revision,
        version.attempts,
        version.observed_generation,
        version.start,
        version.completion,
        version.outcome
    )
}

/// A call as a line of evidence.
pub(super) fn received(call: &Call) -> String {
    format!(
        "emulator: request {} at {}: {:?} {} for {}, answered {:?}",
        call.sequence, call.received, call.method, call.operation, call.uid, call.answer
    )
}

/// A request to the API server as a line of evidence.
pub(super) fn describe(request: &Request) -> String {
    format!(
        "audit log: {} {} by {} at {}, answered {}",
        request.verb, request.uri, request.user, request.received, request.code
    )
}

#[cfg(test)]
#[path = "invariants_tests.rs"]
mod tests;
