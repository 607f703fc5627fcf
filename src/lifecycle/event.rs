//! What happens to a cancellation, and what it wants done.

use std::time::Duration;

use jiff::Timestamp;

use super::{ObjectView, StatusWrite, WriteKind};
use crate::{
    api::Outcome,
    google::{
        answer::{CancelAnswer, GetAnswer},
        quota::Allowance,
    },
};

/// The time, as the caller's clocks have it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Wall clock; only for what is stored and for comparing with what is stored.
    pub wall: Timestamp,
    /// Monotonic clock since any fixed moment of this process; every delay is counted in it.
    pub mono: Duration,
}

/// What a step may look at besides the object itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time of the event.
    pub now: Now,
    /// A fresh random number in `0.0..1.0`, for jitter.
    pub jitter: f64,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// What the grants say of this object now. Nothing may be stepped before they have been read.
    pub grant: Grant,
    /// Google's name for the identity that asks, as far as known.
    pub principal: Option<&'a str>,
    /// What the quotas leave to this object's calls now.
    pub quota: Allowance,
    /// The process ends: nothing begins that the next process can do as well.
    pub stopping: bool,
    /// Whether a write would be sent at once. If not, it is announced, and made when its turn comes.
    pub may_write: bool,
}

/// Whether a CancellationGrant allows this namespace this project, service and identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// One does.
    Granted,
    /// None does.
    NotGranted,
    /// The grants could not be read for long: nobody knows.
    Unknown,
}

/// The flags that the life of an object depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `--observe-budget`: how long the first cancel waits for the first GET.
    pub observe_budget: Duration,
    /// `--min-poll`: the shortest delay between two polls.
    pub min_poll: Duration,
    /// `--max-poll`: the longest delay between two polls.
    pub max_poll: Duration,
    /// `--not-found-after`: how long nothing but NOT_FOUND makes the outcome NotFound.
    pub not_found_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            observe_budget: Duration::from_millis(250),
            min_poll: Duration::from_millis(500),
            max_poll: Duration::from_secs(60),
            not_found_after: Duration::from_secs(300),
        }
    }
}

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The watch showed the object.
    Seen(Box<ObjectView>),
    /// A full list shows the object at an older version than one that the API server had told before the list began: what it
    /// stores has gone back, as after a restore of etcd, and this is what is stored now.
    WentBack(Box<ObjectView>),
    /// The answer to [`Effect::Reread`]: the object as it is stored, or nothing if the API server does not let it be read.
    Reread(Option<Box<ObjectView>>),
    /// The answer to [`Effect::Reread`] while the API server gives none: asked again in a moment.
    NotReread,
    /// The object is gone.
    Gone,
    /// Nothing but time passed: `wake_at` was reached, or the grants changed.
    Woken,
    /// The answer to [`Effect::Get`].
    GetAnswered(GetAnswer),
    /// The answer to [`Effect::Cancel`].
    CancelAnswered(CancelAnswer),
    /// The call was not made: when its turn came the grant was gone, a quota was used up, or the process was ending.
    GetWithheld,
    /// The request was not sent: when its turn came the grant was gone, a GET had said done, or the process was ending.
    CancelWithheld,
    /// The answer to [`Effect::QueueWrite`]: what is to be written, if anything still is, may be.
    WriteTurn,
    /// The answer to [`Effect::Write`].
    WriteAnswered(WriteAnswer),
}

/// What came of a status write.
#[derive(Clone, Debug)]
pub enum WriteAnswer {
    /// Written: the object as the API server answered it.
    Written(Box<ObjectView>),
    /// Somebody else changed the object first (409); this is how it looks now.
    Conflict(Box<ObjectView>),
    /// Nobody knows whether it was written (time-out, connection lost): the object has to be read again.
    Unsure,
    /// The API server does not take it (403, 422, ...): tried again later.
    Failed,
    /// The API server takes nothing of the kind now (429, 5xx): tried again in a moment, as soon as the caller lets it.
    Busy,
    /// The object is gone.
    Gone,
}

impl WriteAnswer {
    /// Its name in logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Written(_) => "written",
            Self::Conflict(_) => "conflict",
            Self::Unsure => "unconfirmed",
            Self::Failed | Self::Busy => "failed",
            Self::Gone => "gone",
        }
    }
}

/// Which queue a call waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetLane {
    /// New cancellations: never behind a backlog of polls.
    Start,
    /// Operations that are waited for.
    Poll,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// GET the operation.
    Get {
        /// Which queue.
        lane: GetLane,
        /// Even if a quota is used up: the last look before a deadline.
        regardless_of_quota: bool,
    },
    /// The next poll has its place, at [`Allowance::next_poll`].
    ReservePoll,
    /// Write the status.
    Write(Box<StatusWrite>),
    /// Others write now: a write of this kind waits for its turn. It is made only then, so that nothing of it has to be kept
    /// until then, and so that it says what is known by then, which may even be a write of another kind.
    QueueWrite(WriteKind),
    /// POST `:cancel`; the intent for it is recorded.
    Cancel {
        /// The recorded `cancelAttempts`.
        attempt: i64,
    },
    /// The API did not take the token: fetch a new one for the next call.
    DropToken,
    /// Tell people through a Kubernetes event.
    Publish(Notice),
    /// Read the object from the API server, not from a cache, and answer with [`Event::Reread`].
    Reread,
    /// Nothing is left to do for this object, ever.
    Forget,
}

/// A Kubernetes event to publish: at most two in a life.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// An outcome was recorded.
    Finished {
        /// Which.
        outcome: Outcome,
        /// The reason that the condition `Finished` has.
        reason: &'static str,
        /// Whether `spec.acceptedOutcomes` has it.
        accepted: bool,
        /// For people.
        message: String,
    },
    /// A human must act.
    Stalled {
        /// The condition's reason.
        reason: &'static str,
        /// For people.
        message: String,
    },
}

/// What a step decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to do now, in this order.
    pub effects: Vec<Effect>,
    /// When to come back with [`Event::Woken`] if nothing else happens before (monotonic).
    pub wake_at: Option<Duration>,
    /// What only this process knows is not stored yet: the answer to a cancel request that was sent, or an end that was seen. A
    /// process that ends waits for it.
    pub unrecorded: bool,
}
