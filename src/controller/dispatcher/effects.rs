//! What the life cycle wants done: queued, begun when there is a worker, and answered exactly once.

use std::sync::Arc;

use tracing::Instrument;

use super::{Dispatcher, drain::can_wait};
use crate::{
    controller::{
        fair_queue::Owner,
        journal,
        lanes::{self, Call, Name, What},
        objects::{Entry, Id},
        standing,
        status_writer::ObjectId,
    },
    google::token::Token,
    lifecycle::{Effect, Event, Notice, ObjectView, StatusWrite, WriteKind},
};

/// A request to the API server.
#[derive(Debug)]
pub(super) struct ApiRequest {
    id: Id,
    object: ObjectId,
    /// None: read the object.
    write: Option<Box<StatusWrite>>,
}

/// Whose turn ended.
#[derive(Debug)]
pub(super) enum From {
    Lane(Name, Owner),
    Api(Option<WriteKind>),
}

/// What came of an effect.
#[derive(Debug)]
pub(super) struct Answer {
    pub id: Id,
    pub from: From,
    pub event: Event,
    pub refused: Option<Token>,
    /// What people should know of a write.
    pub complaint: Option<String>,
}

impl Dispatcher {
    /// Does one thing. Gives back the answer if there is one at once.
    pub(super) fn perform(&mut self, id: Id, effect: Effect) -> Option<Event> {
        let draining = self.drain_until.is_some();
        let entry = self.objects.active(id)?;
        if draining && can_wait(&effect, entry) {
            return None;
        }
        match effect {
            Effect::Get {
                lane,
                regardless_of_quota,
            } => self.call(
                id,
                lane.into(),
                What::Get {
                    regardless_of_quota,
                },
            ),
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
                let object = entry.known.object();
                if let Notice::Finished { outcome, .. } = &notice {
                    self.metrics.finished(outcome.name(), standing::age(object));
                }
                journal::span(object).in_scope(|| {
                    journal::noticed(&notice);
                    self.events.publish(object_id(object), notice);
                });
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
                self.lanes.push(
                    lane,
                    Call {
                        id,
                        address: Arc::new(address),
                        what,
                    },
                );
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
            if let Some(until) = address.and_then(|address| self.calls.cancel_held_until(&address))
            {
                return Some(Event::CancelHeld(until));
            }
        }
        self.request(id, Some(write));
        None
    }

    fn request(&mut self, id: Id, write: Option<Box<StatusWrite>>) {
        let Some(entry) = self.objects.active(id) else {
            return;
        };
        entry.unanswered += 1;
        entry.api_requests += 1;
        let object = object_id(entry.known.object());
        let urgent = write
            .as_ref()
            .is_none_or(|write| write.kind != WriteKind::Progress);
        let namespace = object.namespace.clone();
        self.requests
            .push(urgent, &namespace, ApiRequest { id, object, write });
    }

    /// Begins what waits, as far as there are workers.
    pub(super) fn hand_out(&mut self) {
        while let Some((lane, owner, call)) = self.lanes.take() {
            let cancel = call.what == What::Cancel;
            let draining = self.drain_until.is_some();
            let wanted = |entry: &&mut Entry| !draining || (!cancel && entry.unrecorded_cancel);
            let Some(entry) = self.objects.active(call.id).filter(wanted) else {
                // Gone in the meantime, or the process is ending.
                self.lanes.done(lane, &owner);
                continue;
            };
            entry.unrecorded_cancel |= cancel;
            let span = journal::task_span(entry.known.object());
            let calls = self.calls.clone();
            let make = async move {
                let answer = lanes::make(&calls, &call.address, call.what).await;
                Answer {
                    id: call.id,
                    from: From::Lane(lane, owner),
                    event: answer.event,
                    refused: answer.refused,
                    complaint: None,
                }
            };
            self.tasks.spawn(make.instrument(span));
        }
        while let Some(request) = self.requests.take() {
            let Some(entry) = self.objects.active(request.id) else {
                self.requests.done();
                continue;
            };
            let span = journal::task_span(entry.known.object());
            let writer = self.writer.clone();
            let make = async move {
                let kind = request.write.as_ref().map(|write| write.kind);
                let (event, complaint) = match request.write {
                    Some(write) => {
                        let answered = writer.write(&request.object, &write).await;
                        (Event::WriteAnswered(answered.answer), answered.complaint)
                    }
                    None => (writer.reread(&request.object).await, None),
                };
                Answer {
                    id: request.id,
                    from: From::Api(kind),
                    event,
                    refused: None,
                    complaint,
                }
            };
            self.tasks.spawn(make.instrument(span));
        }
    }
}

fn object_id(object: &ObjectView) -> ObjectId {
    ObjectId {
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        uid: object.uid.clone(),
    }
}
