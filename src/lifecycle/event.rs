//! The inputs and outputs of [`super::step`].

use std::time::Duration;

use jiff::Timestamp;

use super::{ForeignIntent, ObjectView, StatusWrite, WriteKind};
use crate::{
    api::Outcome,
    google::{
        answer::{CancelAnswer, GetAnswer},
        quota::Allowance,
    },
};

/// The time on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Wall clock; only for stored times and comparisons with them.
    pub wall: Timestamp,
    /// Monotonic time since some fixed moment of this process; all delays are counted in it.
    pub mono: Duration,
}

/// What a step depends on besides the object itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time of the event.
    pub now: Now,
    /// A fresh random number in `0.0..1.0`, for jitter.
    pub jitter: f64,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// The id of this process, the author of its intents.
    pub holder: &'a str,
    /// Whether other processes may work on the object too.
    pub others: Others<'a>,
    /// Whether a grant allows this object now. No object may be stepped before the grants were read.
    pub grant: Grant,
    /// Google's name for the identity that makes the calls, if known.
    pub principal: Option<&'a str>,
    /// Which of this object's calls the quotas allow now.
    pub quota: Allowance,
    /// Which calls the rate of the object's namespace allows now.
    pub may_call: MayCall,
    /// The process is ending: nothing begins that the next process can do as well.
    pub stopping: bool,
    /// Whether a write would be sent at once. If not, the step queues it and makes it when its turn comes.
    pub may_write: bool,
}

/// Which calls begin first if a namespace has used its rate: the lowest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallPriority {
    /// The cancel request that follows an intent.
    Cancel,
    /// A GET on which a cancel request or an outcome depends.
    Get,
    /// Any other GET.
    Poll,
}

/// Which calls the rate of a namespace allows (`--namespace-calls-per-minute`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MayCall {
    /// [`CallPriority::Cancel`]: an intent may be recorded. Its request is sent then in any case.
    pub cancel: bool,
    /// [`CallPriority::Get`].
    pub get: bool,
    /// [`CallPriority::Poll`].
    pub poll: bool,
}

impl MayCall {
    /// Without a limit.
    pub const ALL: Self = Self {
        cancel: true,
        get: true,
        poll: true,
    };

    /// Whether a call of this priority may begin.
    pub const fn allows(self, priority: CallPriority) -> bool {
        match priority {
            CallPriority::Cancel => self.cancel,
            CallPriority::Get => self.get,
            CallPriority::Poll => self.poll,
        }
    }
}

/// Which other processes may write the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others<'a> {
    /// No leader is elected, so another process may work by mistake.
    MayWork,
    /// This process was elected, so all processes before it have stopped. The last writes of the one with this id may be seen late.
    HaveStopped(Option<&'a str>),
}

/// Whether a CancellationGrant allows this namespace this project, service and identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// A grant allows it.
    Granted,
    /// No grant allows it.
    NotGranted,
    /// The grants could not be read for too long, so it is not known.
    Unknown,
}

/// The flags that the life cycle depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `--observe-budget`: how long the first cancel waits for the first GET.
    pub observe_budget: Duration,
    /// `--min-poll`: the shortest delay between two polls.
    pub min_poll: Duration,
    /// `--max-poll`: the longest delay between two polls.
    pub max_poll: Duration,
    /// `--not-found-after`: how long GETs have to answer NOT_FOUND before the outcome is NotFound.
    pub not_found_after: Duration,
    /// Whether the controller can act as `spec.serviceAccountName` (`--workload-identity-provider`).
    pub service_accounts: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            observe_budget: Duration::from_millis(250),
            min_poll: Duration::from_millis(500),
            max_poll: Duration::from_secs(60),
            not_found_after: Duration::from_secs(300),
            service_accounts: false,
        }
    }
}

/// An input.
#[derive(Clone, Debug)]
pub enum Event {
    /// The watch showed the object.
    Watched(Box<ObjectView>),
    /// A full list shows the object at an older version than one that was known before the list began. The store was rolled back,
    /// as after a restore of etcd, and this is the object now.
    RolledBack(Box<ObjectView>),
    /// The answer to [`Effect::Reread`]: the stored object, or `None` if the API server refuses to show it.
    Reread(Option<Box<ObjectView>>),
    /// The answer to [`Effect::Reread`] if the API server did not answer: the next try follows in a moment.
    RereadFailed,
    /// The object no longer exists.
    Gone,
    /// `wake_at` was reached, or the grants changed.
    Woken,
    /// The answer to [`Effect::Get`].
    GetAnswered(GetAnswer),
    /// The answer to [`Effect::Cancel`].
    CancelAnswered(CancelAnswer),
    /// The GET was not made: when its turn came no grant allowed it, a quota was exhausted, or the process was ending.
    GetWithheld,
    /// The request was not sent: when its turn came no grant allowed it, the operation was done, or the process was ending.
    CancelWithheld,
    /// The answer to [`Effect::QueueWrite`]: a write may be made now.
    WriteTurn,
    /// The answer to [`Effect::Write`].
    WriteAnswered(WriteAnswer),
}

/// The result of a status write.
#[derive(Clone, Debug)]
pub enum WriteAnswer {
    /// Stored: the object as the API server returned it.
    Written(Box<ObjectView>),
    /// Another writer changed the object first (409). This is the object now.
    Conflict(Box<ObjectView>),
    /// Whether it was stored is not known (time-out, connection lost): the object has to be read again.
    Unconfirmed,
    /// The API server refused it (403, 422, ...): the next try comes later.
    Failed,
    /// The API server is overloaded or away (429, 5xx): the next try comes as soon as the caller allows it.
    Busy,
    /// The object no longer exists.
    Gone,
}

impl WriteAnswer {
    /// The name in logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Written(_) => "written",
            Self::Conflict(_) => "conflict",
            Self::Unconfirmed => "unconfirmed",
            Self::Failed | Self::Busy => "failed",
            Self::Gone => "gone",
        }
    }
}

/// Which queue a GET waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetLane {
    /// First GETs of new cancellations: never behind a backlog of polls.
    Start,
    /// All others.
    Poll,
}

/// An output.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// GET the operation.
    Get {
        /// Which queue it waits in.
        lane: GetLane,
        /// Even if a quota is exhausted: the final GET after the deadline.
        regardless_of_quota: bool,
    },
    /// Reserve the next poll, at [`Allowance::next_poll`].
    ReservePoll,
    /// Write the status.
    Write(Box<StatusWrite>),
    /// Queue a write of this kind. It is made only when its turn comes: so the queue stays small, and the write has the latest
    /// state, even if another kind of write is due by then.
    QueueWrite(WriteKind),
    /// POST `:cancel`; its intent is recorded.
    Cancel {
        /// The recorded `cancelAttempts`.
        attempt: i64,
    },
    /// The API did not accept the token: fetch a new one for the next call.
    DropToken,
    /// Publish a Kubernetes event.
    Publish(Notice),
    /// Read the object from the API server, not from a cache, and answer with [`Event::Reread`].
    Reread,
    /// Nothing is left to do for this object.
    Forget,
}

/// A Kubernetes event to publish: at most two for each object.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// An outcome was recorded.
    Finished {
        /// The outcome.
        outcome: Outcome,
        /// The reason that the condition `Finished` has.
        reason: &'static str,
        /// Whether `spec.acceptedOutcomes` has it.
        accepted: bool,
        /// The text.
        message: String,
    },
    /// A person has to act.
    Stalled {
        /// The condition's reason.
        reason: &'static str,
        /// The text.
        message: String,
    },
}

/// The decision of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to do now, in this order.
    pub effects: Vec<Effect>,
    /// When [`Event::Woken`] is due if no other event comes before (monotonic).
    pub wake_at: Option<Duration>,
    /// A call is due that the rate of the namespace does not allow yet: [`Event::Woken`] is due when it does.
    pub waits_for: Option<CallPriority>,
    /// Something that only this process knows is not stored yet: the answer to a cancel request, or the outcome. An ending process
    /// waits until it is.
    pub unrecorded: bool,
    /// The event showed an intent that another process recorded: two processes work on the object, or did a moment ago.
    pub foreign_intent: Option<ForeignIntent>,
}
