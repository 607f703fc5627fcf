//! Applies one event to what is known. What follows from it is decided in `step`.

use std::time::Duration;

use super::{
    Cancellation, Context, Effect, Event, Notice, Now, ObjectView, WriteAnswer, WriteKind, backoff,
    cancel_answer,
    cancellation::{CancelState, WriteInFlight},
    foreign_intent::{Raise, is_of_predecessor},
    get_answer, other_process,
    time::Since,
};
use crate::api::ConditionType;

/// Applies one event. Returns what has to be done at once.
pub fn apply_event(state: &mut Cancellation, event: Event, context: &Context<'_>) -> Vec<Effect> {
    let now = context.now;
    match event {
        Event::Woken => Vec::new(),
        Event::WriteTurn => {
            state.write.queued = false;
            observe_again_after_a_long_wait(state, now);
            Vec::new()
        }
        Event::Watched(object) => {
            handle_watched(state, object, context);
            unconfirmed_notice(state).into_iter().collect()
        }
        Event::RolledBack(object) => {
            // The answer to a write in flight shows it too, and is newer.
            if state.write.in_flight.is_none() && object.uid == state.object.uid {
                replace_object(state, object, context);
            }
            unconfirmed_notice(state).into_iter().collect()
        }
        Event::Reread(object) => {
            let answered = object.is_some();
            handle_reread(state, object, context);
            let notice = unconfirmed_notice(state);
            if answered {
                // The write was not stored: the next one has its own notice.
                state.write.unconfirmed_notice = None;
            }
            notice.into_iter().collect()
        }
        Event::RereadFailed => {
            state.write.rereading = false;
            state.write.watched_since_reread = false;
            state.write.failures = state.write.failures.saturating_add(1);
            state.write.not_before =
                now.mono + backoff::after_busy(state.write.failures, context.jitter);
            Vec::new()
        }
        Event::Gone => {
            // An object leaves the watch when its outcome is stored: so a write whose answer was lost was stored.
            let notice = state.write.unconfirmed_notice.take();
            let notice = notice.filter(|notice| matches!(notice, Notice::Finished { .. }));
            notice
                .map(Effect::Publish)
                .into_iter()
                .chain([Effect::Forget])
                .collect()
        }
        Event::GetAnswered(answer) => get_answer::apply(state, answer, context),
        Event::GetWithheld => {
            state.get.in_flight = None;
            // If a quota holds it back, the step decides until when.
            state.get.next_at = match context.quota.gets_held_until {
                Some(_) => now.mono,
                None => now.mono + WITHHELD_PAUSE,
            };
            if let Some(final_get) = &mut state.final_get {
                final_get.next_at = now.mono + WITHHELD_PAUSE;
            }
            Vec::new()
        }
        Event::CancelAnswered(answer) => cancel_answer::apply(state, answer, context),
        Event::CancelWithheld => {
            state.post.in_flight = false;
            state.post.unrecorded = false;
            cancel_not_sent(state);
            Vec::new()
        }
        Event::WriteAnswered(answer) => handle_write_answer(state, answer, context),
    }
}

/// The request of a recorded intent was not sent. If it may be sent later, a GET and a new intent come first.
pub fn cancel_not_sent(state: &mut Cancellation) {
    state.cancel = CancelState::Again { refused: false };
    state.post.must_see_running = true;
}

/// The pause before a call that was withheld is tried again.
const WITHHELD_PAUSE: Duration = Duration::from_secs(1);

fn handle_watched(state: &mut Cancellation, object: Box<ObjectView>, context: &Context<'_>) {
    if object.uid != state.object.uid {
        return;
    }
    if state.write.in_flight.is_some() {
        // It may already contain our own write. The answer to the write decides.
        state.watched_meanwhile = Some(object);
    } else {
        replace_unless_older(state, object, context);
    }
}

fn handle_reread(state: &mut Cancellation, object: Option<Box<ObjectView>>, context: &Context<'_>) {
    state.write.rereading = false;
    let seen_since = std::mem::take(&mut state.write.watched_since_reread);
    match object {
        Some(object) if object.uid == state.object.uid => {
            state.write.must_reread = false;
            if seen_since {
                replace_unless_older(state, object, context);
            } else {
                // The stored object counts even if it is older: etcd may have been restored.
                replace_object(state, object, context);
            }
        }
        // It is another object: the watch will report that.
        Some(_) => {}
        None => {
            state.write.failures = state.write.failures.saturating_add(1);
            state.write.not_before = context.now.mono
                + backoff::after_failed_write(state.write.failures, context.jitter);
        }
    }
}

/// The event of a write whose answer was lost, once the object shows that the write was stored.
fn unconfirmed_notice(state: &mut Cancellation) -> Option<Effect> {
    let stored = match state.write.unconfirmed_notice.as_ref()? {
        Notice::Finished { outcome, .. } => {
            state.object.status.outcome.as_deref() == Some(outcome.name())
        }
        Notice::Stalled { reason, .. } => state
            .stored_condition(ConditionType::Stalled)
            .is_some_and(|(_, stored)| stored == *reason),
    };
    if !stored {
        return None;
    }
    state.write.stalled_published |= state.is_stored_as_stalled();
    state.write.unconfirmed_notice.take().map(Effect::Publish)
}

/// Replaces the object, unless the new one is older.
fn replace_unless_older(state: &mut Cancellation, object: Box<ObjectView>, context: &Context<'_>) {
    let older = match (object.version_number(), state.object.version_number()) {
        (Some(theirs), Some(ours)) => theirs < ours,
        _ => false,
    };
    if !older {
        replace_object(state, object, context);
    }
}

/// Replaces the object by the stored one.
fn replace_object(state: &mut Cancellation, object: Box<ObjectView>, context: &Context<'_>) {
    if object.resource_version == state.object.resource_version {
        return;
    }
    state.write.watched_since_reread |= state.write.rereading;
    let before = our_fields(state);
    // It counts for the first change only: a write that comes late would fail, because it names the version before.
    let unconfirmed = state.write.unconfirmed_intent.take();
    let attempts = state.object.cancel_attempts();
    let is_status_changed = object.status != state.object.status;
    state.object = *object;
    let raise = Raise::of(
        attempts,
        &state.object,
        unconfirmed,
        context.holder,
        context.others,
    );
    if our_fields(state) != before {
        state.restore(raise.as_ref(), context.now);
    }
    if is_status_changed && !is_of_predecessor(&state.object, context.others) {
        other_process::follow(state, raise.as_ref(), context);
    }
    if let Some(Raise::OtherProcess(intent)) = raise {
        state.foreign_intent = Some(intent);
    }
}

/// The part of the status that only this controller writes. If another writer changed it, memory no longer counts (I7).
fn our_fields(state: &Cancellation) -> (i64, Option<(String, String)>) {
    let condition = state.stored_condition(ConditionType::CancelRequested);
    (
        state.object.cancel_attempts(),
        condition.map(|(status, reason)| (status.to_owned(), reason.to_owned())),
    )
}

fn apply_what_was_watched_meanwhile(state: &mut Cancellation, context: &Context<'_>) {
    if let Some(object) = state.watched_meanwhile.take() {
        replace_unless_older(state, object, context);
    }
}

/// An intent that cannot be written may be retried for a long time. The operation may end meanwhile, so earlier GETs no longer
/// count.
fn observe_before_the_next_try(state: &mut Cancellation, write: &WriteInFlight) {
    if write.kind != WriteKind::Intent || state.get.failures.last.is_some() {
        return;
    }
    state.get.last = None;
    state.get.observe_until = None;
    state.get.next_at = state.get.next_at.min(state.write.not_before);
}

/// While the API server is away an intent may wait long for its turn. Before it is recorded the operation is observed once
/// more, but only once: the queue may be long again.
fn observe_again_after_a_long_wait(state: &mut Cancellation, now: Now) {
    let waited = now.mono.saturating_sub(state.write.queued_at);
    let is_intent = matches!(
        state.cancel,
        CancelState::NotSent | CancelState::Again { .. }
    );
    if is_intent && waited > LONG_WAIT && !state.write.observed_again {
        state.write.observed_again = true;
        state.get.last = None;
        state.get.observe_until = None;
        state.get.next_at = state.get.next_at.min(now.mono);
    }
}

/// An intent that waited longer than this needs a new GET.
const LONG_WAIT: Duration = Duration::from_secs(60);

/// Counts progress writes in quick succession, for [`backoff::after_conflict`].
fn note_progress(state: &mut Cancellation, now: Now) {
    let write = &mut state.write;
    let quick = now.mono.saturating_sub(write.last_progress) < QUICK_SUCCESSION;
    write.progress_in_a_row = if quick {
        write.progress_in_a_row.saturating_add(1)
    } else {
        1
    };
    write.last_progress = now.mono;
}

/// Two progress writes further apart than this are not in quick succession.
const QUICK_SUCCESSION: Duration = Duration::from_secs(60);

fn handle_write_answer(
    state: &mut Cancellation,
    answer: WriteAnswer,
    context: &Context<'_>,
) -> Vec<Effect> {
    let now = context.now;
    let Some(write) = state.write.in_flight.take() else {
        return Vec::new();
    };
    let mut effects = Vec::new();
    match answer {
        WriteAnswer::Written(object) => {
            // The same number was recorded again, and a request is sent for it.
            state.write.unconfirmed_intent = None;
            let counts = object.resource_version != write.base
                && object.cancel_attempts() == write.attempts
                && object.status.cancel_attempted_by.as_deref() == Some(context.holder);
            if object.uid == state.object.uid && (counts || write.kind != WriteKind::Intent) {
                apply_stored(state, *object, write.kind, now);
                effects.extend(write.notice.map(Effect::Publish));
            } else {
                // The write changed nothing, or what is stored is another intent: which process may send is not known.
                state.write.must_reread = true;
                state.object.resource_version.clear();
                state.post.must_see_running = true;
            }
        }
        WriteAnswer::Conflict(object) => {
            state.write.conflicts = state.write.conflicts.saturating_add(1);
            state.write.not_before = now.mono + backoff::after_conflict(state.write.conflicts);
            if object.uid == state.object.uid {
                // It was read after the write.
                replace_object(state, object, context);
            } else {
                effects.push(Effect::Forget);
            }
        }
        WriteAnswer::Unconfirmed => {
            state.write.must_reread = true;
            state.write.failures = state.write.failures.saturating_add(1);
            if state.write.failures > 1 {
                // The first one is read back at once: a cancel request may wait for it.
                state.write.not_before =
                    now.mono + backoff::after_busy(state.write.failures, context.jitter);
                observe_before_the_next_try(state, &write);
            }
            state.write.unconfirmed_intent =
                (write.kind == WriteKind::Intent).then_some(write.attempts);
            state.write.unconfirmed_notice = write.notice;
        }
        WriteAnswer::Failed | WriteAnswer::Busy => {
            let delay = match answer {
                WriteAnswer::Busy => backoff::after_busy,
                _ => backoff::after_failed_write,
            };
            state.write.failures = state.write.failures.saturating_add(1);
            observe_before_the_next_try(state, &write);
            state.write.not_before = now.mono + delay(state.write.failures, context.jitter);
            state.write.must_reread = true;
        }
        WriteAnswer::Gone => effects.push(Effect::Forget),
    }
    apply_what_was_watched_meanwhile(state, context);
    effects
}

/// A write of this kind was stored, and this is the object since.
fn apply_stored(state: &mut Cancellation, object: ObjectView, kind: WriteKind, now: Now) {
    state.object = object;
    state.post.unrecorded = false;
    state.write.conflicts = 0;
    state.write.failures = 0;
    state.write.not_before = now.mono;
    state.write.stalled_published |= state.is_stored_as_stalled();
    match kind {
        WriteKind::Outcome => {}
        WriteKind::Progress => {
            state.write.wrote_after_other = true;
            note_progress(state, now);
        }
        WriteKind::Intent => {
            state.cancel = CancelState::Intended;
            state.post.follows = false;
            state.write.observed_again = false;
            state.post.held = false;
            state.post.must_see_running = false;
            state.post.invalid_argument = false;
            let stored = state.object.status.cancel_request_time.as_ref();
            let requested = stored.map_or_else(
                || Since::now(&state.object, now),
                |stored| Since::stored_just_now(stored.0, now),
            );
            state.post.requested.get_or_insert(requested);
        }
    }
}
