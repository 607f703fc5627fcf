//! What a process knows of one object: what is stored, and what it remembers since it saw the object first.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Effect, Now, ObjectView, WriteKind, backoff,
    ending::Ending,
    event::Notice,
    failure::{Failure, Failures},
    time::{self, Since},
};
use crate::api::{Call, ConditionStatus, ConditionType, ObservedOperation, Reason};

/// Everything that is known of one OperationCancellation. What is not in `object` may be lost at any time: the object alone is
/// enough to go on (I6).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cancellation {
    pub(super) object: ObjectView,
    /// An object seen while a write of ours was under way: it may or may not contain that write.
    #[serde(skip)]
    pub(super) watched_meanwhile: Option<Box<ObjectView>>,
    /// When the object was first both granted and not suspended. The deadline counts from here.
    pub(super) started: Option<Since>,
    /// Since when no grant has allowed it.
    pub(super) not_granted_since: Option<Since>,
    /// Whether it acted, looked or waited after the last event.
    pub(super) mode: Option<Mode>,
    pub(super) get: GetState,
    pub(super) cancel: CancelState,
    pub(super) post: PostState,
    pub(super) write: WriteState,
    /// The last look before the outcome Unknown.
    pub(super) final_get: Option<FinalGet>,
    /// How it ended, once decided by an answer. It is not decided again (I3).
    pub(super) ending: Option<Ending>,
}

/// What the object is allowed to do. A change of it makes what GETs said before worthless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mode {
    /// No call at all.
    Waiting,
    /// GET only.
    Observing,
    /// Everything.
    Acting,
}

/// What is known of the operation from GETs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct GetState {
    pub in_flight: Option<GetInFlight>,
    /// No GET before this time.
    pub next_at: Duration,
    /// The next poll has its place under a quota that was used up: at `next_at`.
    pub is_reserved: bool,
    /// The last answer since the object was last allowed to act.
    pub last: Option<LastGet>,
    /// When the first cancel stops to wait for the first GET.
    pub observe_until: Option<Duration>,
    /// How it failed since its last success.
    pub failures: Failures,
    /// Nothing but NOT_FOUND since then.
    pub not_found_since: Option<Duration>,
    /// A GET has answered this: the operation exists, or did.
    pub observed: Option<ObservedOperation>,
    /// The generation for which a suspended object was last looked at.
    pub observed_generation: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct GetInFlight {
    /// It began before the last cancel request was answered: what it says of a running operation may be out of date.
    pub stale: bool,
}

/// The last answer to GET, as far as the next step depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LastGet {
    /// Not done.
    Running,
    /// Holds the cancel back: a new operation may be invisible for minutes, and a typing error must not be hammered.
    NotFound,
    /// Holds the cancel back: it would fail the same way.
    NoToken,
    /// Holds the cancel back: the endpoint does not serve the path.
    NotServed,
    /// Together with the same answer to cancel: Rejected.
    InvalidArgument,
    /// Nothing will ever be seen.
    Unimplemented,
    /// Any other failure, or a used-up quota.
    Failed,
}

/// How far the cancel request got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CancelState {
    /// No intent is recorded. Exits: Intended, or an ending.
    NotSent,
    /// The intent is recorded, the request is about to be sent. Exits: Sending, Again.
    Intended,
    /// The request is under way. Exits: all below.
    Sending,
    /// A new intent follows when `post.next_at` and `post.must_see_running` allow it. Exits: Intended, Accepted.
    Again {
        /// The API said that it will not cancel it now.
        refused: bool,
    },
    /// NOT_FOUND or INVALID_ARGUMENT: the next GET says what that means. Exits: Again, or an ending.
    AwaitingGet,
    /// The API took it. Exits: an ending.
    Accepted {
        /// A poll was answered since.
        polled: bool,
    },
    /// The API cannot cancel it; a GET has to say whether it is done. Exits: an ending.
    Unsupported,
}

/// What is remembered of cancel requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct PostState {
    /// No new intent before this time.
    pub next_at: Duration,
    /// A request may have arrived unanswered: a refusal may then mean "already cancelled".
    pub maybe_arrived: bool,
    /// A request left and was not taken, or not certainly.
    pub sent: bool,
    /// The last definite answer was a refusal.
    pub refused: bool,
    /// A GET must say "not done" before the next intent.
    pub must_see_running: bool,
    /// A used-up quota holds the next intent back.
    pub held: bool,
    /// The last answer was INVALID_ARGUMENT.
    pub invalid_argument: bool,
    /// How it failed since it was last taken.
    pub failures: Failures,
    pub refusals: u32,
    /// A request is under way.
    pub in_flight: bool,
    /// The number of the last request that this process sent; 0 if it sent none.
    pub last_sent: i64,
    /// A request was sent, and what came of it is not stored yet.
    pub unrecorded: bool,
    /// When the first intent was recorded.
    pub requested: Option<Since>,
}

/// What is remembered of status writes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct WriteState {
    #[serde(skip)]
    pub in_flight: Option<WriteInFlight>,
    /// A write was announced and waits for its turn; only then is it made, of what is known by then.
    pub queued: bool,
    pub queued_at: Duration,
    /// An intent waited for so long that the operation was looked at once more.
    pub observed_again: bool,
    /// No write before this time.
    pub not_before: Duration,
    pub conflicts: u32,
    pub failures: u32,
    /// Writes of what goes on, in quick succession: somebody may be changing our part of the status back.
    pub progress_in_a_row: u32,
    pub last_progress: Duration,
    /// The number of an intent of ours of which nobody knows whether it is stored. Its request was never sent.
    pub unconfirmed_intent: Option<i64>,
    /// People were told that it is stalled.
    pub stalled_published: bool,
    /// What people hear of a write of which nobody knows whether it is stored, if it is.
    #[serde(skip)]
    pub unconfirmed_notice: Option<Notice>,
    /// A write's fate is not known: read before anything else.
    pub must_reread: bool,
    pub rereading: bool,
    /// The watch showed a change since that was asked for: the answer may be older.
    pub watched_since_reread: bool,
}

#[derive(Clone, Debug)]
pub(super) struct WriteInFlight {
    pub kind: WriteKind,
    /// The object's version that it was based on.
    pub base: String,
    /// `cancelAttempts` after it.
    pub attempts: i64,
    /// What to publish once it is written.
    pub notice: Option<Notice>,
}

/// The look at the operation after the deadline has passed.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct FinalGet {
    pub tries: u32,
    pub next_at: Duration,
}

impl Cancellation {
    /// What is known of an object that this process sees for the first time: what is stored in it.
    pub fn new(object: ObjectView, now: Now) -> Self {
        let mut new = Self {
            object,
            watched_meanwhile: None,
            started: None,
            not_granted_since: None,
            mode: None,
            get: GetState::default(),
            cancel: CancelState::NotSent,
            post: PostState::default(),
            write: WriteState::default(),
            final_get: None,
            ending: None,
        };
        new.restore(now);
        new
    }

    /// The object as last seen.
    pub const fn object(&self) -> &ObjectView {
        &self.object
    }

    /// Whether nothing is left to do: an outcome is stored, or somebody deletes the object.
    pub const fn is_over(&self) -> bool {
        self.object.status.outcome.is_some() || self.object.deleting
    }

    /// Whether only this process knows something that has to be stored.
    pub(super) const fn has_unrecorded(&self) -> bool {
        !self.is_over() && (self.post.unrecorded || self.ending.is_some())
    }

    /// Whether a cancel request whose intent is recorded is still wanted when its turn comes.
    pub const fn wants_cancel(&self) -> bool {
        !self.is_over() && self.ending.is_none()
    }

    /// Whether `spec.suspend` holds the first cancel back. Once an intent stands, it changes nothing.
    pub(super) fn is_suspended(&self) -> bool {
        self.cancel == CancelState::NotSent
            && self.object.cancel_attempts() == 0
            && self.object.spec.as_ref().is_ok_and(|spec| spec.suspend)
    }

    /// Whether the stored status calls for help because a call failed, whatever failed since then.
    pub(super) fn is_stalled_by_failure(&self) -> bool {
        let others = [
            Reason::NoGrant,
            Reason::UnknownService,
            Reason::UnknownVersion,
            Reason::UnknownName,
            Reason::IdentityNotSupported,
        ];
        self.stored_condition(ConditionType::Stalled)
            .is_some_and(|(_, reason)| others.iter().all(|other| other.name() != reason))
    }

    /// Takes up what is stored: after a start of this process, or when somebody else wrote our part of the status.
    pub(super) fn restore(&mut self, now: Now) {
        self.restore_times(now);
        self.restore_cancel(now);
        self.restore_failure(now);
        self.write.stalled_published |= self.is_stored_as_stalled();
    }

    /// What this process knows already it does not learn again: the wall clock may have moved since.
    fn restore_times(&mut self, now: Now) {
        let status = &self.object.status;
        let intended = self.object.cancel_attempts() > 0;
        let learn = |stored, known: Option<Since>| {
            let stored = time::credible(stored, &self.object, now);
            match (stored, known) {
                (Some(stored), Some(known)) if known.stored == stored => Some(known),
                (Some(stored), _) => Some(Since::learnt(stored, now)),
                // What this process knows does not end because somebody wiped the status.
                (None, Some(known)) => Some(known),
                // An intent stands, so there was such a time once; what is stored is lost or not credible.
                (None, None) => intended.then(|| Since::now(&self.object, now)),
            }
        };
        let started = learn(status.start_time.as_ref(), self.started);
        let requested = learn(status.cancel_request_time.as_ref(), self.post.requested);
        self.started = started;
        self.post.requested = requested.filter(|_| intended);
    }

    /// Whether the stored status calls for help.
    pub(super) fn is_stored_as_stalled(&self) -> bool {
        self.stored_condition(ConditionType::Stalled)
            .is_some_and(|(status, _)| status == ConditionStatus::True.name())
    }

    fn restore_cancel(&mut self, now: Now) {
        self.post.must_see_running = false;
        if self.object.cancel_attempts() == 0 {
            self.cancel = CancelState::NotSent;
            return;
        }
        let condition = self.stored_condition(ConditionType::CancelRequested);
        self.cancel = match condition {
            Some((status, _)) if status == ConditionStatus::True.name() => {
                CancelState::Accepted { polled: true }
            }
            Some((_, reason)) if reason == Reason::Unsupported.name() => CancelState::Unsupported,
            Some((_, reason)) if reason == Reason::Refused.name() => {
                self.post.refusals = self.post.refusals.max(1);
                self.post.refused = true;
                self.post.next_at = now.mono + backoff::after_refusal(self.post.refusals);
                CancelState::Again { refused: true }
            }
            _ if self.write.unconfirmed_intent == Some(self.object.cancel_attempts()) => {
                // The lost write was stored after all; this process has sent nothing for it.
                self.post.must_see_running = true;
                CancelState::Again { refused: false }
            }
            _ => {
                // An intent with no known answer: the request may have arrived.
                // The answer to one that is still under way will say so itself.
                self.post.maybe_arrived |= !self.post.in_flight;
                self.post.must_see_running = true;
                CancelState::Again { refused: false }
            }
        };
        if let Some(get) = &mut self.get.in_flight {
            // It began before what was just read.
            get.stale = true;
        }
    }

    fn restore_failure(&mut self, now: Now) {
        let Some(stored) = &self.object.status.last_error else {
            return;
        };
        let since = time::credible(stored.since.as_ref(), &self.object, now).map_or_else(
            || Since::now(&self.object, now),
            |stored| Since::learnt(stored, now),
        );
        let Some(failure) = Failure::restored(stored, since) else {
            return;
        };
        // Stalled without a success since then stays stalled, whatever failed last.
        let stalling_since = if self.is_stalled_by_failure() {
            Some(Since::learnt(self.object.created, now))
        } else {
            failure.stalls().then_some(since)
        };
        match failure.call {
            Call::Cancel => {
                // What failed in this process is known better.
                self.post.sent |= self.post.failures.last.is_none();
                self.post.failures.last = Some(failure);
                self.post.failures.stalling_since = stalling_since;
            }
            Call::Get | Call::Token => {
                self.get.failures.last = Some(failure);
                self.get.failures.stalling_since = stalling_since;
            }
        }
    }

    /// Status and reason of a stored condition.
    pub(super) fn stored_condition(&self, type_: ConditionType) -> Option<(&str, &str)> {
        self.object.status.condition(type_)
    }

    /// Forgets what GETs said, so that the operation is looked at afresh: whatever happened while the object was not allowed
    /// to act counts for nothing.
    pub(super) fn observe_anew(&mut self, now: Now) {
        self.get.last = None;
        self.get.observe_until = None;
        self.get.not_found_since = None;
        self.get.observed_generation = None;
        self.get.next_at = now.mono;
        if let Some(in_flight) = &mut self.get.in_flight {
            in_flight.stale = true;
        }
    }

    /// The failure that the status shows: that of Cancel wins over one of Get or Token until it is cured, unless only a
    /// GET that people have to cure keeps it from being cured.
    pub(super) fn failure(&self) -> Option<&Failure> {
        if self.waits_for_a_stalling_get() {
            return self.get.failures.last.as_ref();
        }
        self.post
            .failures
            .last
            .as_ref()
            .or(self.get.failures.last.as_ref())
    }

    fn waits_for_a_stalling_get(&self) -> bool {
        let stalls = |failure: &Option<Failure>| failure.as_ref().is_some_and(Failure::stalls);
        self.post.must_see_running
            && stalls(&self.get.failures.last)
            && !stalls(&self.post.failures.last)
    }

    /// Since when the calls have failed in a way that a person may have to cure, as the failure that the status shows.
    pub(super) fn stalling_since(&self) -> Option<Since> {
        match &self.post.failures.last {
            Some(_) if !self.waits_for_a_stalling_get() => self.post.failures.stalling_since,
            _ => self.get.failures.stalling_since,
        }
    }

    /// How long the operation has been waited for: since the first intent, before it since the start.
    pub(super) fn age(&self, now: Now) -> Duration {
        let from = self.post.requested.or(self.started);
        from.map_or(Duration::ZERO, |from| from.passed(now))
    }

    /// Ends it in this way, unless an answer has ended it already (I3).
    pub(super) fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    /// Whether the grants allowed it when they were last looked at.
    pub(super) const fn was_granted(&self) -> bool {
        self.not_granted_since.is_none()
    }

    /// The effect that asks for the object as it is stored.
    pub(super) fn reread(&mut self) -> Option<Effect> {
        (!std::mem::replace(&mut self.write.rereading, true)).then_some(Effect::Reread)
    }
}
