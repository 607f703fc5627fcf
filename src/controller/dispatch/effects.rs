//! The effects of the life cycle: queued, begun when a worker is free, and answered exactly once.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Dispatcher, calls::Calls, object_log};
use crate::{
    controller::{
        objects::{id::Id, object_metrics},
        queue::{
            fair_queue::Owner,
            lanes::{Lane, Lanes, Method, QueuedCall},
            outage::Unavailable,
            write_queue::InFlight,
        },
        writes::status_writer::ObjectId,
    },
    google::token::{Token, TokenError},
    lifecycle::{Effect, Event, Notice, ObjectView, StatusWrite, WriteKind},
};

/// A turn at the API server that waits. The request is made only when the turn comes, so waiting costs next to nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum ApiTurn {
    /// To write the status.
    Write(Id),
    /// To read the object.
    Reread(Id),
}

/// How many turns at the API server, and how many calls, begin before the loop handles another event.
const TURNS_AT_ONCE: usize = 64;

/// Where an answer comes from.
#[derive(Debug)]
pub(super) enum Source {
    Lane(Lane, Owner),
    /// A large answer, whose worker is free already, or a call that waited without one.
    WithoutWorker,
    /// A request to the API server: a write of this kind, or a read.
    Api {
        kind: Option<WriteKind>,
        request: InFlight,
    },
}

impl Source {
    /// The kind of write, if it was one.
    pub const fn write_kind(&self) -> Option<WriteKind> {
        match self {
            Self::Api { kind, .. } => *kind,
            Self::Lane(..) | Self::WithoutWorker => None,
        }
    }
}

/// The answer to an effect.
#[derive(Debug)]
pub(super) struct Answer {
    pub id: Id,
    pub source: Source,
    pub event: Event,
    /// The token, if Google did not accept it.
    pub refused_token: Option<Token>,
    /// What the log has to say about a write.
    pub warning: Option<String>,
    /// Set if the API server is unavailable.
    pub unavailable: Option<Unavailable>,
}

/// How a task ended.
pub(super) enum TaskEnd {
    /// The answer.
    Answer(Box<Answer>),
    /// A call without a worker has waited for the token of a ServiceAccount.
    TokenObtained {
        lane: Lane,
        call: QueuedCall,
        /// Why there is no token, if the next look would not show it.
        failed: Option<TokenError>,
    },
    /// The answer has begun and is large. The worker is free for the next call while `rest` reads it.
    Large {
        lane: Lane,
        owner: Owner,
        rest: BoxFuture<'static, Answer>,
    },
}

impl Dispatcher {
    /// Performs an effect. Returns its answer if there is one at once.
    pub(super) fn perform(&mut self, id: Id, effect: Effect) -> Option<Event> {
        let entry = self.objects.active(id)?;
        match effect {
            Effect::Get {
                lane,
                regardless_of_quota,
            } => self.call(
                id,
                lane.into(),
                Method::Get {
                    regardless_of_quota,
                },
            ),
            Effect::ReservePoll => {
                self.calls.reserve_poll(entry.state.object());
                None
            }
            Effect::Cancel { .. } => {
                self.count_cancel(id);
                if let Some(entry) = self.objects.active(id) {
                    entry.tracking.is_cancel_counted = false;
                }
                self.call(id, Lane::Cancel, Method::Cancel)
            }
            Effect::Write(write) => {
                entry.tracking.pending_effects += 1;
                entry.tracking.api_requests += 1;
                if write.kind == WriteKind::Intent {
                    let requested = self.calls.request_token(entry.state.object());
                    entry.tracking.token_requested = requested;
                    self.count_cancel(id);
                }
                self.send(id, Some(*write));
                None
            }
            Effect::QueueWrite(kind) => {
                entry.tracking.pending_effects += 1;
                let (namespace, endpoint) = owner(entry.state.object());
                let urgent = is_urgent(Some(kind), &self.lanes, namespace, endpoint);
                let turn = ApiTurn::Write(id);
                self.requests.push(urgent, namespace, endpoint, turn);
                if kind == WriteKind::Intent {
                    self.count_cancel(id);
                }
                None
            }
            Effect::Reread => {
                entry.tracking.pending_effects += 1;
                entry.tracking.api_requests += 1;
                let (namespace, endpoint) = owner(entry.state.object());
                let turn = ApiTurn::Reread(id);
                self.requests.push(true, namespace, endpoint, turn);
                None
            }
            Effect::DropToken => {
                if let Some(token) = entry.tracking.refused_token.take() {
                    self.calls.refused(&token);
                }
                None
            }
            Effect::Publish(notice) => {
                let object = entry.state.object();
                if let Notice::Finished { outcome, .. } = &notice {
                    self.metrics
                        .finished(outcome.name(), object_metrics::age(object));
                }
                object_log::span(object).in_scope(|| {
                    object_log::published(&notice);
                    self.events.publish(object_id(object), notice);
                });
                None
            }
            Effect::Forget => {
                let left_watch = entry.tracking.left_watch;
                self.finish(id);
                if left_watch {
                    self.objects.remove(id);
                }
                None
            }
        }
    }

    /// Counts the next cancel request of an object for its namespace, once: its intent may be written several times.
    fn count_cancel(&mut self, id: Id) {
        if let Some(entry) = self.objects.active(id)
            && !std::mem::replace(&mut entry.tracking.is_cancel_counted, true)
        {
            let namespace = &entry.state.object().namespace;
            self.call_limits.count(namespace, self.calls.clock.mono());
        }
    }

    fn call(&mut self, id: Id, lane: Lane, method: Method) -> Option<Event> {
        let entry = self.objects.active(id)?;
        match Calls::owner(entry.state.object()) {
            Some((namespace, endpoint)) => {
                if method != Method::Cancel {
                    self.call_limits.count(namespace, self.calls.clock.mono());
                }
                entry.tracking.pending_effects += 1;
                let requested = &mut entry.tracking.token_requested;
                let call = QueuedCall {
                    id,
                    method,
                    read_since: match method {
                        Method::Cancel => requested.take(),
                        Method::Get { .. } => None,
                    },
                    has_waited: false,
                };
                self.lanes.push(lane, namespace, endpoint, call);
                None
            }
            None => Some(method.withheld()),
        }
    }

    /// Begins the requests and calls for which workers are free. Returns whether more could begin after the next event: turns
    /// without a request take time too.
    pub(super) fn dispatch(&mut self) -> bool {
        if !self.may_step() {
            return false;
        }
        self.take_turns_of_namespaces();
        for _ in 0..TURNS_AT_ONCE {
            let now = self.calls.clock.mono();
            let Some(turn) = self.requests.take(now) else {
                break;
            };
            match turn {
                ApiTurn::Write(id) => {
                    if let Some(entry) = self.objects.active(id) {
                        entry.tracking.pending_effects =
                            entry.tracking.pending_effects.saturating_sub(1);
                        self.step(id, Event::WriteTurn);
                    }
                }
                ApiTurn::Reread(id) => self.send(id, None),
            }
        }
        let mut begun = 0;
        while begun < TURNS_AT_ONCE
            && let Some((lane, owner, call)) = self.lanes.take()
        {
            self.begin(lane, owner, call);
            begun += 1;
        }
        let now = self.calls.clock.mono();
        let has_turn = self.call_limits.wakes_at().is_some_and(|at| at <= now);
        self.requests.has_turn(now) || begun == TURNS_AT_ONCE || has_turn
    }

    /// Steps objects that waited for the rate of their namespace.
    fn take_turns_of_namespaces(&mut self) {
        for _ in 0..TURNS_AT_ONCE {
            let Some(id) = self.call_limits.take_turn(self.calls.clock.mono()) else {
                break;
            };
            self.step(id, Event::Woken);
            self.call_limits.end_turn();
        }
    }

    fn begin(&mut self, lane: Lane, owner: Owner, call: QueuedCall) {
        let QueuedCall { id, method, .. } = call;
        let draining = self.drain.is_some();
        let Some(entry) = self.objects.active(id) else {
            // The object is gone.
            self.lanes.done(lane, &owner);
            return;
        };
        let unwanted = draining || method == Method::Cancel && !entry.state.wants_cancel();
        let address = self.calls.address(entry.state.object());
        let Some(address) = address.filter(|_| !unwanted) else {
            return self.handle_answer(Answer {
                id,
                source: Source::Lane(lane, owner),
                event: method.withheld(),
                refused_token: None,
                warning: None,
                unavailable: None,
            });
        };
        let span = object_log::task_span(entry.state.object());
        let calls = self.calls.clone();
        let read_since = read_since(lane, call, calls.clock.mono());
        if !call.has_waited
            && let Some(missing) = calls.missing_token(&address, read_since)
        {
            self.lanes.done(lane, &owner);
            let call = QueuedCall {
                read_since: Some(read_since),
                has_waited: true,
                ..call
            };
            return self.wait_for_token(lane, call, missing.instrument(span).boxed());
        }
        let large = Arc::new(Notify::new());
        let is_large = large.clone();
        let withdrawn = CancellationToken::new();
        if method == Method::Cancel {
            self.cancels.insert(id, withdrawn.clone());
        }
        let rest = async move {
            let answer = calls
                .make(&address, method, read_since, &large, &withdrawn)
                .await;
            Answer {
                id,
                source: Source::WithoutWorker,
                event: answer.event,
                refused_token: answer.refused,
                warning: None,
                unavailable: None,
            }
        };
        let term = self.leadership.term.clone();
        let mut rest = term.during(rest.instrument(span)).boxed();
        self.tasks.spawn(async move {
            tokio::select! {
                answer = &mut rest => TaskEnd::Answer(Box::new(Answer {
                    source: Source::Lane(lane, owner),
                    ..answer
                })),
                () = is_large.notified() => TaskEnd::Large { lane, owner, rest },
            }
        });
    }

    /// Waits without a worker until the token of a ServiceAccount is at hand: a token server that hangs must not delay other calls.
    /// The call is queued again then. One that is withdrawn waits no longer.
    fn wait_for_token(
        &mut self,
        lane: Lane,
        call: QueuedCall,
        missing: BoxFuture<'static, Result<(), TokenError>>,
    ) {
        let withdrawn = CancellationToken::new();
        if call.method == Method::Cancel {
            self.cancels.insert(call.id, withdrawn.clone());
        }
        self.tasks.spawn(async move {
            let failed = tokio::select! {
                biased;
                () = withdrawn.cancelled() => None,
                obtained = missing => obtained.err(),
            };
            TaskEnd::TokenObtained { lane, call, failed }
        });
    }

    /// The token of a ServiceAccount is at hand, or it is known why not.
    fn token_obtained(&mut self, lane: Lane, call: QueuedCall, failed: Option<TokenError>) {
        let QueuedCall { id, method, .. } = call;
        if lane == Lane::Cancel {
            self.cancels.remove(&id);
        }
        if let Some(error) = failed {
            return self.handle_answer(Answer {
                id,
                source: Source::WithoutWorker,
                event: method.failed(error.into()),
                refused_token: None,
                warning: None,
                unavailable: None,
            });
        }
        let Some(entry) = self.objects.active(id) else {
            return;
        };
        if let Some((namespace, endpoint)) = Calls::owner(entry.state.object()) {
            self.lanes.push(lane, namespace, endpoint, call);
        }
    }

    /// Handles the end of a task.
    pub(super) fn handle_task_end(&mut self, end: TaskEnd) {
        match end {
            TaskEnd::Answer(answer) => self.handle_answer(*answer),
            TaskEnd::TokenObtained { lane, call, failed } => {
                self.token_obtained(lane, call, failed);
            }
            TaskEnd::Large { lane, owner, rest } => {
                self.lanes.done(lane, &owner);
                let rest = rest.map(|answer| TaskEnd::Answer(Box::new(answer)));
                self.tasks.spawn(rest);
            }
        }
    }

    /// Sends a write, or reads the object.
    fn send(&mut self, id: Id, write: Option<StatusWrite>) {
        let Some(entry) = self.objects.active(id) else {
            return;
        };
        let object = object_id(entry.state.object());
        let (namespace, endpoint) = owner(entry.state.object());
        let kind = write.as_ref().map(|write| write.kind);
        let urgent = is_urgent(kind, &self.lanes, namespace, endpoint);
        let span = object_log::task_span(entry.state.object());
        let writer = self.writer.clone();
        let now = self.calls.clock.mono();
        let request = self.requests.begin(urgent, &object.namespace, now);
        let make = async move {
            let (event, warning, unavailable) = match write {
                Some(write) => {
                    let answered = writer.write(&object, &write).await;
                    let event = Event::WriteAnswered(answered.answer);
                    (event, answered.warning, answered.unavailable)
                }
                None => {
                    let (event, unavailable) = writer.reread(&object).await;
                    (event, None, unavailable)
                }
            };
            TaskEnd::Answer(Box::new(Answer {
                id,
                source: Source::Api { kind, request },
                event,
                refused_token: None,
                warning,
                unavailable,
            }))
        };
        let term = self.leadership.term.clone();
        self.tasks.spawn(term.during(make.instrument(span)));
    }
}

/// Since when a ServiceAccount must have been read for a call whose turn comes now. For a cancel request it may have been read while the
/// intent was written. A poll only reads, so it may be that of the last second: otherwise each poll would cost a request to the API
/// server.
fn read_since(lane: Lane, call: QueuedCall, now: Duration) -> Duration {
    const LONG_AGO: Duration = Duration::from_secs(10);
    match (lane, call.read_since) {
        (_, Some(since)) if call.has_waited => since,
        (Lane::Cancel, Some(since)) => since.max(now.saturating_sub(LONG_AGO)),
        (Lane::Poll, _) => now.saturating_sub(Duration::from_secs(1)),
        (Lane::Cancel | Lane::Start, _) => now,
    }
}

/// Whether a request is urgent: it is, unless it only writes progress. Urgent writes wait for reads. An intent is not urgent while its
/// cancel request would wait long, as at an endpoint that does not answer: thousands of intents would delay those whose requests can be
/// sent.
fn is_urgent(kind: Option<WriteKind>, lanes: &Lanes, namespace: &str, endpoint: &str) -> bool {
    match kind {
        Some(WriteKind::Progress) => false,
        Some(WriteKind::Intent) => !lanes.has_crowded_cancels(namespace, endpoint),
        Some(WriteKind::Outcome) | None => true,
    }
}

/// The namespace and the endpoint for which a request to the API server counts. Objects without an endpoint count as one.
fn owner(object: &ObjectView) -> (&str, &str) {
    Calls::owner(object).unwrap_or((&object.namespace, ""))
}

fn object_id(object: &ObjectView) -> ObjectId {
    ObjectId {
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        uid: object.uid.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Before, the intents of thousands of objects at an endpoint that does not answer delayed the others' new cancel requests.
    #[test]
    fn an_intent_is_not_urgent_while_its_cancel_request_would_wait_long() {
        const WORKERS: usize = 3;
        let mut lanes = Lanes::new(WORKERS);
        let urgent = |lanes: &Lanes, kind, namespace, endpoint| {
            is_urgent(Some(kind), lanes, namespace, endpoint)
        };
        for id in 0..WORKERS as Id {
            assert!(urgent(&lanes, WriteKind::Intent, "team", "dead"));
            let call = QueuedCall {
                id,
                method: Method::Cancel,
                read_since: None,
                has_waited: false,
            };
            lanes.push(Lane::Cancel, "team", "dead", call);
        }
        assert!(!urgent(&lanes, WriteKind::Intent, "team", "dead"));
        assert!(urgent(&lanes, WriteKind::Intent, "team", "alive"));
        assert!(urgent(&lanes, WriteKind::Intent, "other", "dead"));
        assert!(urgent(&lanes, WriteKind::Outcome, "team", "dead"));
        assert!(is_urgent(None, &lanes, "team", "dead"));
        lanes.take();
        assert!(urgent(&lanes, WriteKind::Intent, "team", "dead"));
    }
}
