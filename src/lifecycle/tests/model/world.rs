//! The API server, the Google API, the users and the processes, as one value; and what has to hold of every effect.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    CALL_LIMIT, START,
    actions::{self, Action, How},
    coverage::{Coverage, Reached},
    flight::{Flight, Get, GetKind, PostKind, ReadKind, Stored},
    mutant::Mutant,
    scenario::{Budget, First, Scenario},
    shared::{Shared, TextHash},
};
use crate::{
    api::{AcceptedOutcome, CancellationStatus, Condition, ConditionStatus, Outcome, Reason},
    google::{
        answer::ErrorKind,
        catalogue,
        endpoint::EndpointOverrides,
        error_table::{self, Class},
    },
    lifecycle::{
        Cancellation, Context, Effect, Event, Grant, MalformedSpec, MayCall, Now, ObjectView,
        Settings, Spec, StatusWrite, UnknownTarget, WriteKind,
        cancellation::CancelState,
        rule::{Rule, applicable_rule},
        step,
    },
};

/// What does not change during an exploration.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    pub scenario: &'a Scenario,
    pub mutant: Option<Mutant>,
    pub coverage: &'a Coverage,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum GrantNow {
    Granted,
    NotGranted,
    Unknown,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum OperationState {
    Running,
    Cancelled,
    Completed,
    Failed,
    NoResult,
}

/// A state of the model.
#[derive(Clone, Debug, Hash)]
pub struct World {
    pub now: Duration,
    pub grant: GrantNow,
    pub objects: Vec<Object>,
    pub processes: Vec<Process>,
    pub orphans: Vec<Orphan>,
    /// The last resource version.
    pub version: u32,
    pub left: Budget,
    pub violation: Option<String>,
}

/// As the checker compares them: by their hashes.
impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }
}

/// An object as it is stored, and its operation.
#[derive(Clone, Debug, Hash)]
pub struct Object {
    /// `None` once it is deleted.
    pub view: Option<Shared<ObjectView>>,
    pub operation: OperationState,
    /// The API has accepted a cancel request.
    pub is_requested: bool,
    /// The author of each recorded attempt, from the first on.
    pub intents: Vec<Option<String>>,
    /// The attempts whose request was sent.
    pub posted: BTreeSet<i64>,
}

#[derive(Clone, Debug, Hash)]
pub struct Process {
    pub is_alive: bool,
    pub is_paused: bool,
    pub is_stopping: bool,
    /// How often it has started.
    pub starts: u8,
    /// One for each object.
    pub cells: Vec<Cell>,
}

/// What a process does for one object.
#[derive(Clone, Debug, Default, Hash)]
pub struct Cell {
    pub state: Option<Shared<Cancellation>>,
    pub wake: Option<Duration>,
    pub is_unrecorded: bool,
    pub is_over: bool,
    pub left_watch: bool,
    /// The watch has shown that it is being deleted.
    pub is_deleting: bool,
    pub flights: Vec<Flight>,
    /// What the watch has not shown yet; `None` is that the object left it.
    pub watch: Vec<Option<Shared<ObjectView>>>,
    pub evidence: Evidence,
}

/// What this process has seen, as far as an effect has to be justified by it.
#[derive(Clone, Debug, Default, Hash)]
pub struct Evidence {
    /// A request may have arrived: before the next one a GET that began after that must say that the operation runs.
    must_look: bool,
    done: Option<GetKind>,
    /// The watch has shown it suspended before an intent, and not suspended since this time.
    is_suspended: bool,
    resumed_at: Option<Duration>,
    not_found_since: Option<Duration>,
    /// When the last GET began that was answered.
    last_look_begun: Option<Duration>,
    last_get: Option<GetKind>,
    last_cancel: Option<PostKind>,
    /// The answer to a GET that began after the last answer to cancel.
    looked_after_cancel: Option<GetKind>,
}

/// A request whose process has died.
#[derive(Clone, Debug, Hash)]
pub enum Orphan {
    Post(usize),
    Write(usize, Shared<StatusWrite>),
}

impl Process {
    fn new(objects: usize) -> Self {
        Self {
            is_alive: true,
            is_paused: false,
            is_stopping: false,
            starts: 0,
            cells: vec![Cell::default(); objects],
        }
    }

    /// Whether it may end: nothing is unrecorded, and no request to the API server is under way.
    pub fn is_drained(&self) -> bool {
        self.cells
            .iter()
            .all(|cell| cell.is_over || !(cell.is_unrecorded || cell.asks_api_server()))
    }
}

impl Cell {
    fn asks_api_server(&self) -> bool {
        self.flights.iter().any(|flight| {
            matches!(
                flight,
                Flight::Write { .. }
                    | Flight::WriteAnswer(..)
                    | Flight::Turn
                    | Flight::Reread { .. }
                    | Flight::RereadAnswer(_)
            )
        })
    }

    /// From now on a GET that is under way says nothing new.
    fn look_again(&mut self) {
        for flight in &mut self.flights {
            if let Flight::Get(get) | Flight::GetAnswer(get, _) = flight {
                get.is_fresh = false;
            }
        }
    }
}

/// The condition that only a newer release knows.
const NEWER: &str = "Preview";

impl World {
    pub fn new(scenario: &Scenario) -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            grant: match scenario.granted {
                true => GrantNow::Granted,
                false => GrantNow::NotGranted,
            },
            objects: Vec::new(),
            processes: vec![Process::new(0); scenario.processes],
            orphans: Vec::new(),
            version: 0,
            left: scenario.budget,
            violation: None,
        };
        for first in scenario.objects {
            world.create(*first, scenario.deadline);
        }
        world
    }

    pub fn fingerprint(&self) -> u64 {
        let mut hash = TextHash::default();
        self.hash(&mut hash);
        hash.finish()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::new(START, 0).unwrap() + SignedDuration::try_from(self.now).unwrap()
    }

    fn create(&mut self, first: First, deadline: Duration) {
        let number = self.objects.len();
        self.version += 1;
        let spec = spec(first, number, deadline);
        let view = ObjectView {
            uid: format!("uid-{number}"),
            namespace: "team".to_owned(),
            name: "stop".to_owned(),
            resource_version: self.version.to_string(),
            generation: 1,
            created: Timestamp::new(self.wall().as_second(), 0).unwrap(),
            deleting: false,
            spec,
            status: CancellationStatus {
                observed_generation: Some(-1),
                ..CancellationStatus::default()
            },
        };
        let view = Shared::new(view);
        self.objects.push(Object {
            view: Some(view.clone()),
            operation: OperationState::Running,
            is_requested: false,
            intents: Vec::new(),
            posted: BTreeSet::new(),
        });
        for process in &mut self.processes {
            process.cells.push(Cell::default());
            if process.is_alive {
                process.cells[number].watch.push(Some(view.clone()));
            }
        }
    }

    pub fn violate(&mut self, what: impl Into<String>) {
        self.violation.get_or_insert(what.into());
    }

    pub fn perform(&mut self, action: Action, rules: &Rules<'_>) {
        match action {
            Action::Arrive(p, o, i, how) => {
                self.arrive(p, o, i, how, rules);
                if rules.scenario.budget.slow == 0 && !self.processes[p].is_paused {
                    // Nothing comes between the answer and its arrival.
                    let last = self.processes[p].cells[o].flights.len() - 1;
                    self.deliver(p, o, last, rules);
                }
            }
            Action::Deliver(p, o, i) => self.deliver(p, o, i, rules),
            Action::Watch(p, o) => {
                let shown = self.processes[p].cells[o].watch.remove(0);
                self.show(p, o, shown, rules);
            }
            Action::WatchLast(p, o) => {
                self.left.stale -= 1;
                let mut watch = std::mem::take(&mut self.processes[p].cells[o].watch);
                // A list does not have an object that is gone, even if another one has its name now.
                let has_left = watch.iter().any(Option::is_none);
                let last = watch.pop().unwrap();
                self.show(p, o, last.filter(|_| !has_left), rules);
            }
            Action::Wake(p, o) => {
                self.processes[p].cells[o].wake = None;
                self.step(p, o, Event::Woken, rules);
            }
            Action::Advance => self.advance(),
            Action::OperationEnds(o, end) => {
                if end != OperationState::Cancelled {
                    self.left.ends -= 1;
                }
                self.objects[o].operation = end;
            }
            Action::Suspend(o) => {
                self.left.edits -= 1;
                self.edit(o, |spec| spec.suspend = !spec.suspend);
            }
            Action::EditDeadline(o) => {
                self.left.edits -= 1;
                let first = rules.scenario.deadline;
                self.edit(o, |spec| {
                    spec.deadline = if spec.deadline == first {
                        first / 2
                    } else {
                        first
                    };
                });
            }
            Action::HandEdit(o) => {
                self.left.hand_edits -= 1;
                self.objects[o].intents.push(None);
                self.change(o, |view| {
                    let attempts = view.status.cancel_attempts.unwrap_or(0);
                    view.status.cancel_attempts = Some(attempts + 1);
                });
            }
            Action::MarkDeleting(o) => {
                self.left.deletions -= 1;
                self.change(o, |view| view.deleting = true);
            }
            Action::Delete(o) => {
                self.left.deletions = self.left.deletions.saturating_sub(1);
                self.objects[o].view = None;
                self.show_all(o, None);
            }
            Action::Recreate => {
                self.create(First::Good, rules.scenario.deadline);
                self.show_to_the_old();
            }
            Action::Grants(grant) => {
                self.left.grants -= 1;
                self.set_grants(grant);
            }
            Action::Crash(p) => {
                self.left.crashes -= 1;
                self.end_process(p);
            }
            Action::Exit(p) => self.end_process(p),
            Action::Start(p) => self.start_process(p),
            Action::Stop(p) => {
                self.left.stops -= 1;
                self.processes[p].is_stopping = true;
                for o in 0..self.objects.len() {
                    if self.processes[p].cells[o].is_unrecorded {
                        self.step(p, o, Event::Woken, rules);
                    }
                }
            }
            Action::Pause(p) => {
                self.left.pauses -= 1;
                self.processes[p].is_paused = true;
            }
            Action::Resume(p) => self.processes[p].is_paused = false,
            Action::OrphanArrives(i) => match self.orphans.remove(i) {
                Orphan::Post(o) => {
                    self.objects[o].accept();
                }
                Orphan::Write(o, write) => {
                    self.store(o, &write, rules);
                }
            },
            Action::OrphanIsLost(i) => {
                self.orphans.remove(i);
            }
        }
    }

    /// A watch by name shows the new object to the processes that still work on the old one.
    fn show_to_the_old(&mut self) {
        let new = self.objects.last().and_then(|object| object.view.clone());
        for process in self.processes.iter_mut().filter(|p| p.is_alive) {
            if let Some(cell) = process.cells.first_mut()
                && cell.state.is_some()
            {
                cell.watch.push(new.clone());
            }
        }
    }

    pub fn set_grants(&mut self, grant: GrantNow) {
        self.grant = grant;
        let now = self.now;
        for cell in self.processes.iter_mut().flat_map(|p| &mut p.cells) {
            if cell.state.is_some() && !cell.is_over {
                cell.wake = Some(now);
            }
        }
    }

    fn advance(&mut self) {
        let Some(to) = actions::advance_to(self) else {
            return;
        };
        let (slow, stale) = actions::advance_costs(self);
        self.left.slow -= u8::from(slow);
        self.left.stale -= u8::from(stale);
        self.now = to;
    }

    pub fn end_process(&mut self, p: usize) {
        let process = &mut self.processes[p];
        process.is_alive = false;
        process.is_paused = false;
        for (o, cell) in process.cells.iter_mut().enumerate() {
            let cell = std::mem::take(cell);
            self.orphans.extend(orphans(o, cell.flights));
        }
    }

    pub fn start_process(&mut self, p: usize) {
        let process = &mut self.processes[p];
        process.is_alive = true;
        process.is_stopping = false;
        process.starts += 1;
        for (cell, object) in process.cells.iter_mut().zip(&self.objects) {
            *cell = Cell::default();
            cell.watch
                .extend(object.view.clone().filter(is_watched).map(Some));
        }
    }

    /// A change of the spec.
    pub fn edit(&mut self, o: usize, change: impl FnOnce(&mut Spec)) {
        self.change(o, |view| {
            if let Ok(spec) = &mut view.spec {
                change(spec);
                view.generation += 1;
            }
        });
    }

    /// A new version of the object, which the watches will show.
    fn change(
        &mut self,
        o: usize,
        change: impl FnOnce(&mut ObjectView),
    ) -> Option<Shared<ObjectView>> {
        let object = &mut self.objects[o];
        let mut view = (**object.view.as_ref()?).clone();
        change(&mut view);
        self.version += 1;
        view.resource_version = self.version.to_string();
        let view = Shared::new(view);
        object.view = Some(view.clone());
        self.show_all(o, Some(view.clone()).filter(is_watched));
        Some(view)
    }

    fn show_all(&mut self, o: usize, shown: Option<Shared<ObjectView>>) {
        for process in self.processes.iter_mut().filter(|p| p.is_alive) {
            process.cells[o].watch.push(shown.clone());
        }
    }

    /// A request reaches its server.
    pub fn arrive(&mut self, p: usize, o: usize, i: usize, how: How, rules: &Rules<'_>) {
        let flight = self.processes[p].cells[o].flights.remove(i);
        let answer = match flight {
            Flight::Get(get) => Flight::GetAnswer(get, self.answer_get(o, how)),
            Flight::Post { .. } => Flight::PostAnswer(self.answer_post(o, how)),
            Flight::Write { write, .. } => {
                Flight::WriteAnswer(write.kind, self.answer_write(o, &write, how, rules))
            }
            Flight::Reread { .. } => Flight::RereadAnswer(match how {
                How::ReadRefused | How::ReadFailed => {
                    self.left.writes -= 1;
                    match how {
                        How::ReadRefused => ReadKind::Refused,
                        _ => ReadKind::Failed,
                    }
                }
                _ => match self.of_this_name(o, rules) {
                    Some(view) => ReadKind::Read(view.clone()),
                    None => ReadKind::Gone,
                },
            }),
            answer => answer,
        };
        self.processes[p].cells[o].flights.push(answer);
    }

    /// What the API server has under the name of this object: another one, if it was deleted and created again.
    fn of_this_name(&self, o: usize, rules: &Rules<'_>) -> Option<&Shared<ObjectView>> {
        let again = self.objects.get(rules.scenario.objects.len()..);
        let again = again.and_then(<[Object]>::first).filter(|_| o == 0);
        let view = &self.objects[o].view;
        view.as_ref().or_else(|| again?.view.as_ref())
    }

    fn answer_get(&mut self, o: usize, how: How) -> GetKind {
        match how {
            How::GetError(kind) => {
                self.left.answers -= 1;
                GetKind::Error(kind)
            }
            How::Withheld => GetKind::Withheld,
            _ => self.objects[o].operation.seen(),
        }
    }

    fn answer_post(&mut self, o: usize, how: How) -> PostKind {
        match how {
            How::CancelError(kind) => {
                self.left.answers -= 1;
                PostKind::Error(kind)
            }
            How::CancelLost => {
                self.left.answers -= 1;
                self.objects[o].accept();
                PostKind::Error(ErrorKind::Timeout)
            }
            How::CancelNotSent => {
                self.left.answers -= 1;
                PostKind::NotSent
            }
            How::Withheld => PostKind::Withheld,
            _ => self.objects[o].accept(),
        }
    }

    fn answer_write(
        &mut self,
        o: usize,
        write: &Shared<StatusWrite>,
        how: How,
        rules: &Rules<'_>,
    ) -> Stored {
        match how {
            How::WriteLost { stored } => {
                self.left.writes -= 1;
                if stored {
                    self.store(o, write, rules);
                }
                Stored::Unconfirmed
            }
            How::WriteFailed => {
                self.left.writes -= 1;
                Stored::Failed
            }
            How::WriteBusy => {
                self.left.writes -= 1;
                Stored::Busy
            }
            _ => self.store(o, write, rules),
        }
    }

    /// The API server's side of a write.
    fn store(&mut self, o: usize, write: &Shared<StatusWrite>, rules: &Rules<'_>) -> Stored {
        let Some(before) = self.objects[o].view.clone() else {
            // The write names the uid.
            return match self.of_this_name(o, rules) {
                Some(other) => Stored::Conflict(other.clone()),
                None => Stored::Gone,
            };
        };
        let is_guarded = rules.mutant != Some(Mutant::WithoutGuard);
        if write.base != before.resource_version && is_guarded {
            return Stored::Conflict(before);
        }
        let after = &*write.status;
        if *after == before.status {
            return Stored::Written(before);
        }
        self.check_stored(&before, write);
        if let Some(after) = after
            .cancel_attempts
            .filter(|_| write.kind == WriteKind::Intent)
        {
            let intents = &mut self.objects[o].intents;
            if let Ok(length) = usize::try_from(after) {
                intents.resize(length.max(intents.len()), None);
                if let Some(last) = intents.get_mut(length.saturating_sub(1)) {
                    *last = after_author(write);
                }
            }
        }
        match self.change(o, |view| view.status = after.clone()) {
            Some(view) => Stored::Written(view),
            None => Stored::Gone,
        }
    }

    /// What has to hold of every write that is stored.
    fn check_stored(&mut self, before: &ObjectView, write: &StatusWrite) {
        let (old, new) = (&before.status, &*write.status);
        let attempts = |status: &CancellationStatus| status.cancel_attempts.unwrap_or(0);
        if old.outcome.is_some() {
            self.violate("I3: a write after the outcome");
        }
        if attempts(new) < attempts(old) {
            self.violate("I8: cancelAttempts goes back");
        }
        let raised = attempts(new) - attempts(old);
        match write.kind {
            WriteKind::Intent if raised != 1 => self.violate("I1: an intent that raises nothing"),
            WriteKind::Progress | WriteKind::Outcome if raised != 0 => {
                self.violate("I1: another write raises cancelAttempts");
            }
            _ => {}
        }
        if new.outcome.is_none() && new.observed_generation < old.observed_generation {
            self.violate("I8: observedGeneration goes back");
        }
        if attempts(old) > 0 && old.start_time.is_some() && new.start_time != old.start_time {
            self.violate("I10: the start moves after the first intent");
        }
        let suspended = before.spec.as_ref().is_ok_and(|spec| spec.suspend);
        if suspended && attempts(new) == 0 && new.outcome.is_none() && new.start_time.is_some() {
            self.violate("I10: the time of a suspended object counts");
        }
        let lost = old.conditions.iter().any(|condition| {
            condition.type_ == NEWER && new.conditions.iter().all(|new| new.type_ != NEWER)
        });
        if lost {
            self.violate("a condition of a newer release is lost");
        }
        if new.outcome.is_some() != (write.kind == WriteKind::Outcome) {
            self.violate("I4: an outcome in another write");
        }
    }

    /// I4: the process has seen what it records.
    fn check_outcome(&mut self, p: usize, o: usize, write: &StatusWrite, outcome: Outcome) {
        let Some(state) = self.processes[p].cells[o].state.clone() else {
            return;
        };
        let before = state.object();
        let evidence = &self.processes[p].cells[o].evidence;
        let invalid = ErrorKind::InvalidArgument;
        let is_justified = match outcome {
            Outcome::Cancelled => evidence.done == Some(GetKind::Cancelled),
            Outcome::Completed => {
                matches!(evidence.done, Some(GetKind::Completed | GetKind::NoResult))
            }
            Outcome::Failed => evidence.done == Some(GetKind::Failed),
            Outcome::Ended => false,
            Outcome::NotFound => evidence
                .not_found_since
                .is_some_and(|since| self.now - since >= SETTINGS.not_found_after / 5),
            Outcome::Unsupported => {
                let stored = before.status.conditions.iter().any(|condition| {
                    condition.type_ == "CancelRequested"
                        && condition.reason == Reason::Unsupported.name()
                });
                let answered = matches!(evidence.last_cancel, Some(PostKind::Error(kind)) if {
                    use Class::{Impossible, NotOffered, NotServed};
                    let class = error_table::meaning(kind, crate::api::Call::Cancel).class;
                    matches!(class, Impossible | NotOffered | NotServed)
                });
                let looked = matches!(
                    evidence.looked_after_cancel,
                    Some(GetKind::Running | GetKind::Error(ErrorKind::Unimplemented))
                );
                (stored || answered) && looked
            }
            Outcome::Rejected => {
                before.spec.is_err()
                    || (evidence.last_get == Some(GetKind::Error(invalid))
                        || evidence.last_cancel == Some(PostKind::Error(invalid)))
            }
            Outcome::Unknown => self.is_past_deadline(p, o, before, write),
        };
        if !is_justified {
            self.violate(format!("I4: {outcome:?} without its reason"));
        }
    }

    fn is_past_deadline(
        &self,
        p: usize,
        o: usize,
        before: &ObjectView,
        write: &StatusWrite,
    ) -> bool {
        let evidence = &self.processes[p].cells[o].evidence;
        let (Ok(spec), Some(start)) = (&before.spec, &write.status.start_time) else {
            return false;
        };
        let begun = Duration::from_secs((start.0.as_second() - START).unsigned_abs());
        let deadline = begun + spec.deadline;
        let may_look = self.grant == GrantNow::Granted && spec.service_account_name.is_none();
        let looked = evidence.last_look_begun.is_some_and(|at| at >= deadline);
        self.now >= deadline && evidence.done.is_none() && (looked || !may_look)
    }

    /// An answer reaches its process.
    pub fn deliver(&mut self, p: usize, o: usize, i: usize, rules: &Rules<'_>) {
        let flight = self.processes[p].cells[o].flights.remove(i);
        let coverage = rules.coverage;
        let event = match flight {
            Flight::GetAnswer(get, kind) => {
                self.note_get(p, o, &get, kind, coverage);
                match kind {
                    GetKind::Withheld => Event::GetWithheld,
                    kind => Event::GetAnswered(kind.answer()),
                }
            }
            Flight::PostAnswer(kind) => {
                self.note_post(p, o, kind, coverage);
                match kind {
                    PostKind::Withheld => Event::CancelWithheld,
                    kind => Event::CancelAnswered(kind.answer()),
                }
            }
            Flight::WriteAnswer(_, stored) => {
                coverage.note(match &stored {
                    Stored::Written(_) => Reached::WriteWritten,
                    Stored::Conflict(_) => Reached::WriteConflict,
                    Stored::Unconfirmed => Reached::WriteUnconfirmed,
                    Stored::Failed => Reached::WriteFailed,
                    Stored::Busy => Reached::WriteBusy,
                    Stored::Gone => Reached::WriteGone,
                });
                Event::WriteAnswered(stored.answer())
            }
            Flight::Turn => Event::WriteTurn,
            Flight::RereadAnswer(read) => match read {
                ReadKind::Read(view) => Event::Reread(Some(Box::new((*view).clone()))),
                ReadKind::Refused => {
                    coverage.note(Reached::RereadRefused);
                    Event::Reread(None)
                }
                ReadKind::Failed => {
                    coverage.note(Reached::RereadFailed);
                    Event::RereadFailed
                }
                ReadKind::Gone => {
                    coverage.note(Reached::RereadGone);
                    Event::Gone
                }
            },
            request => {
                self.processes[p].cells[o].flights.push(request);
                return;
            }
        };
        if self.processes[p].cells[o].is_over {
            return;
        }
        self.step(p, o, event, rules);
        let cell = &mut self.processes[p].cells[o];
        if cell.left_watch && !cell.asks_api_server() {
            self.finish(p, o);
        }
    }

    fn note_get(&mut self, p: usize, o: usize, get: &Get, kind: GetKind, coverage: &Coverage) {
        match kind {
            GetKind::Running => coverage.note(Reached::GetRunning),
            GetKind::Cancelled => coverage.note(Reached::GetCancelled),
            GetKind::Completed => coverage.note(Reached::GetCompleted),
            GetKind::Failed => coverage.note(Reached::GetFailed),
            GetKind::NoResult => coverage.note(Reached::GetNoResult),
            GetKind::Withheld => coverage.note(Reached::GetWithheld),
            GetKind::Error(kind) => coverage.note_get_error(kind),
        }
        if kind == GetKind::Withheld {
            return;
        }
        let now = self.now;
        let evidence = &mut self.processes[p].cells[o].evidence;
        evidence.last_get = Some(kind);
        evidence.last_look_begun = evidence.last_look_begun.max(Some(get.begun));
        evidence.not_found_since = match kind {
            GetKind::Error(ErrorKind::NotFound) => evidence.not_found_since.or(Some(now)),
            _ => None,
        };
        if kind.is_done() {
            evidence.done.get_or_insert(kind);
        }
        if get.is_fresh {
            evidence.looked_after_cancel = Some(kind);
            if kind == GetKind::Running {
                evidence.must_look = false;
            }
        }
    }

    fn note_post(&mut self, p: usize, o: usize, kind: PostKind, coverage: &Coverage) {
        let cell = &mut self.processes[p].cells[o];
        match kind {
            PostKind::Accepted => coverage.note(Reached::CancelWasAccepted),
            PostKind::NotSent => coverage.note(Reached::CancelNotSentOut),
            PostKind::Withheld => coverage.note(Reached::CancelWithheld),
            PostKind::Error(kind) => {
                coverage.note_cancel_error(kind);
                let class = error_table::meaning(kind, crate::api::Call::Cancel).class;
                cell.evidence.must_look |= class.may_have_arrived();
            }
        }
        if kind != PostKind::Withheld {
            cell.evidence.last_cancel = Some(kind);
        }
        cell.evidence.looked_after_cancel = None;
        cell.look_again();
    }

    /// The watch shows the object, or that it left.
    pub fn show(
        &mut self,
        p: usize,
        o: usize,
        shown: Option<Shared<ObjectView>>,
        rules: &Rules<'_>,
    ) {
        let now = self.now();
        let cell = &mut self.processes[p].cells[o];
        if cell.is_over {
            return;
        }
        if let Some(view) = &shown {
            let suspends = view.spec.as_ref().is_ok_and(|spec| spec.suspend)
                && view.status.cancel_attempts.unwrap_or(0) == 0;
            let evidence = &mut cell.evidence;
            if evidence.is_suspended && !suspends {
                evidence.resumed_at = Some(self.now);
            }
            evidence.is_suspended = suspends;
        }
        cell.is_deleting |= shown.as_ref().is_some_and(|view| view.deleting);
        match (shown, &cell.state) {
            (Some(view), None) => {
                let state = Cancellation::new((*view).clone(), now);
                cell.evidence.must_look = state.object().cancel_attempts() > 0;
                cell.state = Some(Shared::new(state));
                self.step(p, o, Event::Woken, rules);
            }
            (Some(view), Some(state)) => {
                if view.version_number() > state.object().version_number() {
                    self.step(p, o, Event::Watched(Box::new((*view).clone())), rules);
                }
            }
            (None, None) => cell.is_over = true,
            (None, Some(_)) if cell.asks_api_server() => cell.left_watch = true,
            (None, Some(_)) => {
                self.step(p, o, Event::Gone, rules);
                self.finish(p, o);
            }
        }
    }

    fn finish(&mut self, p: usize, o: usize) {
        let cell = &mut self.processes[p].cells[o];
        cell.is_over = true;
        cell.wake = None;
        cell.state = None;
        cell.is_unrecorded = false;
        cell.watch.clear();
        cell.evidence = Evidence::default();
        self.orphans
            .extend(orphans(o, std::mem::take(&mut cell.flights)));
    }

    fn now(&self) -> Now {
        Now {
            wall: self.wall(),
            mono: self.now,
        }
    }

    fn holder(&self, p: usize) -> String {
        holder_id(p, usize::from(self.processes[p].starts))
    }

    /// The process that worked before: the other one, or the last one in this place.
    fn predecessor(&self, p: usize) -> Option<String> {
        if self.processes.len() > 1 {
            return Some(self.holder(1 - p));
        }
        let starts = usize::from(self.processes[p].starts);
        (starts > 0).then(|| holder_id(p, starts - 1))
    }

    /// The process lets the life cycle decide, and carries out the effects.
    fn step(&mut self, p: usize, o: usize, event: Event, rules: &Rules<'_>) {
        let Some(before) = self.processes[p].cells[o].state.clone() else {
            return;
        };
        let holder = self.holder(p);
        let predecessor = self.predecessor(p);
        let may_write = !rules.scenario.queued || matches!(event, Event::WriteTurn);
        let mut context = Context {
            now: self.now(),
            jitter: 0.5,
            settings: &SETTINGS,
            holder: &holder,
            others: match rules.scenario.elected {
                true => crate::lifecycle::Others::HaveStopped(predecessor.as_deref()),
                false => crate::lifecycle::Others::MayWork,
            },
            grant: match self.grant {
                GrantNow::Granted => Grant::Granted,
                GrantNow::NotGranted => Grant::NotGranted,
                GrantNow::Unknown => Grant::Unknown,
            },
            principal: None,
            quota: Default::default(),
            may_call: MayCall::ALL,
            stopping: self.processes[p].is_stopping,
            may_write,
        };
        let mut state = (*before).clone();
        let event = match rules.mutant {
            Some(mutant) => mutant.event(event, &state, &mut context),
            None => event,
        };
        let mut plan = step(&mut state, event, &context);
        if let Some(mutant) = rules.mutant {
            mutant.after(&before, &mut state, &mut plan, &context);
        }
        note_state(&state, &context, rules.coverage);
        if plan.foreign_intent.is_some() {
            rules.coverage.note(Reached::ForeignIntent);
        }
        let is_raised = state.object().cancel_attempts() > before.object().cancel_attempts();
        let author = state.object().status.cancel_attempted_by.as_deref();
        if is_raised && author != Some(&holder) {
            let cell = &mut self.processes[p].cells[o];
            cell.evidence.must_look = true;
            cell.look_again();
        }
        let cell = &mut self.processes[p].cells[o];
        cell.wake = plan.wake_at;
        cell.is_unrecorded = plan.unrecorded;
        if has_known_answer(&state) {
            cell.evidence.must_look = false;
        }
        let uid = state.object().uid.clone();
        cell.state = Some(Shared::new(state));
        if plan.wake_at.is_some_and(|at| at <= self.now) {
            self.violate("a wake-up that has passed would be repeated for ever");
        }
        if uid != format!("uid-{o}") {
            self.violate("I5: a process takes another object for its own");
        }
        for effect in plan.effects {
            self.carry_out(p, o, effect, rules);
        }
    }

    fn carry_out(&mut self, p: usize, o: usize, effect: Effect, rules: &Rules<'_>) {
        let by = self.now + CALL_LIMIT;
        let flight = match effect {
            Effect::Get { .. } => {
                self.check_call(p, o);
                Flight::Get(Get {
                    by,
                    begun: self.now,
                    is_fresh: true,
                })
            }
            Effect::Cancel { attempt } => {
                self.check_call(p, o);
                self.check_post(p, o, attempt);
                rules.coverage.note(Reached::CancelIntended);
                Flight::Post { by }
            }
            Effect::Write(write) => {
                if let Some(outcome) = &write.status.outcome {
                    rules.coverage.note(match outcome.as_str() {
                        "Cancelled" => Reached::OutcomeCancelled,
                        "Completed" => Reached::OutcomeCompleted,
                        "Failed" => Reached::OutcomeFailed,
                        "NotFound" => Reached::OutcomeNotFound,
                        "Unsupported" => Reached::OutcomeUnsupported,
                        "Rejected" => Reached::OutcomeRejected,
                        _ => Reached::OutcomeUnknown,
                    });
                }
                self.check_start(p, o, &write);
                if let Some(outcome) = &write.status.outcome {
                    match outcome.parse() {
                        Ok(outcome) => self.check_outcome(p, o, &write, outcome),
                        Err(_) => self.violate("I4: an outcome that does not exist"),
                    }
                }
                Flight::Write {
                    by,
                    write: Shared::new(self.of_release(p, *write, rules)),
                }
            }
            Effect::QueueWrite(_) => Flight::Turn,
            Effect::Reread => Flight::Reread { by },
            Effect::Forget => {
                rules.coverage.note(Reached::Over);
                self.finish(p, o);
                return;
            }
            Effect::ReservePoll | Effect::DropToken | Effect::Publish(_) => return,
        };
        let flights = &mut self.processes[p].cells[o].flights;
        let is_same =
            |other: &&Flight| std::mem::discriminant(*other) == std::mem::discriminant(&flight);
        if flights.iter().any(|other| is_same(&other)) {
            self.violate("two requests of a kind are under way");
            return;
        }
        flights.push(flight);
    }

    /// What the second release adds to a write.
    fn of_release(&self, p: usize, mut write: StatusWrite, rules: &Rules<'_>) -> StatusWrite {
        let conditions = &mut write.status.conditions;
        if rules.scenario.newer && p == 1 && conditions.iter().all(|one| one.type_ != NEWER) {
            conditions.push(Condition {
                type_: NEWER.to_owned(),
                status: "True".to_owned(),
                reason: "Preview".to_owned(),
                message: String::new(),
                last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                    Timestamp::new(START, 0).unwrap(),
                ),
                observed_generation: write.status.observed_generation,
            });
        }
        write
    }

    /// I10: the time before a suspension, which the process has seen, does not count.
    fn check_start(&mut self, p: usize, o: usize, write: &StatusWrite) {
        let cell = &self.processes[p].cells[o];
        let (Some(resumed), Some(state)) = (cell.evidence.resumed_at, &cell.state) else {
            return;
        };
        let start = write.status.start_time.as_ref();
        let counts_before = start
            .is_some_and(|start| start.0.as_second() - START < resumed.as_secs().cast_signed());
        if counts_before && start != state.object().status.start_time.as_ref() {
            self.violate("I10: the time before a suspension counts");
        }
    }

    /// What has to hold of every call to Google.
    fn check_call(&mut self, p: usize, o: usize) {
        if self.grant != GrantNow::Granted {
            self.violate("a call without a grant");
        }
        let Some(state) = self.processes[p].cells[o].state.clone() else {
            return;
        };
        let target = state.object().spec.as_ref().ok();
        let target = target.and_then(|spec| spec.target.as_ref().ok());
        if target.is_none_or(|target| target.operation() != format!("op-{o}")) {
            self.violate("I5: a call for another operation");
        }
        if self.processes[p].cells[o].is_deleting {
            self.violate("a call for an object that is over");
        }
    }

    /// What has to hold of every cancel request.
    fn check_post(&mut self, p: usize, o: usize, attempt: i64) {
        let holder = self.holder(p);
        let object = &mut self.objects[o];
        let index = usize::try_from(attempt - 1).unwrap_or(usize::MAX);
        let author = object.intents.get(index).cloned().flatten();
        let is_first = object.posted.insert(attempt);
        let is_bounded = object.posted.len() <= object.intents.len();
        if author.as_deref() != Some(&holder) {
            self.violate("I1: a request without an intent of this process");
        }
        if !is_first {
            self.violate("I7: two requests for one intent");
        }
        if !is_bounded {
            self.violate("I2: more requests than intents");
        }
        if self.processes[p].cells[o].evidence.must_look {
            self.violate("I6: a request may have arrived, and no GET came before the next");
        }
    }
}

impl Object {
    /// A cancel request reaches the API.
    const fn accept(&mut self) -> PostKind {
        match self.operation {
            OperationState::Running => {
                self.is_requested = true;
                PostKind::Accepted
            }
            _ => PostKind::Error(ErrorKind::FailedPrecondition),
        }
    }
}

impl OperationState {
    const fn seen(self) -> GetKind {
        match self {
            Self::Running => GetKind::Running,
            Self::Cancelled => GetKind::Cancelled,
            Self::Completed => GetKind::Completed,
            Self::Failed => GetKind::Failed,
            Self::NoResult => GetKind::NoResult,
        }
    }
}

const SETTINGS: Settings = Settings {
    observe_budget: Duration::from_millis(250),
    min_poll: Duration::from_secs(20),
    max_poll: Duration::from_secs(20),
    not_found_after: Duration::from_secs(50),
    service_accounts: false,
};

fn holder_id(p: usize, starts: usize) -> String {
    format!("{:016x}", p * 256 + starts + 1)
}

/// Whether the watch shows it: unfinished objects only.
fn is_watched(view: &Shared<ObjectView>) -> bool {
    view.status.outcome.is_none()
}

/// Whether the stored status says how the last request was answered.
fn has_known_answer(state: &Cancellation) -> bool {
    let condition = state.stored_condition(crate::api::ConditionType::CancelRequested);
    let (status, reason) = condition.unwrap_or_default();
    status == ConditionStatus::True.name()
        || reason == Reason::Refused.name()
        || reason == Reason::Unsupported.name()
}

fn after_author(write: &StatusWrite) -> Option<String> {
    write.status.cancel_attempted_by.clone()
}

/// The requests that go on without their process.
fn orphans(o: usize, flights: Vec<Flight>) -> impl Iterator<Item = Orphan> {
    flights.into_iter().filter_map(move |flight| match flight {
        Flight::Post { .. } => Some(Orphan::Post(o)),
        Flight::Write { write, .. } => Some(Orphan::Write(o, write)),
        _ => None,
    })
}

fn note_state(state: &Cancellation, context: &Context<'_>, coverage: &Coverage) {
    if state.is_over() {
        return;
    }
    coverage.note(match applicable_rule(state, context) {
        Rule::End(_) if state.object().spec.is_err() => Reached::RuleMalformed,
        Rule::End(_) => Reached::RuleEndWithoutGrant,
        Rule::Stall(Reason::UnknownService, _) => Reached::RuleUnknownService,
        Rule::Stall(Reason::UnknownVersion, _) => Reached::RuleUnknownVersion,
        Rule::Stall(Reason::UnknownName, _) => Reached::RuleUnknownName,
        Rule::Stall(..) => Reached::RuleIdentityNotSupported,
        Rule::FinalGet => Reached::RuleFinalGet,
        Rule::NotGranted => Reached::RuleNotGranted,
        Rule::GrantUnknown => Reached::RuleGrantUnknown,
        Rule::Suspended => Reached::RuleSuspended,
        Rule::Proceed => Reached::RuleProceed,
    });
    coverage.note(match state.cancel {
        CancelState::NotSent => Reached::CancelNotSent,
        CancelState::Intended => Reached::CancelIntended,
        CancelState::Sending => Reached::CancelSending,
        CancelState::Again { refused: true } => Reached::CancelAgainRefused,
        CancelState::Again { refused: false } => Reached::CancelAgain,
        CancelState::AwaitingGet => Reached::CancelAwaitingGet,
        CancelState::Accepted { polled: false } => Reached::CancelAccepted,
        CancelState::Accepted { polled: true } => Reached::CancelAcceptedPolled,
        CancelState::Unsupported => Reached::CancelUnsupported,
    });
}

fn spec(first: First, number: usize, deadline: Duration) -> Result<Spec, MalformedSpec> {
    let unknown = |reason| {
        Err(UnknownTarget {
            reason,
            message: "not known".to_owned(),
        })
    };
    let target = match first {
        First::Malformed => {
            return Err(MalformedSpec {
                message: "spec: wrong type".to_owned(),
            });
        }
        First::UnknownService => unknown(Reason::UnknownService),
        First::UnknownVersion => unknown(Reason::UnknownVersion),
        First::UnknownName => unknown(Reason::UnknownName),
        First::Good | First::Suspended | First::ServiceAccount => {
            let name = format!("projects/acme-prod/locations/europe-west1/operations/op-{number}");
            Ok(catalogue::read("dialogflow", None, &name, &EndpointOverrides::default()).unwrap())
        }
    };
    Ok(Spec {
        target,
        service_account_name: (first == First::ServiceAccount).then(|| "team".to_owned()),
        accepted_outcomes: AcceptedOutcome::DEFAULT.into_iter().collect(),
        deadline,
        suspend: first == First::Suspended,
    })
}
