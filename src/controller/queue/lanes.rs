//! The lanes in which calls to Google wait for a worker.
//!
//! Cancel requests and first looks each have workers of their own, so that neither waits behind a backlog of polls, and a
//! cancel not behind first looks that hang.

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::fair_queue::{FairQueue, Owner};
use crate::{
    controller::{
        dispatch::calls::{Address, CallAnswer, Calls},
        objects::Id,
    },
    lifecycle::{Event, GetLane},
};

/// One call that waits. Where it goes is found out when its turn comes: many may wait.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// For which object.
    pub id: Id,
    /// What is asked.
    pub what: What,
}

/// What a call asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// How the operation is.
    Get {
        /// Even if a quota is used up.
        regardless_of_quota: bool,
    },
    /// To cancel it.
    Cancel,
}

impl What {
    /// What it comes to if it is not made.
    pub const fn withheld(self) -> Event {
        match self {
            Self::Get { .. } => Event::GetWithheld,
            Self::Cancel => Event::CancelWithheld,
        }
    }
}

/// Which lane a call is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Cancel requests.
    Cancel,
    /// First looks.
    Start,
    /// Everything else.
    Poll,
}

/// All lanes.
#[derive(Debug)]
pub struct Lanes {
    cancel: FairQueue<Call>,
    start: FairQueue<Call>,
    poll: FairQueue<Call>,
}

impl Lanes {
    /// With so many workers each.
    pub fn new(workers: usize) -> Self {
        Self {
            cancel: FairQueue::new(workers),
            start: FairQueue::new(workers),
            poll: FairQueue::new(workers),
        }
    }

    /// One more call waits.
    pub fn push(&mut self, lane: Name, namespace: &str, endpoint: &str, call: Call) {
        self.lane(lane).push(namespace, endpoint, call);
    }

    /// The next call that may begin.
    pub fn take(&mut self) -> Option<(Name, Owner, Call)> {
        [Name::Cancel, Name::Start, Name::Poll]
            .into_iter()
            .find_map(|name| {
                let (owner, call) = self.lane(name).take()?;
                Some((name, owner, call))
            })
    }

    /// A call has ended.
    pub fn done(&mut self, lane: Name, owner: &Owner) {
        self.lane(lane).done(owner);
    }

    /// How many calls wait in each lane, by its name in metrics.
    pub const fn waiting(&self) -> [(&'static str, usize); 3] {
        [
            ("cancel", self.cancel.waiting()),
            ("start", self.start.waiting()),
            ("poll", self.poll.waiting()),
        ]
    }

    const fn lane(&mut self, name: Name) -> &mut FairQueue<Call> {
        match name {
            Name::Cancel => &mut self.cancel,
            Name::Start => &mut self.start,
            Name::Poll => &mut self.poll,
        }
    }
}

impl From<GetLane> for Name {
    fn from(lane: GetLane) -> Self {
        match lane {
            GetLane::Start => Self::Start,
            GetLane::Poll => Self::Poll,
        }
    }
}

/// Makes a call. `large` is notified once if its answer is a large one. A cancel request is not made if it is taken back before it
/// leaves.
pub async fn make(
    calls: &Calls,
    address: &Address,
    what: What,
    large: &Notify,
    taken_back: &CancellationToken,
) -> CallAnswer {
    match what {
        What::Get {
            regardless_of_quota,
        } => calls.get(address, regardless_of_quota, large).await,
        What::Cancel => calls.cancel(address, taken_back).await,
    }
}
