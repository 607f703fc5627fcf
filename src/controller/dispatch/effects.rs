//! What the life cycle wants done: queued, begun when there is a worker, and answered exactly once.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Dispatcher, calls::Calls, object_log};
use crate::{
    controller::{
        objects::{Id, object_metrics},
        queue::{
            fair_queue::Owner,
            lanes::{self, Call, Name, What},
            outage::Trouble,
            write_queue::UnderWay,
        },
        writes::status_writer::ObjectId,
    },
    google::token::Token,
    lifecycle::{Effect, Event, Notice, ObjectView, StatusWrite, WriteKind},
};

/// What waits for its turn at the API server. Nothing is made before, so that it costs next to nothing to wait.
#[derive(Clone, Copy, Debug)]
pub(super) enum ApiTurn {
    /// To write.
    Write(Id),
    /// To read the object.
    Reread(Id),
}

/// So many turns at the API server, and so many calls, are handed out before something else may happen.
const TURNS_AT_ONCE: usize = 64;

/// Whose turn ended.
#[derive(Debug)]
pub(super) enum From {
    Lane(Name, Owner),
    /// The worker of the lane is free already.
    LargeAnswer,
    /// A request to the API server: a write of this kind, or a read.
    Api {
        kind: Option<WriteKind>,
        request: UnderWay,
    },
}

impl From {
    /// The kind of write, if it was one.
    pub const fn write_kind(&self) -> Option<WriteKind> {
        match self {
            Self::Api { kind, .. } => *kind,
            Self::Lane(..) | Self::LargeAnswer => None,
        }
    }
}

/// What came of an effect.
#[derive(Debug)]
pub(super) struct Answer {
    pub id: Id,
    pub from: From,
    pub event: Event,
    pub refused: Option<Token>,
    /// What people should know of a write.
    pub warning: Option<String>,
    /// What a request to the API server says of all others.
    pub trouble: Option<Trouble>,
}

/// What comes of a task.
pub(super) enum Ended {
    /// The answer.
    Answer(Box<Answer>),
    /// The answer has begun and is large. Whoever comes next need not wait for it: few of them are read at a time.
    Large {
        lane: Name,
        owner: Owner,
        rest: BoxFuture<'static, Answer>,
    },
}

impl Dispatcher {
    /// Does one thing. Gives back the answer if there is one at once.
    pub(super) fn perform(&mut self, id: Id, effect: Effect) -> Option<Event> {
        let entry = self.objects.active(id)?;
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
            Effect::ReservePoll => {
                self.calls.reserve_poll(entry.known.object());
                None
            }
            Effect::Cancel { .. } => self.call(id, Name::Cancel, What::Cancel),
            Effect::Write(write) => {
                entry.kept.unanswered += 1;
                entry.kept.api_requests += 1;
                self.send(id, Some(*write));
                None
            }
            Effect::QueueWrite(kind) => {
                entry.kept.unanswered += 1;
                let namespace = &entry.known.object().namespace;
                let urgent = is_urgent(Some(kind));
                self.requests.push(urgent, namespace, ApiTurn::Write(id));
                None
            }
            Effect::Reread => {
                entry.kept.unanswered += 1;
                entry.kept.api_requests += 1;
                let namespace = &entry.known.object().namespace;
                self.requests.push(true, namespace, ApiTurn::Reread(id));
                None
            }
            Effect::DropToken => {
                if let Some(token) = entry.kept.refused.take() {
                    self.calls.tokens.refused(&token);
                }
                None
            }
            Effect::Publish(notice) => {
                let object = entry.known.object();
                if let Notice::Finished { outcome, .. } = &notice {
                    self.metrics
                        .finished(outcome.name(), object_metrics::age(object));
                }
                object_log::span(object).in_scope(|| {
                    object_log::noticed(&notice);
                    self.events.publish(object_id(object), notice);
                });
                None
            }
            Effect::Forget => {
                let leaving = entry.kept.leaving;
                self.finish(id);
                if leaving {
                    self.objects.remove(id);
                }
                None
            }
        }
    }

    fn call(&mut self, id: Id, lane: Name, what: What) -> Option<Event> {
        let entry = self.objects.active(id)?;
        match Calls::owner(entry.known.object()) {
            Some((namespace, endpoint)) => {
                entry.kept.unanswered += 1;
                self.lanes
                    .push(lane, namespace, endpoint, Call { id, what });
                None
            }
            None => Some(what.withheld()),
        }
    }

    /// Begins what waits, as far as there are workers. Whether more could begin, once others had a moment: turns of which
    /// nothing comes take time too.
    pub(super) fn hand_out(&mut self) -> bool {
        for _ in 0..TURNS_AT_ONCE {
            let now = self.calls.clock.mono();
            let Some(turn) = self.requests.take(now) else {
                break;
            };
            match turn {
                ApiTurn::Write(id) => {
                    if let Some(entry) = self.objects.active(id) {
                        entry.kept.unanswered = entry.kept.unanswered.saturating_sub(1);
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
        self.requests.has_turn(self.calls.clock.mono()) || begun == TURNS_AT_ONCE
    }

    fn begin(&mut self, lane: Name, owner: Owner, call: Call) {
        let Call { id, what } = call;
        let draining = self.drain_until.is_some();
        let Some(entry) = self.objects.active(id) else {
            // Gone in the meantime.
            self.lanes.done(lane, &owner);
            return;
        };
        let unwanted = draining || what == What::Cancel && !entry.known.wants_cancel();
        let address = self.calls.address(entry.known.object());
        let Some(address) = address.filter(|_| !unwanted) else {
            return self.answered(Answer {
                id,
                from: From::Lane(lane, owner),
                event: what.withheld(),
                refused: None,
                warning: None,
                trouble: None,
            });
        };
        let span = object_log::task_span(entry.known.object());
        let calls = self.calls.clone();
        let large = Arc::new(Notify::new());
        let is_large = large.clone();
        let taken_back = CancellationToken::new();
        if what == What::Cancel {
            self.cancels.insert(id, taken_back.clone());
        }
        let rest = async move {
            let answer = lanes::make(&calls, &address, what, &large, &taken_back).await;
            Answer {
                id,
                from: From::LargeAnswer,
                event: answer.event,
                refused: answer.refused,
                warning: None,
                trouble: None,
            }
        };
        let mut rest = rest.instrument(span).boxed();
        self.tasks.spawn(async move {
            tokio::select! {
                answer = &mut rest => Ended::Answer(Box::new(Answer {
                    from: From::Lane(lane, owner),
                    ..answer
                })),
                () = is_large.notified() => Ended::Large { lane, owner, rest },
            }
        });
    }

    /// Takes in what came of a task.
    pub(super) fn ended(&mut self, ended: Ended) {
        match ended {
            Ended::Answer(answer) => self.answered(*answer),
            Ended::Large { lane, owner, rest } => {
                self.lanes.done(lane, &owner);
                let rest = rest.map(|answer| Ended::Answer(Box::new(answer)));
                self.tasks.spawn(rest);
            }
        }
    }

    /// Sends a write, or reads the object.
    fn send(&mut self, id: Id, write: Option<StatusWrite>) {
        let Some(entry) = self.objects.active(id) else {
            return;
        };
        let object = object_id(entry.known.object());
        let span = object_log::task_span(entry.known.object());
        let writer = self.writer.clone();
        let kind = write.as_ref().map(|write| write.kind);
        let request = self.requests.begin(is_urgent(kind), &object.namespace);
        let make = async move {
            let (event, warning, trouble) = match write {
                Some(write) => {
                    let answered = writer.write(&object, &write).await;
                    let event = Event::WriteAnswered(answered.answer);
                    (event, answered.warning, answered.trouble)
                }
                None => {
                    let (event, trouble) = writer.reread(&object).await;
                    (event, None, trouble)
                }
            };
            Ended::Answer(Box::new(Answer {
                id,
                from: From::Api { kind, request },
                event,
                refused: None,
                warning,
                trouble,
            }))
        };
        self.tasks.spawn(make.instrument(span));
    }
}

/// Whether somebody waits for it: a read is what an urgent write waits for.
fn is_urgent(kind: Option<WriteKind>) -> bool {
    kind != Some(WriteKind::Progress)
}

fn object_id(object: &ObjectView) -> ObjectId {
    ObjectId {
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        uid: object.uid.clone(),
    }
}
