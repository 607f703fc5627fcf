//! The one task that owns the state of every object: it receives events, lets the life cycle decide, and dispatches the effects.
//! It never waits for anything else, so a step takes microseconds and no lock.
//!
//! Bounded: each object has at most one GET, one POST and one request to the API server that waits or is in flight, and there are
//! as many objects as unfinished ones in the cluster.

pub mod calls;
mod drain;
mod effects;
mod object_log;
mod standby;
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
    drain::{DRAIN_LIMIT, Drain},
    effects::{Answer, ApiTurn, Source, TaskEnd},
    sweeps::Sweeps,
};
use crate::{
    controller::{
        api_server::{raw_object::RawObject, versions::Newest},
        leadership::Leadership,
        objects::{Compared, Objects, grant_of, id::Id, object_view, timers::Timers},
        queue::{
            call_limits::CallLimits,
            lanes::{Lane, Lanes},
            outage::Unavailable,
            write_queue::WriteQueue,
        },
        rate_limited_warning::RateLimitedWarning,
        watches::{cancellation_watch::CancellationEvent, resilient_watch::WatchEvent},
        writes::{events::Events, status_writer::StatusWriter, write_warnings::WriteWarnings},
    },
    lifecycle::{
        self, Cancellation, Context, Event, ForeignIntent, Grant, Others, Settings, WriteAnswer,
    },
    telemetry::{health::Health, metrics::Metrics},
};

/// Timers are set no further ahead than this, so that no time overflows. An early step changes nothing.
const LONGEST_TIMER: Duration = Duration::from_secs(3600);

/// How often this task reports to `/livez`.
const BEAT: Duration = Duration::from_secs(5);

/// Why this task ended, if the elector does not say it better.
const TERM_OVER: &str = "this process is no longer the leader";

/// What one turn of the loop handles.
enum LoopEvent {
    Stop,
    /// The next step of the end is due.
    DrainTime,
    Watched(CancellationEvent),
    Ended(Result<TaskEnd, JoinError>),
    Timer,
    Grants,
    /// This process may lead now.
    Promoted,
    /// The next turn has something to do, or sees that this process leads no longer.
    Nothing,
    Beat,
}

/// What the task is configured with.
#[derive(Clone, Debug)]
pub struct DispatchConfig {
    /// The operator's settings.
    pub settings: Settings,
    /// The id of this process in its intents.
    pub holder: String,
    /// The number of calls that each lane may have in flight.
    pub workers: usize,
    /// The number of calls that each namespace may make in a minute; `None` if there is no limit.
    pub namespace_calls_per_minute: Option<u32>,
}

/// The task; see the module.
pub struct Dispatcher {
    /// Makes the calls to Google.
    pub calls: Arc<Calls>,
    /// Reads and writes objects.
    pub writer: StatusWriter,
    /// Takes events.
    pub events: Events,
    /// The operator's settings.
    pub settings: Settings,
    /// The id of this process in its intents.
    pub holder: String,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Liveness.
    pub health: Arc<Health>,
    newest: Newest,
    objects: Objects,
    timers: Timers,
    lanes: Lanes,
    call_limits: CallLimits,
    requests: WriteQueue<ApiTurn>,
    tasks: JoinSet<TaskEnd>,
    sweeps: Sweeps,
    /// The cancel requests that have a worker. Cancelling the token withdraws a request that was not sent yet.
    cancels: HashMap<Id, CancellationToken>,
    write_warnings: WriteWarnings,
    foreign_intents: RateLimitedWarning,
    leadership: Leadership,
    /// Whether this process leads. If not, it only keeps the objects.
    is_leader: bool,
    /// The leader before this process.
    predecessor: Option<String>,
    /// Set when the process is stopping.
    drain: Option<Drain>,
}

impl Dispatcher {
    /// Has no object yet.
    pub fn new(
        calls: Arc<Calls>,
        writer: StatusWriter,
        events: Events,
        config: DispatchConfig,
        health: Arc<Health>,
        newest: Newest,
        leadership: Leadership,
    ) -> Self {
        Self {
            metrics: calls.metrics.clone(),
            calls,
            writer,
            events,
            settings: config.settings,
            holder: config.holder,
            health,
            newest,
            objects: Objects::default(),
            timers: Timers::default(),
            lanes: Lanes::new(config.workers),
            call_limits: CallLimits::new(config.namespace_calls_per_minute),
            requests: WriteQueue::default(),
            tasks: JoinSet::new(),
            sweeps: Sweeps::default(),
            cancels: HashMap::new(),
            write_warnings: WriteWarnings::default(),
            foreign_intents: RateLimitedWarning::default(),
            leadership,
            is_leader: false,
            predecessor: None,
            drain: None,
        }
    }

    /// Runs until `stop` is cancelled and everything in flight has ended. The grants must have been read before.
    ///
    /// # Errors
    /// If a task of its own died, or this process leads no longer: the caller ends the process.
    pub async fn run(
        mut self,
        mut watch_events: mpsc::Receiver<CancellationEvent>,
        mut grants_changed: watch::Receiver<u64>,
        stop: CancellationToken,
    ) -> Result<(), String> {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        grants_changed.mark_unchanged();
        self.follow_role();
        let mut role = self.leadership.role.clone();
        let term = self.leadership.term.clone();
        let mut woken = Instant::now();
        loop {
            if term.is_over() {
                return Err(TERM_OVER.to_owned());
            }
            // Both parts run in every turn.
            let more = self.sweep() | self.dispatch();
            self.record_lengths();
            if self.is_drained() {
                return Ok(());
            }
            let drain_at = self.drain_wakes_at();
            let draining = drain_at.is_some();
            let limit = drain_at.unwrap_or_else(Instant::now);
            let next = [
                self.timers.next(),
                self.requests.wakes_at(),
                self.call_limits.wakes_at(),
                self.sweep_wakes_at(),
            ];
            let next = next.into_iter().flatten().min();
            let next = next.map(|at| self.calls.clock.instant(at));
            self.note_turn(woken.elapsed());
            let event = tokio::select! {
                () = term.over() => LoopEvent::Nothing,
                () = stop.cancelled(), if !draining => LoopEvent::Stop,
                () = sleep_until(limit), if draining => LoopEvent::DrainTime,
                Ok(()) = role.changed(), if !draining => LoopEvent::Promoted,
                Some(event) = watch_events.recv(), if !draining => LoopEvent::Watched(event),
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => LoopEvent::Ended(ended),
                () = sleep_until(next.unwrap_or(limit)), if next.is_some() => LoopEvent::Timer,
                Ok(()) = grants_changed.changed(), if !draining => LoopEvent::Grants,
                () = yield_now(), if more => LoopEvent::Nothing,
                _ = beat.tick() => LoopEvent::Beat,
            };
            woken = Instant::now();
            match event {
                LoopEvent::Stop => self.drain(),
                LoopEvent::DrainTime => {
                    if self.has_drained_too_long() {
                        tracing::warn!(
                            "gave up on the requests in flight: they took longer than {DRAIN_LIMIT:?}"
                        );
                        return Ok(());
                    }
                }
                LoopEvent::Promoted => self.follow_role(),
                LoopEvent::Watched(event) => self.handle_watch_event(event),
                LoopEvent::Ended(Ok(ended)) => self.handle_task_end(ended),
                LoopEvent::Ended(Err(error)) => {
                    return Err(format!("a call's task died: {error}"));
                }
                LoopEvent::Timer => self.timer_expired(),
                LoopEvent::Grants => {
                    // At its promotion this process examines every object anyway.
                    if self.is_leader {
                        self.sweep_grants();
                    }
                }
                LoopEvent::Nothing => {}
                LoopEvent::Beat => {
                    self.health.beat();
                    self.sweep_oldest();
                    if let Some(summary) = self.write_warnings.summary(self.calls.clock.mono()) {
                        tracing::warn!("{summary}");
                    }
                    if let Some(waiting) = self.call_limits.warning(self.calls.clock.mono()) {
                        tracing::warn!("{waiting}");
                    }
                }
            }
        }
    }

    fn record_lengths(&self) {
        self.metrics.objects(self.objects.count());
        let waiting = self.lanes.waiting().into_iter();
        for (lane, count) in waiting.chain(self.requests.waiting()) {
            self.metrics.queued(lane, count);
        }
        self.metrics
            .queued("namespace_limit", self.call_limits.waiting());
        self.metrics
            .limited_namespaces(self.call_limits.namespaces());
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

    /// An unchanged object, such as the echo of our own write, is not parsed. An older one is ignored, unless it is in a list that
    /// began after the newer version was known: then the store was rolled back.
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
        let is_rolled_back = match compared {
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
        if !self.is_leader {
            return self.keep(id, object);
        }
        match id {
            Some(id) if !self.objects.is_over(id) => {
                let object = Box::new(object);
                let event = match is_rolled_back {
                    true => Event::RolledBack(object),
                    false => Event::Watched(object),
                };
                self.step(id, event);
            }
            over => {
                // A finished object is unfinished again.
                over.into_iter().for_each(|id| self.objects.remove(id));
                let state = Cancellation::new(object, self.calls.clock.now());
                let id = self.objects.insert(state, self.metrics.clone());
                self.step(id, Event::Woken);
            }
        }
    }

    /// The object left the watch: it is finished or deleted. A write in flight may be the cause, so its answer still counts.
    fn handle_gone(&mut self, id: Id) {
        if !self.is_leader {
            return self.objects.remove(id);
        }
        match self.objects.active(id) {
            Some(entry) if entry.tracking.api_requests > 0 => entry.tracking.left_watch = true,
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
        entry.tracking.timer = None;
        self.step(id, Event::Woken);
    }

    fn handle_answer(&mut self, answer: Answer) {
        let Answer {
            id,
            source,
            event,
            refused_token,
            warning,
            unavailable,
        } = answer;
        self.release(id, &source, unavailable);
        self.note_version(&event);
        let kind = source.write_kind();
        if let (Some(kind), Event::WriteAnswered(written)) = (kind, &event) {
            self.metrics.wrote(kind.name(), written.name());
        }
        let Some(entry) = self.objects.active(id) else {
            return;
        };
        let tracking = entry.tracking;
        tracking.pending_effects = tracking.pending_effects.saturating_sub(1);
        if matches!(source, Source::Api { .. }) {
            tracking.api_requests = tracking.api_requests.saturating_sub(1);
        }
        if let (Some(why), Some(kind)) = (warning, kind) {
            let now = self.calls.clock.mono();
            if self.write_warnings.has_to_be_logged(&why, now) {
                let span = object_log::span(entry.state.object());
                span.in_scope(|| object_log::write_failed(kind, &why));
            }
        }
        tracking.refused_token = refused_token.or_else(|| tracking.refused_token.take());
        if let Event::CancelAnswered(answer) = &event {
            let object = entry.state.object();
            object_log::span(object).in_scope(|| object_log::cancel_answered(object, answer));
            if answer.is_ok() {
                tracking.metrics.accepted(object);
            }
        }
        self.step(id, event);
        self.remove_if_left(id);
    }

    /// Gives back the worker or the place that the answer had.
    fn release(&mut self, id: Id, source: &Source, unavailable: Option<Unavailable>) {
        match source {
            Source::Lane(lane, owner) => {
                self.lanes.done(*lane, owner);
                if *lane == Lane::Cancel {
                    self.cancels.remove(&id);
                }
            }
            Source::WithoutWorker => {}
            Source::Api { request, .. } => {
                let now = self.calls.clock.mono();
                self.requests.done(request, unavailable, now);
            }
        }
    }

    /// Removes an object that left the watch, once the answers to its writes are there.
    fn remove_if_left(&mut self, id: Id) {
        let entry = self.objects.active(id);
        if entry.is_some_and(|entry| entry.tracking.left_watch && entry.tracking.api_requests == 0)
        {
            self.finish(id);
            self.objects.remove(id);
        }
    }

    /// A full list that begins from now on is not older than this.
    fn note_version(&self, event: &Event) {
        if let Event::Reread(Some(object))
        | Event::WriteAnswered(WriteAnswer::Written(object) | WriteAnswer::Conflict(object)) =
            event
        {
            self.newest.note(object.version_number());
        }
    }

    /// Withdraws a cancel request that was not sent yet.
    fn withdraw_cancel(&self, id: Id) {
        if let Some(cancel) = self.cancels.get(&id) {
            cancel.cancel();
        }
    }

    /// Nothing is left to do for the object.
    fn finish(&mut self, id: Id) {
        self.withdraw_cancel(id);
        let timer = self.objects.finish(id);
        self.timers.set(id, timer, None);
        self.call_limits.forget(id, self.calls.clock.mono());
    }

    /// Lets the life cycle decide, and performs the effects.
    fn step(&mut self, id: Id, event: Event) {
        if !self.may_step() {
            return;
        }
        self.begin_kept(id);
        let mut events = VecDeque::from([event]);
        let grants = self.calls.grants.now();
        while let Some(event) = events.pop_front() {
            let Some(entry) = self.objects.active(id) else {
                return;
            };
            let principal = self.calls.principal_of(entry.state.object());
            let namespace = &entry.state.object().namespace;
            let may_write = matches!(event, Event::WriteTurn)
                || self.requests.is_free(namespace, self.calls.clock.mono());
            entry.tracking.grant = grant_of(&grants, entry.state.object());
            let now = self.calls.clock.now();
            let mut may_call = self.call_limits.allowed(id, namespace, now.mono);
            may_call.cancel |= entry.tracking.is_cancel_counted;
            let context = Context {
                now,
                jitter: fastrand::f64(),
                settings: &self.settings,
                holder: &self.holder,
                others: match self.leadership.is_elected {
                    true => Others::HaveStopped(self.predecessor.as_deref()),
                    false => Others::MayWork,
                },
                grant: entry.tracking.grant,
                principal: principal.as_deref(),
                quota: self.calls.allowance(entry.state.object()),
                may_call,
                stopping: self.drain.is_some(),
                may_write,
            };
            let plan = lifecycle::step(entry.state, event, &context);
            entry.tracking.metrics.update(entry.state.object());
            if let Some(priority) = plan.waits_for {
                let namespace = &entry.state.object().namespace;
                self.call_limits.wait(id, namespace, priority, now.mono);
            }
            let unwanted = !entry.state.wants_cancel() || entry.tracking.grant == Grant::NotGranted;
            if let Some(intent) = &plan.foreign_intent {
                self.note_foreign_intent(id, intent);
            }
            self.objects.set_unrecorded(id, plan.unrecorded);
            if unwanted {
                self.withdraw_cancel(id);
            }
            self.set_timer(id, plan.wake_at);
            for effect in plan.effects {
                events.extend(self.perform(id, effect));
            }
        }
    }

    /// Another process works on the object too.
    fn note_foreign_intent(&mut self, id: Id, intent: &ForeignIntent) {
        self.metrics.foreign_intent();
        let Some(entry) = self.objects.active(id) else {
            return;
        };
        let span = object_log::span(entry.state.object());
        span.in_scope(|| {
            self.foreign_intents
                .warn(&object_log::foreign_intent(intent))
        });
    }

    fn set_timer(&mut self, id: Id, wake_at: Option<Duration>) {
        let furthest = self.calls.clock.mono().saturating_add(LONGEST_TIMER);
        if let Some(entry) = self.objects.active(id) {
            let at = wake_at.map(|at| at.min(furthest));
            let timer = &mut entry.tracking.timer;
            *timer = self.timers.set(id, *timer, at);
        }
    }
}
