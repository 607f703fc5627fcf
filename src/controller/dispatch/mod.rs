//! The one task that owns what is known of every object: it takes in what happens, lets the life cycle decide, and hands out
//! what it wants done. It waits for nothing else, so a step costs microseconds and no lock.
//!
//! Bounded: of each object at most one GET, one POST and one request to the API server wait or are under way, and the number
//! of objects is that of the unfinished ones in the cluster.

pub mod calls;
mod drain;
mod effects;
mod object_log;
mod sweeps;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet, yield_now},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::{
    calls::Calls,
    drain::DRAIN_LIMIT,
    effects::{Answer, ApiTurn, Ended, From},
    sweeps::Sweeps,
};
use crate::{
    controller::{
        api_server::{raw_object::RawObject, versions::Newest},
        objects::{Compared, Id, Objects, grant_of, object_view, timers::Timers},
        queue::{
            lanes::{Lanes, Name},
            write_queue::WriteQueue,
        },
        watches::{cancellation_watch::CancellationEvent, resilient_watch::WatchEvent},
        writes::{events::Events, status_writer::StatusWriter, write_warnings::WriteWarnings},
    },
    lifecycle::{self, Cancellation, Context, Event, Grant, Settings, WriteAnswer},
    telemetry::{health::Health, metrics::Metrics},
};

/// Timers are set no further ahead than this, so that no clock's range matters: a step that comes early changes nothing.
const LONGEST_TIMER: Duration = Duration::from_secs(3600);

/// How often `/livez` learns that this task comes round.
const BEAT: Duration = Duration::from_secs(5);

/// What a turn of the loop is about.
enum Happened {
    Stop,
    GiveUp,
    Watched(CancellationEvent),
    Ended(Result<Ended, JoinError>),
    Timer,
    Grants,
    Nothing,
    Beat,
}

/// See the module.
pub struct Dispatcher {
    /// Makes the calls to Google.
    pub calls: Arc<Calls>,
    /// Reads and writes objects.
    pub writer: StatusWriter,
    /// Takes events.
    pub events: Events,
    /// The operator's settings.
    pub settings: Settings,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Liveness.
    pub health: Arc<Health>,
    newest: Newest,
    objects: Objects,
    timers: Timers,
    lanes: Lanes,
    requests: WriteQueue<ApiTurn>,
    tasks: JoinSet<Ended>,
    sweeps: Sweeps,
    /// The cancel requests that have a worker, each with what takes it back if it has not left.
    cancels: HashMap<Id, CancellationToken>,
    write_warnings: WriteWarnings,
    /// Once nothing new may begin: until when it waits for what is under way.
    drain_until: Option<Instant>,
}

impl Dispatcher {
    /// Knows no object yet. `workers` is the number of calls that each lane may have under way.
    pub fn new(
        calls: Arc<Calls>,
        writer: StatusWriter,
        events: Events,
        settings: Settings,
        workers: usize,
        health: Arc<Health>,
        newest: Newest,
    ) -> Self {
        Self {
            metrics: calls.metrics.clone(),
            calls,
            writer,
            events,
            settings,
            health,
            newest,
            objects: Objects::default(),
            timers: Timers::default(),
            lanes: Lanes::new(workers),
            requests: WriteQueue::default(),
            tasks: JoinSet::new(),
            sweeps: Sweeps::default(),
            cancels: HashMap::new(),
            write_warnings: WriteWarnings::default(),
            drain_until: None,
        }
    }

    /// Runs until it is told to stop and everything under way has ended. The grants must have been read before.
    ///
    /// # Errors
    /// If a task of its own died: the caller ends the process.
    pub async fn run(
        mut self,
        mut watch_events: mpsc::Receiver<CancellationEvent>,
        mut grants_changed: watch::Receiver<u64>,
        stop: CancellationToken,
    ) -> Result<(), String> {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        grants_changed.mark_unchanged();
        let mut woken = Instant::now();
        loop {
            // All of what is to be done, even if nothing is handed out.
            let more = self.sweep() | self.hand_out();
            self.show_queues();
            if self.drain_until.is_some() && self.is_drained() {
                return Ok(());
            }
            let draining = self.drain_until.is_some();
            let limit = self.drain_until.unwrap_or_else(Instant::now);
            let next = [self.timers.next(), self.requests.wakes_at()];
            let next = next.into_iter().flatten().min();
            let next = next.map(|at| self.calls.clock.instant(at));
            self.note_turn(woken.elapsed());
            let happened = tokio::select! {
                () = stop.cancelled(), if !draining => Happened::Stop,
                () = sleep_until(limit), if draining => Happened::GiveUp,
                Some(event) = watch_events.recv(), if !draining => Happened::Watched(event),
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => Happened::Ended(ended),
                () = sleep_until(next.unwrap_or(limit)), if next.is_some() => Happened::Timer,
                Ok(()) = grants_changed.changed(), if !draining => Happened::Grants,
                () = yield_now(), if more => Happened::Nothing,
                _ = beat.tick() => Happened::Beat,
            };
            woken = Instant::now();
            match happened {
                Happened::Stop => self.drain(),
                Happened::GiveUp => {
                    tracing::warn!(
                        "requests that are still under way are given up: they took longer than {DRAIN_LIMIT:?}"
                    );
                    return Ok(());
                }
                Happened::Watched(event) => self.handle_watch_event(event),
                Happened::Ended(Ok(ended)) => self.ended(ended),
                Happened::Ended(Err(error)) => {
                    return Err(format!("a call's task died: {error}"));
                }
                Happened::Timer => self.timer_expired(),
                Happened::Grants => self.sweep_grants(),
                Happened::Nothing => {}
                Happened::Beat => {
                    self.health.beat();
                    self.sweep_oldest();
                    if let Some(summary) = self.write_warnings.summary(self.calls.clock.mono()) {
                        tracing::warn!("{summary}");
                    }
                }
            }
        }
    }

    fn show_queues(&self) {
        let waiting = self.lanes.waiting().into_iter();
        for (lane, count) in waiting.chain(self.requests.waiting()) {
            self.metrics.queued(lane, count);
        }
    }

    fn handle_watch_event(&mut self, CancellationEvent { namespace, event }: CancellationEvent) {
        match event {
            WatchEvent::Watched(object) => self.handle_object(*object, None),
            WatchEvent::Listed {
                object,
                known_before,
            } => self.handle_object(*object, known_before),
            WatchEvent::Gone(object) => {
                let uid = object.metadata.uid.as_deref();
                if let Some(id) = uid.and_then(|uid| self.objects.id(uid)) {
                    self.handle_gone(id);
                }
            }
            WatchEvent::AllListed(uids) => self.sweep_not_listed(namespace, uids),
        }
    }

    /// An object that is known as it is, such as the echo of our own write, is not even read. An older one is of no account, unless
    /// a list has it so that began when the version known was known already: then what is stored has gone back.
    fn handle_object(&mut self, object: RawObject, known_before: Option<u64>) {
        let metadata = &object.metadata;
        let Some(uid) = &metadata.uid else {
            return;
        };
        let id = self.objects.id(uid);
        let compared = id.map(|id| {
            let version = metadata.resource_version.as_deref();
            self.objects.compare(id, version)
        });
        let went_back = match compared {
            Some(Compared::Same) => return,
            Some(Compared::Older(known)) => {
                if known_before.is_none_or(|before| before < known) {
                    return;
                }
                true
            }
            Some(Compared::Newer) | None => false,
        };
        let Some(object) = object_view::read(object, &self.calls.overrides) else {
            return;
        };
        match id {
            Some(id) if !self.objects.is_over(id) => {
                let object = Box::new(object);
                let event = match went_back {
                    true => Event::RolledBack(object),
                    false => Event::Watched(object),
                };
                self.step(id, event);
            }
            over => {
                // What was over is unfinished again.
                over.into_iter().for_each(|id| self.objects.remove(id));
                let known = Cancellation::new(object, self.calls.clock.now());
                let id = self.objects.insert(known, self.metrics.clone());
                self.step(id, Event::Woken);
            }
        }
    }

    /// The watch does not show it any more: it is finished or gone. If a write of ours is under way, that may be why, and its
    /// answer still counts.
    fn handle_gone(&mut self, id: Id) {
        match self.objects.active(id) {
            Some(entry) if entry.kept.api_requests > 0 => entry.kept.leaving = true,
            Some(_) => {
                self.step(id, Event::Gone);
                self.objects.remove(id);
            }
            None => {
                self.objects.remove(id);
            }
        }
    }

    fn timer_expired(&mut self) {
        let Some(id) = self.timers.take_due(self.calls.clock.mono()) else {
            return;
        };
        let Some(entry) = self.objects.active(id) else {
            return;
        };
        entry.kept.timer = None;
        self.step(id, Event::Woken);
    }

    fn answered(&mut self, answer: Answer) {
        let Answer {
            id,
            from,
            event,
            refused,
            warning,
            trouble,
        } = answer;
        let is_api = match &from {
            From::Lane(lane, owner) => {
                self.lanes.done(*lane, owner);
                if *lane == Name::Cancel {
                    self.cancels.remove(&id);
                }
                false
            }
            From::LargeAnswer => false,
            From::Api { request, .. } => {
                let now = self.calls.clock.mono();
                self.requests.done(request, trouble, now);
                true
            }
        };
        self.note_version(&event);
        let kind = from.write_kind();
        if let (Some(kind), Event::WriteAnswered(written)) = (kind, &event) {
            self.metrics.wrote(kind.name(), written.name());
        }
        let Some(entry) = self.objects.active(id) else {
            return;
        };
        let kept = entry.kept;
        kept.unanswered = kept.unanswered.saturating_sub(1);
        if is_api {
            kept.api_requests = kept.api_requests.saturating_sub(1);
        }
        if let (Some(why), Some(kind)) = (warning, kind) {
            let now = self.calls.clock.mono();
            if self.write_warnings.has_to_be_logged(&why, now) {
                let span = object_log::span(entry.known.object());
                span.in_scope(|| object_log::write_failed(kind, &why));
            }
        }
        kept.refused = refused.or_else(|| kept.refused.take());
        if let Event::CancelAnswered(answer) = &event {
            let object = entry.known.object();
            object_log::span(object).in_scope(|| object_log::cancel_answered(object, answer));
            if answer.is_ok() {
                kept.standing.accepted(object);
            }
        }
        self.step(id, event);
        if self
            .objects
            .active(id)
            .is_some_and(|entry| entry.kept.leaving && entry.kept.api_requests == 0)
        {
            self.finish(id);
            self.objects.remove(id);
        }
    }

    /// Full lists that begin from now on have this version.
    fn note_version(&self, event: &Event) {
        if let Event::Reread(Some(object))
        | Event::WriteAnswered(WriteAnswer::Written(object) | WriteAnswer::Conflict(object)) =
            event
        {
            self.newest.note(object.version_number());
        }
    }

    /// A cancel request that has not left is not sent any more.
    fn take_cancel_back(&self, id: Id) {
        if let Some(cancel) = self.cancels.get(&id) {
            cancel.cancel();
        }
    }

    /// Nothing is left to do for it.
    fn finish(&mut self, id: Id) {
        self.take_cancel_back(id);
        let timer = self.objects.finish(id);
        self.timers.set(id, timer, None);
    }

    /// Lets the life cycle decide, and does what it says.
    fn step(&mut self, id: Id, event: Event) {
        let mut events = VecDeque::from([event]);
        let grants = self.calls.grants.now();
        while let Some(event) = events.pop_front() {
            let principal = self.calls.tokens.principal();
            let Some(entry) = self.objects.active(id) else {
                return;
            };
            let namespace = &entry.known.object().namespace;
            let may_write = matches!(event, Event::WriteTurn)
                || self.requests.is_free(namespace, self.calls.clock.mono());
            entry.kept.grant = grant_of(&grants, entry.known.object());
            let context = Context {
                now: self.calls.clock.now(),
                jitter: fastrand::f64(),
                settings: &self.settings,
                grant: entry.kept.grant,
                principal: principal.as_deref(),
                quota: self.calls.allowance(entry.known.object()),
                stopping: self.drain_until.is_some(),
                may_write,
            };
            let plan = lifecycle::step(entry.known, event, &context);
            entry.kept.standing.note(entry.known.object());
            let unwanted = !entry.known.wants_cancel() || entry.kept.grant == Grant::NotGranted;
            self.objects.set_unrecorded(id, plan.unrecorded);
            if unwanted {
                self.take_cancel_back(id);
            }
            self.set_timer(id, plan.wake_at);
            for effect in plan.effects {
                events.extend(self.perform(id, effect));
            }
        }
    }

    fn set_timer(&mut self, id: Id, wake_at: Option<Duration>) {
        let furthest = self.calls.clock.mono().saturating_add(LONGEST_TIMER);
        if let Some(entry) = self.objects.active(id) {
            let at = wake_at.map(|at| at.min(furthest));
            let timer = &mut entry.kept.timer;
            *timer = self.timers.set(id, *timer, at);
        }
    }
}
