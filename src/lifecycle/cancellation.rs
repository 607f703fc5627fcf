//! The state of one cancellation: the stored object, and what this process remembers of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Effect, ForeignIntent, Now, ObjectView, Settings, WriteKind, backoff,
    ending::Ending,
    event::Notice,
    failure::{Failure, Failures},
    foreign_intent::Raise,
    time::{self, Since},
};
use crate::api::{Call, ConditionStatus, ConditionType, ObservedOperation, Reason};

/// The state of one OperationCancellation. Everything but `object` may be lost at any time: the object alone is enough to
/// continue (I6).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cancellation {
    pub(super) object: ObjectView,
    /// The object as the watch showed it while a write was in flight. It may or may not contain that write.
    #[serde(skip)]
    pub(super) watched_meanwhile: Option<Box<ObjectView>>,
    /// An intent of another process that the last event showed.
    #[serde(skip)]
    pub(super) foreign_intent: Option<ForeignIntent>,
    /// When the object was first granted and not suspended. The deadline counts from here.
    pub(super) started: Option<Since>,
    /// Since when no grant has allowed it.
    pub(super) not_granted_since: Option<Since>,
    /// What it was allowed to do after the last event.
    pub(super) mode: Option<Mode>,
    /// The next call waits for the rate of the namespace.
    pub(super) is_rate_limited: bool,
    pub(super) get: GetState,
    pub(super) cancel: CancelState,
    pub(super) post: PostState,
    pub(super) write: WriteState,
    /// The final GET after the deadline, before the outcome Unknown.
    pub(super) final_get: Option<FinalGet>,
    /// The outcome that an answer decided. It is never decided again (I3).
    pub(super) ending: Option<Ending>,
}

/// What the object is allowed to do. After a change of it earlier GETs no longer count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mode {
    /// No call.
    Waiting,
    /// GET only.
    Observing,
    /// All calls.
    Acting,
}

/// What GETs have shown.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct GetState {
    pub in_flight: Option<GetInFlight>,
    /// No GET before this time.
    pub next_at: Duration,
    /// When the object may have [`backoff::GETS_AT_ONCE`] GETs at once again.
    pub rested_at: Duration,
    /// The next poll is reserved for `next_at`, because the quota was exhausted before.
    pub is_reserved: bool,
    /// The last answer since the object was last allowed to act.
    pub last: Option<LastGet>,
    /// Until when the first cancel request waits for the first GET.
    pub observe_until: Option<Duration>,
    /// The failures of GET since its last success.
    pub failures: Failures,
    /// Since when GETs have answered nothing but NOT_FOUND.
    pub not_found_since: Option<Duration>,
    /// The operation as the last good answer showed it.
    pub observed: Option<ObservedOperation>,
    /// The generation for which a suspended object had its last GET.
    pub observed_generation: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct GetInFlight {
    /// It began before the last cancel request was answered, so "running" may be out of date.
    pub stale: bool,
}

/// The last answer to GET, as far as the next step depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LastGet {
    /// Not done.
    Running,
    /// Holds the cancel back: a new operation may be invisible for minutes, and a wrong name must not cause many requests.
    NotFound,
    /// Holds the cancel back: it would fail the same way.
    NoToken,
    /// Holds the cancel back: the endpoint does not serve the path.
    NotServed,
    /// Together with the same answer to cancel: Rejected.
    InvalidArgument,
    /// No GET will ever succeed.
    Unimplemented,
    /// Any other failure, or an exhausted quota.
    Failed,
}

/// The state of the cancel request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CancelState {
    /// No intent is recorded. Exits: Intended, or an ending.
    NotSent,
    /// The intent is recorded, the request is about to be sent. Exits: Sending, Again.
    Intended,
    /// The request is in flight. Exits: all below.
    Sending,
    /// A new intent follows when `post.next_at` and `post.must_see_running` allow it. Exits: Intended, Accepted.
    Again {
        /// The API refused to cancel the operation now.
        refused: bool,
    },
    /// The answer was NOT_FOUND: the next GET decides what that means. Exits: Again, or an ending.
    AwaitingGet,
    /// The API accepted it. Exits: an ending.
    Accepted {
        /// A poll was answered since.
        polled: bool,
    },
    /// The API cannot cancel it; a GET has to say whether it is done. Exits: an ending.
    Unsupported,
}

/// What this process remembers of cancel requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct PostState {
    /// No new intent before this time.
    pub next_at: Duration,
    /// A request may have arrived although its answer was lost: a refusal may then mean "already cancelled".
    pub maybe_arrived: bool,
    /// A request was sent, and the API did not accept it, or that is not known.
    pub sent: bool,
    /// The last definite answer was a refusal.
    pub refused: bool,
    /// A GET must say "not done" before the next intent.
    pub must_see_running: bool,
    /// An exhausted quota holds the next intent back.
    pub held: bool,
    /// The last answer was INVALID_ARGUMENT.
    pub invalid_argument: bool,
    /// The failures since a request was last accepted.
    pub failures: Failures,
    pub refusals: u32,
    /// The attempt of the last refusal that was counted.
    pub refused_attempt: i64,
    /// Another process recorded the last intent while this one worked on the object: it goes first.
    pub follows: bool,
    /// A request is in flight.
    pub in_flight: bool,
    /// The number of the last request that this process sent; 0 if it sent none.
    pub last_sent: i64,
    /// A request was sent, and its result is not stored yet.
    pub unrecorded: bool,
    /// When the first intent was recorded.
    pub requested: Option<Since>,
}

/// What this process remembers of status writes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct WriteState {
    #[serde(skip)]
    pub in_flight: Option<WriteInFlight>,
    /// A write waits for its turn. It is made only then, from the state by then.
    pub queued: bool,
    pub queued_at: Duration,
    /// An intent waited so long that the operation was observed once more.
    pub observed_again: bool,
    /// No write before this time.
    pub not_before: Duration,
    pub conflicts: u32,
    pub failures: u32,
    /// Progress writes in quick succession: another writer may keep changing our part of the status back.
    pub progress_in_a_row: u32,
    pub last_progress: Duration,
    /// How often in a row another process wrote after this one.
    pub against_other: usize,
    /// This process wrote progress since another one last wrote.
    pub wrote_after_other: bool,
    /// No progress write before this time: another process has just written.
    pub progress_not_before: Duration,
    /// The number of an intent that may or may not be stored. Its request was never sent.
    pub unconfirmed_intent: Option<i64>,
    /// The event `Stalled` was published.
    pub stalled_published: bool,
    /// The event of a write that may or may not be stored.
    #[serde(skip)]
    pub unconfirmed_notice: Option<Notice>,
    /// The object has to be read before anything else: whether the last write was stored is not known.
    pub must_reread: bool,
    pub rereading: bool,
    /// The watch showed a change since the read began: its answer may be older.
    pub watched_since_reread: bool,
}

#[derive(Clone, Debug)]
pub(super) struct WriteInFlight {
    pub kind: WriteKind,
    /// The resource version that it changes.
    pub base: String,
    /// `cancelAttempts` after it.
    pub attempts: i64,
    /// The event to publish once it is stored.
    pub notice: Option<Notice>,
}

/// The final GET, after the deadline.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct FinalGet {
    pub tries: u32,
    pub next_at: Duration,
}

impl GetState {
    /// When the next GET is due, whatever asks for it: an edit of the object may, many times a second.
    pub fn due_at(&self, settings: &Settings) -> Duration {
        self.not_before(settings).max(self.next_at)
    }

    /// No GET before this time, not even the final one.
    pub fn not_before(&self, settings: &Settings) -> Duration {
        let at_once = backoff::get_spacing(settings).saturating_mul(backoff::GETS_AT_ONCE - 1);
        self.rested_at.saturating_sub(at_once)
    }

    /// A GET begins.
    pub fn begin(&mut self, now: Duration, settings: &Settings) {
        self.in_flight = Some(GetInFlight::default());
        self.rested_at = self.rested_at.max(now) + backoff::get_spacing(settings);
    }
}

impl Cancellation {
    /// The state of an object that this process has not seen before: all of it comes from the stored object.
    pub fn new(object: ObjectView, now: Now) -> Self {
        let mut new = Self {
            object,
            watched_meanwhile: None,
            foreign_intent: None,
            started: None,
            not_granted_since: None,
            mode: None,
            is_rate_limited: false,
            get: GetState::default(),
            cancel: CancelState::NotSent,
            post: PostState::default(),
            write: WriteState::default(),
            final_get: None,
            ending: None,
        };
        let attempts = u32::try_from(new.object.cancel_attempts()).unwrap_or(u32::MAX);
        // It keeps the pace of the process before: the number of attempts says how slow that had become.
        new.post.refusals = attempts.saturating_sub(1);
        new.restore(None, now);
        new.post.failures.keep_pace(attempts);
        new
    }

    /// The latest version of the object.
    pub const fn object(&self) -> &ObjectView {
        &self.object
    }

    /// Whether nothing is left to do: an outcome is stored, or the object is being deleted.
    pub const fn is_over(&self) -> bool {
        self.object.status.outcome.is_some() || self.object.deleting
    }

    /// Whether this process knows something that has to be stored and is not.
    pub(super) const fn has_unrecorded(&self) -> bool {
        !self.is_over() && (self.post.unrecorded || self.ending.is_some())
    }

    /// Whether a cancel request should still be sent when its turn comes.
    pub const fn wants_cancel(&self) -> bool {
        !self.is_over() && self.ending.is_none()
    }

    /// Whether `spec.suspend` holds the first cancel back. After an intent was recorded it has no effect.
    pub(super) fn is_suspended(&self) -> bool {
        self.cancel == CancelState::NotSent
            && self.object.cancel_attempts() == 0
            && self.object.spec.as_ref().is_ok_and(|spec| spec.suspend)
    }

    /// Whether the stored status is `Stalled` because a call failed.
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

    /// Rebuilds the state from the stored status: after a start of the process, or when another writer changed our part of it.
    /// `raise` says how `cancelAttempts` was raised since.
    pub(super) fn restore(&mut self, raise: Option<&Raise>, now: Now) {
        self.restore_times(now);
        self.restore_cancel(raise, now);
        self.restore_failure(now);
        self.write.stalled_published |= self.is_stored_as_stalled();
    }

    /// A time that this process knows already is kept: the wall clock may have moved since.
    fn restore_times(&mut self, now: Now) {
        let status = &self.object.status;
        let intended = self.object.cancel_attempts() > 0;
        let learn = |stored, known: Option<Since>| {
            let stored = time::credible(stored, &self.object, now);
            match (stored, known) {
                (Some(stored), Some(known)) if known.stored == stored => Some(known),
                (Some(stored), _) => Some(Since::learnt(stored, now)),
                // The time is kept even if another writer erased the status.
                (None, Some(known)) => Some(known),
                // An intent is recorded, so there was such a time; the stored one is lost or not plausible.
                (None, None) => intended.then(|| Since::now(&self.object, now)),
            }
        };
        let started = learn(status.start_time.as_ref(), self.started);
        let requested = learn(status.cancel_request_time.as_ref(), self.post.requested);
        self.started = started;
        self.post.requested = requested.filter(|_| intended);
    }

    /// Whether the stored status is `Stalled`.
    pub(super) fn is_stored_as_stalled(&self) -> bool {
        self.stored_condition(ConditionType::Stalled)
            .is_some_and(|(status, _)| status == ConditionStatus::True.name())
    }

    fn restore_cancel(&mut self, raise: Option<&Raise>, now: Now) {
        self.post.must_see_running = false;
        if self.object.cancel_attempts() == 0 {
            self.cancel = CancelState::NotSent;
            return;
        }
        let condition = self.stored_condition(ConditionType::CancelRequested);
        self.cancel = match condition {
            Some((status, _)) if status == ConditionStatus::True.name() => {
                self.post.failures = Failures::default();
                CancelState::Accepted { polled: true }
            }
            Some((_, reason)) if reason == Reason::Unsupported.name() => CancelState::Unsupported,
            Some((_, reason)) if reason == Reason::Refused.name() => {
                self.count_refusal();
                self.post.refused = true;
                let margin = match self.post.follows {
                    true => backoff::BEHIND_OTHER_PROCESS,
                    false => Duration::ZERO,
                };
                self.post.next_at = now.mono + backoff::after_refusal(self.post.refusals) + margin;
                CancelState::Again { refused: true }
            }
            _ if matches!(self.cancel, CancelState::Accepted { .. })
                && matches!(raise, Some(Raise::OtherProcess(_))) =>
            {
                // The API has accepted a request, whatever it answers to the other process.
                self.cancel
            }
            _ if raise == Some(&Raise::OwnUnconfirmed) => {
                // The unconfirmed write was stored after all; this process sent no request for it.
                self.post.must_see_running = true;
                CancelState::Again { refused: false }
            }
            _ => {
                // An intent with no known answer: the request may have arrived.
                // A request in flight will have its own answer.
                self.post.maybe_arrived |= !self.post.in_flight;
                self.post.must_see_running = true;
                CancelState::Again { refused: false }
            }
        };
        if let Some(get) = &mut self.get.in_flight {
            // It began before the object was read.
            get.stale = true;
        }
    }

    /// Counts the refusal of the last attempt, once.
    pub(super) fn count_refusal(&mut self) {
        let attempt = self.object.cancel_attempts();
        if attempt != self.post.refused_attempt {
            self.post.refusals = self.post.refusals.saturating_add(1);
            self.post.refused_attempt = attempt;
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
        // Once stalled, it stays stalled until a success or an answer about the operation, whatever failed last.
        let stalling_since =
            if self.is_stalled_by_failure() && !failure.error.kind.is_about_operation() {
                Some(Since::learnt(self.object.created, now))
            } else {
                failure.stalls().then_some(since)
            };
        match failure.call {
            Call::Cancel => {
                // A failure in this process is more recent.
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

    /// Forgets earlier GETs, so that the operation is observed anew: answers from the time before the object was allowed to act do
    /// not count.
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

    /// The failure that the status shows: that of cancel before that of GET or token, except when the next cancel request only waits
    /// for a GET whose failure a person has to fix.
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

    /// Since when the failure that the status shows has needed a person to fix it.
    pub(super) fn stalling_since(&self) -> Option<Since> {
        match &self.post.failures.last {
            Some(_) if !self.waits_for_a_stalling_get() => self.post.failures.stalling_since,
            _ => self.get.failures.stalling_since,
        }
    }

    /// How long the operation has been waited for: since the first intent, or before that since the start.
    pub(super) fn age(&self, now: Now) -> Duration {
        let from = self.post.requested.or(self.started);
        from.map_or(Duration::ZERO, |from| from.passed(now))
    }

    /// Decides the outcome, unless it is decided already (I3).
    pub(super) fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    /// Whether a grant allowed it at the last step.
    pub(super) const fn was_granted(&self) -> bool {
        self.not_granted_since.is_none()
    }

    /// Asks for the stored object, unless that is in flight already.
    pub(super) fn reread(&mut self) -> Option<Effect> {
        (!std::mem::replace(&mut self.write.rereading, true)).then_some(Effect::Reread)
    }
}
