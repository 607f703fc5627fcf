//! The lanes in which calls to Google wait for a worker.
//!
//! Cancel requests and first GETs have workers of their own: they never wait behind a backlog of polls, and cancel requests never
//! wait behind first GETs that hang.

use std::time::Duration;

use super::fair_queue::{FairQueue, Owner};
use crate::{
    controller::objects::id::Id,
    google::answer::CallError,
    lifecycle::{Event, GetLane},
};

/// A call that waits. Its address is made only when its turn comes: many calls may wait.
#[derive(Clone, Copy, Debug)]
pub struct QueuedCall {
    /// The object.
    pub id: Id,
    pub method: Method,
    /// Since when its ServiceAccount must have been read; `None` if that is decided when its turn comes.
    pub read_since: Option<Duration>,
    /// It has waited for the token of its ServiceAccount.
    pub has_waited: bool,
}

/// A method of the Operations API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GetOperation`.
    Get {
        /// Even if a quota is exhausted.
        regardless_of_quota: bool,
    },
    /// `CancelOperation`.
    Cancel,
}

impl Method {
    /// The answer to a call that failed before it was made.
    pub const fn failed(self, error: CallError) -> Event {
        match self {
            Self::Get { .. } => Event::GetAnswered(Err(error)),
            Self::Cancel => Event::CancelAnswered(Err(error)),
        }
    }

    /// The answer to a call that is not made.
    pub const fn withheld(self) -> Event {
        match self {
            Self::Get { .. } => Event::GetWithheld,
            Self::Cancel => Event::CancelWithheld,
        }
    }
}

/// A queue with workers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Cancel requests.
    Cancel,
    /// First GETs.
    Start,
    /// All other GETs.
    Poll,
}

/// All lanes.
#[derive(Debug)]
pub struct Lanes {
    cancel: FairQueue<QueuedCall>,
    start: FairQueue<QueuedCall>,
    poll: FairQueue<QueuedCall>,
}

impl Lanes {
    /// Each lane has so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            cancel: FairQueue::new(workers),
            start: FairQueue::new(workers),
            poll: FairQueue::new(workers),
        }
    }

    /// Adds a call.
    pub fn push(&mut self, lane: Lane, namespace: &str, endpoint: &str, call: QueuedCall) {
        self.lane(lane).push(namespace, endpoint, call);
    }

    /// The next call that may begin.
    pub fn take(&mut self) -> Option<(Lane, Owner, QueuedCall)> {
        [Lane::Cancel, Lane::Start, Lane::Poll]
            .into_iter()
            .find_map(|lane| {
                let (owner, call) = self.lane(lane).take()?;
                Some((lane, owner, call))
            })
    }

    /// A call has ended.
    pub fn done(&mut self, lane: Lane, owner: &Owner) {
        self.lane(lane).done(owner);
    }

    /// Whether so many cancel requests of a namespace wait for an endpoint that one more would wait long, however soon its intent is
    /// stored.
    pub fn has_crowded_cancels(&self, namespace: &str, endpoint: &str) -> bool {
        self.cancel.is_crowded(namespace, endpoint)
    }

    /// How many calls wait in each lane, by its name in metrics.
    pub const fn waiting(&self) -> [(&'static str, usize); 3] {
        [
            ("cancel", self.cancel.waiting()),
            ("start", self.start.waiting()),
            ("poll", self.poll.waiting()),
        ]
    }

    const fn lane(&mut self, lane: Lane) -> &mut FairQueue<QueuedCall> {
        match lane {
            Lane::Cancel => &mut self.cancel,
            Lane::Start => &mut self.start,
            Lane::Poll => &mut self.poll,
        }
    }
}

impl From<GetLane> for Lane {
    fn from(lane: GetLane) -> Self {
        match lane {
            GetLane::Start => Self::Start,
            GetLane::Poll => Self::Poll,
        }
    }
}
