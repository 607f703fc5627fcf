//! The one task that owns what is known of every object: it takes in what happens, lets the life cycle decide, and hands out
//! what it wants done. It waits for nothing else, so a step costs microseconds and no lock.
//!
//! Bounded: of each object at most one GET, one POST and one request to the API server wait or are under way, and the number
//! of objects is that of the unfinished ones in the cluster.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::StreamExt;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::{sync::CancellationToken, time::DelayQueue};

use super::{
    calls::Calls,
    events::Events,
    fair_queue::Owner,
    journal,
    lanes::{self, Call, Lanes, Name, What},
    objects::{Entry, Id, Objects},
    status_writer::{ObjectId, StatusWriter, WriteQueue},
    watches::Sighting,
};
use crate::{
    google::token::Token,
    lifecycle::{self, Cancellation, Context, Effect, Event, Grant, ObjectView, Settings, StatusWrite, WriteAnswer, WriteKind},
    telemetry::{health::Health, metrics::Metrics},
};

/// Timers are set no further ahead than this: a step that comes early changes nothing.
const LONGEST_TIMER: Duration = Duration::from_secs(3600);

/// How long requests that are under way may take to end after a signal to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(15);

/// How often `/livez` learns that this task comes round.
const BEAT: Duration = Duration::from_secs(5);

/// A request to the API server.
#[derive(Debug)]
struct ApiRequest {
    id: Id,
    object: ObjectId,
    /// None: read the object.
    write: Option<Box<StatusWrite>>,
}

/// Whose turn ended.
#[derive(Debug)]
enum From {
    Lane(Name, Owner),
    Api(Option<WriteKind>),
}

/// What came of an effect.
#[derive(Debug)]
struct Answer {
    id: Id,
    from: From,
    event: Event,
    refused: Option<Token>,
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
    objects: Objects,
    timers: DelayQueue<Id>,
    lanes: Lanes,
    requests: WriteQueue<ApiRequest>,
    tasks: JoinSet<Answer>,
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
    ) -> Self {
        Self {
            metrics: calls.metrics.clone(),
            calls,
            writer,
            events,
            settings,
            health,
            objects: Objects::default(),
            timers: DelayQueue::new(),
            lanes: Lanes::new(workers),
            requests: WriteQueue::default(),
            tasks: JoinSet::new(),
            drain_until: None,
        }
    }

    /// Runs until it is told to stop and everything under way has ended. The grants must have been read before.
    ///
    /// # Errors
    /// If a task of its own died: the caller ends the process.
    pub async fn run(
        mut self,
        mut sightings: mpsc::Receiver<Sighting>,
        mut grants_changed: watch::Receiver<u64>,
        stop: CancellationToken,
    ) -> Result<(), String> {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        grants_changed.mark_unchanged();
        loop {
            self.hand_out();
            if self.drain_until.is_some() && self.is_drained() {
                return Ok(());
            }
            let draining = self.drain_until.is_some();
            let limit = self.drain_until.unwrap_or_else(Instant::now);
            tokio::select! {
                () = stop.cancelled(), if !draining => self.drain(),
                () = sleep_until(limit), if draining => {
                    tracing::warn!("requests that are still under way are given up: they took longer than {DRAIN_LIMIT:?}");
                    return Ok(());
                }
                Some(sighting) = sightings.recv(), if !draining => self.sighted(sighting),
                Some(answer) = self.tasks.join_next(), if !self.tasks.is_empty() => match answer {
                    Ok(answer) => self.answered(answer),
                    Err(error) => return Err(format!("a call's task died: {error}")),
                },
                Some(expired) = self.timers.next(), if !self.timers.is_empty() => self.timer_expired(expired.into_inner()),
                Ok(()) = grants_changed.changed(), if !draining => self.grants_changed(),
                _ = beat.tick() => self.health.beat(),
            }
        }
    }

    fn sighted(&mut self, sighting: Sighting) {
        match sighting {
            Sighting::Seen(object) => self.seen(object),
            Sighting::Gone(uid) => {
                if let Some(id) = self.objects.id(&uid) {
                    self.gone(id);
                }
            }
            Sighting::Listed { namespace, uids } => {
                for id in self.objects.not_listed(namespace.as_deref(), &uids) {
                    self.gone(id);
                }
            }
        }
        self.metrics.pending(self.objects.count());
    }

    fn seen(&mut self, object: Box<ObjectView>) {
        match self.objects.id(&object.uid) {
            Some(id) => self.step(id, Event::Seen(object)),
            None => {
                let uid = object.uid.clone();
                let entry = Entry::new(Cancellation::new(*object, self.calls.clock.now()));
                let id = self.objects.insert(uid, entry);
                self.step(id, Event::Woken);
            }
        }
    }

    /// The watch does not show it any more: it is finished or gone. If a write of ours is under way, that may be why, and its
    /// answer still counts.
    fn gone(&mut self, id: Id) {
        match self.objects.active(id) {
            Some(entry) if entry.api_requests > 0 => entry.leaving = true,
            Some(_) => {
                self.step(id, Event::Gone);
                self.objects.remove(id);
            }
            None => {
                self.objects.remove(id);
            }
        }
    }

    fn timer_expired(&mut self, id: Id) {
        let Some(entry) = self.objects.active(id) else { return };
        entry.timer = None;
        self.step(id, Event::Woken);
    }

    /// Steps those for which the grants now say something else.
    fn grants_changed(&mut self) {
        let grants = self.calls.grants.now();
        let changed = self.objects.all_active().filter(|(_, entry)| {
            grant_of(&grants, entry.known.object()) != entry.grant
        });
        let changed: Vec<_> = changed.map(|(id, _)| id).collect();
        for id in changed {
            self.step(id, Event::Woken);
        }
    }

    fn answered(&mut self, answer: Answer) {
        let Answer { id, from, event, refused } = answer;
        let is_api = match &from {
            From::Lane(lane, owner) => {
                self.lanes.done(*lane, owner);
                false
            }
            From::Api(_) => {
                self.requests.done();
                true
            }
        };
        if let (From::Api(Some(kind)), Event::WriteAnswered(written)) = (&from, &event) {
            self.metrics.wrote(kind.name(), journal::result(written));
        }
        let Some(entry) = self.objects.active(id) else { return };
        entry.unanswered = entry.unanswered.saturating_sub(1);
        if is_api {
            entry.api_requests = entry.api_requests.saturating_sub(1);
        }
        entry.refused = refused.or_else(|| entry.refused.take());
        match &event {
            Event::WriteAnswered(WriteAnswer::Written(_)) | Event::CancelWithheld => entry.unrecorded_cancel = false,
            Event::CancelAnswered(answer) => journal::cancel_answered(entry.known.object(), answer),
            _ => {}
        }
        self.step(id, event);
        if self.objects.active(id).is_some_and(|entry| entry.leaving && entry.api_requests == 0) {
            self.objects.finish(id).and_then(|entry| entry.timer).map(|timer| self.timers.try_remove(&timer));
            self.objects.remove(id);
        }
        self.metrics.pending(self.objects.count());
    }

    /// Lets the life cycle decide, and does what it says.
    fn step(&mut self, id: Id, event: Event) {
        let mut events = VecDeque::from([event]);
        let grants = self.calls.grants.now();
        while let Some(event) = events.pop_front() {
            let principal = self.calls.tokens.principal();
            let Some(entry) = self.objects.active(id) else { return };
            entry.grant = grant_of(&grants, entry.known.object());
            let context = Context {
                now: self.calls.clock.now(),
                jitter: fastrand::f64(),
                settings: &self.settings,
                grant: entry.grant,
                principal: principal.as_deref(),
            };
            let plan = lifecycle::step(&mut entry.known, event, &context);
            self.set_timer(id, plan.wake_at);
            for effect in plan.effects {
                events.extend(self.perform(id, effect));
            }
        }
    }

    fn set_timer(&mut self, id: Id, wake_at: Option<Duration>) {
        let Some(entry) = self.objects.active(id) else { return };
        let before = entry.timer.take();
        match (before, wake_at) {
            (Some(key), None) => {
                self.timers.try_remove(&key);
            }
            (before, Some(at)) => {
                let at = at.min(self.calls.clock.mono().saturating_add(LONGEST_TIMER));
                let at = self.calls.clock.instant(at);
                entry.timer = Some(match before {
                    Some(key) => {
                        self.timers.reset_at(&key, at);
                        key
                    }
                    None => self.timers.insert_at(id, at),
                });
            }
            (None, None) => {}
        }
    }

    /// Does one thing. Gives back the answer if there is one at once.
    fn perform(&mut self, id: Id, effect: Effect) -> Option<Event> {
        let draining = self.drain_until.is_some();
        let entry = self.objects.active(id)?;
        let begins_something = match &effect {
            Effect::Cancel { .. } => draining,
            Effect::Write(write) => draining && (write.kind == WriteKind::Intent || !entry.unrecorded_cancel),
            Effect::Get { .. } | Effect::Reread => draining && !entry.unrecorded_cancel,
            Effect::DropToken | Effect::Publish(_) | Effect::Forget => false,
        };
        if begins_something {
            // The process is ending: the next one goes on from what is stored.
            return None;
        }
        match effect {
            Effect::Get { lane, regardless_of_quota } => self.call(id, lane.into(), What::Get { regardless_of_quota }),
            Effect::Cancel { .. } => self.call(id, Name::Cancel, What::Cancel),
            Effect::Write(write) => self.write(id, write),
            Effect::Reread => {
                self.request(id, None);
                None
            }
            Effect::DropToken => {
                if let Some(token) = entry.refused.take() {
                    self.calls.tokens.refused(&token);
                }
                None
            }
            Effect::Publish(notice) => {
                let object = object_id(entry.known.object());
                journal::noticed(entry.known.object(), &notice, &self.metrics);
                self.events.publish(object, notice);
                None
            }
            Effect::Forget => {
                let leaving = entry.leaving;
                let timer = self.objects.finish(id).and_then(|entry| entry.timer);
                timer.map(|timer| self.timers.try_remove(&timer));
                if leaving {
                    self.objects.remove(id);
                }
                None
            }
        }
    }

    fn call(&mut self, id: Id, lane: Name, what: What) -> Option<Event> {
        let entry = self.objects.active(id)?;
        match self.calls.address(entry.known.object()) {
            Ok(address) => {
                entry.unanswered += 1;
                self.lanes.push(lane, Call { id, address: Arc::new(address), what });
                None
            }
            Err(error) if what == What::Cancel => Some(Event::CancelAnswered(Err(error))),
            Err(error) => Some(Event::GetAnswered(Err(error))),
        }
    }

    /// An intent is not recorded while a quota would hold its request back.
    fn write(&mut self, id: Id, write: Box<StatusWrite>) -> Option<Event> {
        if write.kind == WriteKind::Intent {
            let entry = self.objects.active(id)?;
            let address = self.calls.address(entry.known.object()).ok();
            if let Some(until) = address.and_then(|address| self.calls.cancel_held_until(&address)) {
                return Some(Event::CancelHeld(until));
            }
        }
        self.request(id, Some(write));
        None
    }

    fn request(&mut self, id: Id, write: Option<Box<StatusWrite>>) {
        let Some(entry) = self.objects.active(id) else { return };
        entry.unanswered += 1;
        entry.api_requests += 1;
        let object = object_id(entry.known.object());
        let urgent = write.as_ref().is_none_or(|write| write.kind != WriteKind::Progress);
        self.requests.push(urgent, ApiRequest { id, object, write });
    }

    /// Begins what waits, as far as there are workers.
    fn hand_out(&mut self) {
        while let Some((lane, owner, call)) = self.lanes.take() {
            let cancel = call.what == What::Cancel;
            let draining = self.drain_until.is_some();
            let wanted = self.objects.active(call.id).is_some_and(|entry| !draining || (!cancel && entry.unrecorded_cancel));
            if !wanted {
                // Gone in the meantime, or the process is ending.
                self.lanes.done(lane, &owner);
                continue;
            }
            if cancel && let Some(entry) = self.objects.active(call.id) {
                entry.unrecorded_cancel = true;
            }
            let calls = self.calls.clone();
            self.tasks.spawn(async move {
                let answer = lanes::make(&calls, &call.address, call.what).await;
                Answer { id: call.id, from: From::Lane(lane, owner), event: answer.event, refused: answer.refused }
            });
        }
        while let Some(request) = self.requests.take() {
            if self.objects.active(request.id).is_none() {
                self.requests.done();
                continue;
            }
            let writer = self.writer.clone();
            self.tasks.spawn(async move {
                let kind = request.write.as_ref().map(|write| write.kind);
                let event = match request.write {
                    Some(write) => Event::WriteAnswered(writer.write(&request.object, &write).await),
                    None => writer.reread(&request.object).await,
                };
                Answer { id: request.id, from: From::Api(kind), event, refused: None }
            });
        }
    }

    /// From now on nothing begins, except what records the answer to a cancel request that was sent.
    fn drain(&mut self) {
        tracing::info!("stopping: what is under way is ended first");
        self.drain_until = Some(Instant::now() + DRAIN_LIMIT);
    }

    fn is_drained(&self) -> bool {
        let limit = self.drain_until.unwrap_or_else(Instant::now);
        let pending = |entry: &Entry| {
            let soon = entry.timer.as_ref().is_some_and(|timer| self.timers.deadline(timer) <= limit);
            entry.api_requests > 0 || (entry.unrecorded_cancel && (entry.unanswered > 0 || soon))
        };
        self.lanes.cancels_under_way() == 0 && !self.objects.all_active().any(|(_, entry)| pending(entry))
    }
}

fn grant_of(grants: &super::grants::Grants, object: &ObjectView) -> Grant {
    let allowed = object.spec.as_ref().is_ok_and(|spec| {
        grants.allows(&object.namespace, &spec.project, &spec.service, spec.identity_kind())
    });
    if allowed { Grant::Granted } else { Grant::NotGranted }
}

fn object_id(object: &ObjectView) -> ObjectId {
    ObjectId { namespace: object.namespace.clone(), name: object.name.clone(), uid: object.uid.clone() }
}
