//! Applies one event to what is known. What follows from it is decided in `step`.

use std::time::Duration;

use super::{
    Cancellation, Context, Effect, Event, Notice, Now, ObjectView, WriteAnswer, WriteKind, backoff,
    cancel_answer,
    cancellation::{CancelState, WriteInFlight},
    get_answer,
    time::Since,
};
use crate::api::ConditionType;

/// Takes in one event. Returns what has to be done at once because of the event itself.
pub fn absorb(known: &mut Cancellation, event: Event, context: &Context<'_>) -> Vec<Effect> {
    let now = context.now;
    match event {
        Event::Woken => Vec::new(),
        Event::WriteTurn => {
            known.write.queued = false;
            look_again_after_a_long_wait(known, now);
            Vec::new()
        }
        Event::Seen(object) => {
            seen(known, object, now);
            lost_notice(known).into_iter().collect()
        }
        Event::WentBack(object) => {
            // The answer to a write that is under way tells it too, and later.
            if known.write.in_flight.is_none() && object.uid == known.object.uid {
                take_over(known, object, now);
            }
            lost_notice(known).into_iter().collect()
        }
        Event::Reread(object) => {
            let answered = object.is_some();
            reread(known, object, context);
            let told = lost_notice(known);
            if answered {
                // It is not stored: the next write brings its own.
                known.write.lost_notice = None;
            }
            told.into_iter().collect()
        }
        Event::NotReread => {
            known.write.rereading = false;
            known.write.seen_since_reread = false;
            known.write.failures = known.write.failures.saturating_add(1);
            known.write.not_before =
                now.mono + backoff::after_busy(known.write.failures, context.jitter);
            Vec::new()
        }
        Event::Gone => {
            // An object leaves the watch when its outcome is stored: here it was, though the answer was lost.
            let told = known.write.lost_notice.take();
            let told = told.filter(|notice| matches!(notice, Notice::Finished { .. }));
            told.map(Effect::Publish)
                .into_iter()
                .chain([Effect::Forget])
                .collect()
        }
        Event::GetAnswered(answer) => get_answer::absorb(known, answer, context),
        Event::GetWithheld => {
            known.get.in_flight = None;
            // If a quota holds it back, the step says until when.
            known.get.next_at = match context.quota.gets_held_until {
                Some(_) => now.mono,
                None => now.mono + WITHHELD_PAUSE,
            };
            if let Some(look) = &mut known.last_look {
                look.next_at = now.mono + WITHHELD_PAUSE;
            }
            Vec::new()
        }
        Event::CancelAnswered(answer) => cancel_answer::absorb(known, answer, context),
        Event::CancelWithheld => {
            known.post.in_flight = false;
            known.post.unrecorded = false;
            withheld(known);
            Vec::new()
        }
        Event::WriteAnswered(answer) => written(known, answer, context),
    }
}

/// The request of a recorded intent was not sent: a GET and a new intent come first, if it may be sent again.
pub fn withheld(known: &mut Cancellation) {
    known.cancel = CancelState::Again { refused: false };
    known.post.must_see_running = true;
}

/// A call that was not made is asked for again no sooner than this.
const WITHHELD_PAUSE: Duration = Duration::from_secs(1);

fn seen(known: &mut Cancellation, object: Box<ObjectView>, now: Now) {
    if object.uid != known.object.uid {
        return;
    }
    if known.write.in_flight.is_some() {
        // It may already contain our own write; the answer to that will tell.
        known.seen_meanwhile = Some(object);
    } else {
        adopt(known, object, now);
    }
}

fn reread(known: &mut Cancellation, object: Option<Box<ObjectView>>, context: &Context<'_>) {
    known.write.rereading = false;
    let seen_since = std::mem::take(&mut known.write.seen_since_reread);
    match object {
        Some(object) if object.uid == known.object.uid => {
            known.write.must_reread = false;
            if seen_since {
                adopt(known, object, context.now);
            } else {
                // What is stored is the truth, also if it is older: etcd may have been restored.
                take_over(known, object, context.now);
            }
        }
        // Not this object any more: the watch will say so.
        Some(_) => {}
        None => {
            known.write.failures = known.write.failures.saturating_add(1);
            known.write.not_before = context.now.mono
                + backoff::after_failed_write(known.write.failures, context.jitter);
        }
    }
}

/// What people were to hear of a write whose answer was lost, once the object shows that it was carried out.
fn lost_notice(known: &mut Cancellation) -> Option<Effect> {
    let stored = match known.write.lost_notice.as_ref()? {
        Notice::Finished { outcome, .. } => {
            known.object.status.outcome.as_deref() == Some(outcome.name())
        }
        Notice::Stalled { reason, .. } => known
            .stored_condition(ConditionType::Stalled)
            .is_some_and(|(_, stored)| stored == *reason),
    };
    if !stored {
        return None;
    }
    known.write.told_stalled |= known.is_stored_as_stalled();
    known.write.lost_notice.take().map(Effect::Publish)
}

/// Takes over an object that somebody else may have written, unless it is older than what we know.
fn adopt(known: &mut Cancellation, object: Box<ObjectView>, now: Now) {
    let older = match (object.version_number(), known.object.version_number()) {
        (Some(theirs), Some(ours)) => theirs < ours,
        _ => false,
    };
    if !older {
        take_over(known, object, now);
    }
}

/// Takes over an object as it is stored.
fn take_over(known: &mut Cancellation, object: Box<ObjectView>, now: Now) {
    if object.resource_version == known.object.resource_version {
        return;
    }
    known.write.seen_since_reread |= known.write.rereading;
    let before = our_part(known);
    known.object = *object;
    if our_part(known) != before {
        known.restore(now);
    }
    known.write.lost_intent = None;
}

/// What another writer must not have changed if we are to go on from memory (I7).
fn our_part(known: &Cancellation) -> (i64, Option<(String, String)>) {
    let condition = known.stored_condition(ConditionType::CancelRequested);
    (
        known.object.cancel_attempts(),
        condition.map(|(status, reason)| (status.to_owned(), reason.to_owned())),
    )
}

fn adopt_what_was_seen_meanwhile(known: &mut Cancellation, now: Now) {
    if let Some(object) = known.seen_meanwhile.take() {
        adopt(known, object, now);
    }
}

/// An intent that is not taken may be tried again for a long time. Meanwhile the operation may end, so what GETs said before
/// counts no longer.
fn look_before_the_next_try(known: &mut Cancellation, write: &WriteInFlight) {
    if write.kind != WriteKind::Intent || known.get.failures.last.is_some() {
        return;
    }
    known.get.last = None;
    known.get.observe_until = None;
    known.get.next_at = known.get.next_at.min(known.write.not_before);
}

/// While the API server is away an intent may wait for its turn for long. Before it is recorded the operation is looked at once
/// more, and only once: the queue may be long again.
fn look_again_after_a_long_wait(known: &mut Cancellation, now: Now) {
    let waited = now.mono.saturating_sub(known.write.queued_at);
    let is_intent = matches!(
        known.cancel,
        CancelState::NotSent | CancelState::Again { .. }
    );
    if is_intent && waited > LONG_WAIT && !known.write.looked_again {
        known.write.looked_again = true;
        known.get.last = None;
        known.get.observe_until = None;
        known.get.next_at = known.get.next_at.min(now.mono);
    }
}

/// What a GET said of a running operation counts for the intent for so long.
const LONG_WAIT: Duration = Duration::from_secs(60);

/// Counts writes that follow each other quickly, for [`backoff::after_conflict`].
fn note_progress(known: &mut Cancellation, now: Now) {
    let write = &mut known.write;
    let quick = now.mono.saturating_sub(write.last_progress) < QUICK_SUCCESSION;
    write.progress_in_a_row = if quick {
        write.progress_in_a_row.saturating_add(1)
    } else {
        1
    };
    write.last_progress = now.mono;
}

/// Two progress writes further apart than this have nothing to do with each other.
const QUICK_SUCCESSION: Duration = Duration::from_secs(60);

fn written(known: &mut Cancellation, answer: WriteAnswer, context: &Context<'_>) -> Vec<Effect> {
    let now = context.now;
    let Some(write) = known.write.in_flight.take() else {
        return Vec::new();
    };
    let mut effects = Vec::new();
    match answer {
        WriteAnswer::Written(object) => {
            // If its number was announced once more, a request is sent for it.
            known.write.lost_intent = None;
            let counts =
                object.resource_version != write.base && object.cancel_attempts() == write.attempts;
            if object.uid == known.object.uid && (counts || write.kind != WriteKind::Intent) {
                known.object = *object;
                known.post.unrecorded = false;
                known.write.conflicts = 0;
                known.write.failures = 0;
                known.write.not_before = now.mono;
                known.write.told_stalled |= known.is_stored_as_stalled();
                if write.kind == WriteKind::Progress {
                    note_progress(known, now);
                }
                if write.kind == WriteKind::Intent {
                    known.cancel = CancelState::Intended;
                    known.write.looked_again = false;
                    known.post.held = false;
                    known.post.must_see_running = false;
                    known.post.invalid_argument = false;
                    let stored = known.object.status.cancel_request_time.as_ref();
                    let requested = stored.map_or_else(
                        || Since::now(&known.object, now),
                        |stored| Since::stored_just_now(stored.0, now),
                    );
                    known.post.requested.get_or_insert(requested);
                }
                effects.extend(write.notice.map(Effect::Publish));
            } else {
                // Another controller recorded the same intent, and the write changed nothing: who may send is not known.
                known.write.must_reread = true;
                known.object.resource_version.clear();
                known.post.must_see_running = true;
            }
        }
        WriteAnswer::Conflict(object) => {
            known.write.conflicts = known.write.conflicts.saturating_add(1);
            known.write.not_before = now.mono + backoff::after_conflict(known.write.conflicts);
            if object.uid == known.object.uid {
                // It was read after the write.
                take_over(known, object, now);
            } else {
                effects.push(Effect::Forget);
            }
        }
        WriteAnswer::Unsure => {
            known.write.must_reread = true;
            known.write.failures = known.write.failures.saturating_add(1);
            if known.write.failures > 1 {
                // The first one is read back at once: somebody's cancel waits for it.
                known.write.not_before =
                    now.mono + backoff::after_busy(known.write.failures, context.jitter);
                look_before_the_next_try(known, &write);
            }
            known.write.lost_intent = (write.kind == WriteKind::Intent).then_some(write.attempts);
            known.write.lost_notice = write.notice;
        }
        WriteAnswer::Failed | WriteAnswer::Busy => {
            let delay = match answer {
                WriteAnswer::Busy => backoff::after_busy,
                _ => backoff::after_failed_write,
            };
            known.write.failures = known.write.failures.saturating_add(1);
            look_before_the_next_try(known, &write);
            known.write.not_before = now.mono + delay(known.write.failures, context.jitter);
            known.write.must_reread = true;
        }
        WriteAnswer::Gone => effects.push(Effect::Forget),
    }
    adopt_what_was_seen_meanwhile(known, now);
    effects
}
