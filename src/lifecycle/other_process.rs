//! Two controllers that work on one object by mistake: the one whose intent is recorded goes first, the other follows.
//!
//! Neither can know whether the other still runs, so following means waiting longer than the other one would, and then acting.

use std::time::Duration;

use super::{
    Cancellation, Context, Now, Others, backoff,
    cancellation::CancelState,
    failure::Failure,
    foreign_intent::{self, Raise},
    time::{self, Since},
};
use crate::{api::Call, google::error_table::Class};

/// How long an intent of another process is respected while its answer is not recorded: a call ends within 10 s, and its answer is
/// recorded at once.
const UNANSWERED: Duration = Duration::from_secs(60);

/// The same if its last request failed in a way that is retried within 5 minutes, or when the server asks for it.
const RETRIED: Duration = Duration::from_secs(6 * 60);

/// The same if its last request was refused: that is retried within 30 minutes.
const REFUSED: Duration = Duration::from_secs(31 * 60);

/// The stored status was changed, and not by a confirmed write of this process. `raise` says how `cancelAttempts` was raised.
pub fn follow(state: &mut Cancellation, raise: Option<&Raise>, context: &Context<'_>) {
    let now = context.now;
    state.post.follows = match raise {
        Some(Raise::OtherProcess(_)) => true,
        Some(Raise::OwnUnconfirmed | Raise::Edit) => false,
        // All processes before this one have stopped.
        None if context.others != Others::MayWork => state.post.follows,
        // Its intent may have been recorded before this process began.
        None => foreign_intent::is_of_other_process(&state.object, context.holder),
    };
    adopt_failure(state, now);
    adopt_start(state, now);
    state.write.stalled_published |= state.is_stored_as_stalled();
    if state.post.follows {
        wait_for_its_request(state, raise.is_some(), now);
    }
    note_other_writer(state, now);
}

/// The next intent of this process comes after the time at which the other one would send its next request.
fn wait_for_its_request(state: &mut Cancellation, is_intent: bool, now: Now) {
    let patience = match (&state.post.failures.last, state.cancel) {
        // What is stored says more: `restore` has counted the refusal.
        (_, CancelState::Again { refused: true }) => return,
        (Some(failure), _) => match failure.meaning(state.object.target()).class {
            Class::Refused | Class::Invalid | Class::Gone | Class::Unreadable => REFUSED,
            _ => RETRIED,
        },
        (None, _) if is_intent => UNANSWERED,
        (None, _) => return,
    };
    state.post.next_at = state.post.next_at.max(now.mono.saturating_add(patience));
}

/// The process that sends the requests knows how they fail. Of a failure that both have seen the stored beginning counts.
fn adopt_failure(state: &mut Cancellation, now: Now) {
    let object = &state.object;
    let stored = object.status.last_error.as_ref().and_then(|stored| {
        let since = time::credible(stored.since.as_ref(), object, now)?;
        Failure::restored(stored, Since::learnt(since, now))
    });
    let of_cancel = |failure: &Failure| failure.call == Call::Cancel;
    if state.post.follows {
        let last = stored.clone().filter(of_cancel);
        let stalling = last.as_ref().filter(|failure| failure.stalls());
        state.post.failures.stalling_since = stalling.map(|failure| failure.since);
        state.post.failures.last = last;
    }
    let Some(stored) = stored else {
        return;
    };
    let failures = if of_cancel(&stored) {
        &mut state.post.failures
    } else {
        &mut state.get.failures
    };
    if let Some(known) = &mut failures.last
        && known.same(&stored)
    {
        known.since = stored.since;
    }
}

/// Before the first intent each process has seen another start. The first of them counts.
fn adopt_start(state: &mut Cancellation, now: Now) {
    let object = &state.object;
    let stored = time::credible(object.status.start_time.as_ref(), object, now);
    if object.cancel_attempts() == 0
        && let (Some(stored), Some(started)) = (stored, &mut state.started)
        && stored < started.stored
    {
        *started = Since::learnt(stored, now);
    }
}

/// Another writer changed the status. Both processes may be right, so this one waits before it changes the status back. It waits
/// longer each time that the other one does so again. If the other one sends the requests, the first wait is longer too.
fn note_other_writer(state: &mut Cancellation, now: Now) {
    let write = &mut state.write;
    if now.mono.saturating_sub(write.last_progress) > backoff::OTHER_WRITER_FORGOTTEN {
        write.against_other = 0;
    }
    if std::mem::take(&mut write.wrote_after_other) {
        write.against_other = write.against_other.saturating_add(1);
    }
    let least = if state.post.follows { 2 } else { 1 };
    write.against_other = write.against_other.max(least);
    let pause = backoff::after_other_writer(write.against_other);
    write.progress_not_before = now.mono.saturating_add(pause);
}
