//! What each answer to cancel means (docs/life-of-a-cancellation.md#what-each-answer-means). None of them says how the operation ended.

use std::time::Duration;

use super::{
    Cancellation, Context, Effect, Now, backoff,
    cancellation::{CancelState, LastGet},
    ending::Ending,
    failure::Failures,
    get_answer::{asked_again, asked_to_wait, held_for, refuse},
    time::Since,
};
use crate::{
    api::{Call, Outcome},
    google::{
        answer::{CallError, CancelAnswer},
        catalogue::Target,
        error_table::{self, Class},
    },
};

/// Applies an answer to cancel. Returns what has to be done at once.
pub fn apply(state: &mut Cancellation, answer: CancelAnswer, context: &Context<'_>) -> Vec<Effect> {
    state.post.in_flight = false;
    if let Some(get) = &mut state.get.in_flight {
        get.stale = true;
    }
    let not_before = state.post.next_at;
    let effects = match answer {
        Ok(()) => {
            accept(state, context);
            Vec::new()
        }
        Err(error) => failed(state, error, context),
    };
    if state.post.follows {
        state.post.next_at = state.post.next_at.max(not_before);
    }
    effects
}

fn accept(state: &mut Cancellation, context: &Context<'_>) {
    state.cancel = CancelState::Accepted { polled: false };
    state.post.failures = Failures::default();
    state.post.maybe_arrived = false;
    state.post.refused = false;
    poll_soon(state, context);
}

/// The first poll after an answer comes at the shortest pace. If the last GET failed, its delay still counts.
fn poll_soon(state: &mut Cancellation, context: &Context<'_>) {
    let pace = backoff::poll_pace(state.age(context.now), context.settings, context.jitter);
    let soon = context.now.mono.saturating_add(pace);
    state.get.next_at = if state.get.failures.last.is_some() {
        state.get.next_at.max(soon)
    } else {
        soon
    };
}

fn failed(state: &mut Cancellation, error: CallError, context: &Context<'_>) -> Vec<Effect> {
    let now = context.now;
    let target = state.object.target();
    let may_pass = target.is_some_and(Target::unimplemented_may_pass);
    let class = error_table::meaning_for(error.kind, Call::Cancel, may_pass).class;
    let retry_after = error.retry_after;
    state.post.sent |= class != Class::NoToken && !error.not_sent;
    let may_have_arrived = class.may_have_arrived() && !error.not_sent;
    let since = Since::now(&state.object, now);
    let denied = state
        .post
        .failures
        .note(Call::Cancel, error, since, context.jitter);
    state.post.invalid_argument = class == Class::Invalid;
    state.post.maybe_arrived |= may_have_arrived;
    let in_a_row = state.post.failures.in_a_row;

    // The request has ended, whatever follows.
    state.cancel = asked_again(state);
    match class {
        Class::Impossible => cannot(state, now),
        Class::Refused => {
            refuse(state, context);
            poll_soon(state, context);
        }
        Class::Gone => {
            state.cancel = CancelState::AwaitingGet;
            get_now(state, now);
        }
        Class::Invalid => match state.get.last {
            Some(LastGet::InvalidArgument) if state.may_be_rejected(now) => {
                state.end(Ending::without_result(Outcome::Rejected));
            }
            // If the next GET says the same, that ends it.
            _ => {
                refuse(state, context);
                poll_soon(state, context);
            }
        },
        Class::Denied => again(state, context, denied.unwrap_or_default()),
        Class::Unauthenticated => {
            again(state, context, denied.unwrap_or_default());
            return vec![Effect::DropToken];
        }
        Class::Quota => {
            let until = context.quota.cancels_held_until;
            again(state, context, held_for(until, in_a_row, context));
        }
        Class::NotOffered if in_a_row > 1 => cannot(state, now),
        Class::NotOffered => {
            state.post.must_see_running = true;
            again(state, context, backoff::AFTER_METHOD_NOT_FOUND);
        }
        Class::NotServed => match backoff::after_cancel_not_served(in_a_row) {
            None => cannot(state, now),
            Some(delay) => {
                state.post.must_see_running = true;
                again(state, context, delay);
            }
        },
        Class::NoToken => {
            let delay = temporary_error_delay(state, context);
            again(state, context, delay);
        }
        Class::Retry | Class::Unreadable => {
            let is_refusal =
                class == Class::Unreadable && in_a_row > backoff::UNREADABLE_AS_TEMPORARY;
            let delay = if is_refusal {
                backoff::after_refusal(in_a_row - backoff::UNREADABLE_AS_TEMPORARY)
            } else {
                temporary_error_delay(state, context)
            };
            retry_after_get(state, delay.max(asked_to_wait(retry_after)), context);
        }
    }
    Vec::new()
}

/// The request may have arrived, so a GET decides whether there is anything left to cancel. It is due when the next intent is.
fn retry_after_get(state: &mut Cancellation, delay: Duration, context: &Context<'_>) {
    state.post.must_see_running = true;
    again(state, context, delay);
    let pause = delay.min(context.settings.max_poll);
    let get_at = context.now.mono.saturating_add(pause);
    state.get.next_at = if state.get.failures.last.is_some() {
        state.get.next_at.max(get_at)
    } else {
        get_at
    };
}

/// The API cannot cancel it, so it accepted no earlier request either. A GET has to say whether it is done.
fn cannot(state: &mut Cancellation, now: Now) {
    state.post.maybe_arrived = false;
    state.cancel = CancelState::Unsupported;
    get_now(state, now);
}

/// The delay after one more temporary error.
fn temporary_error_delay(state: &mut Cancellation, context: &Context<'_>) -> Duration {
    state.post.failures.temporary = state.post.failures.temporary.saturating_add(1);
    backoff::after_temporary_error(state.post.failures.temporary, context.jitter)
}

/// A GET at once, unless GETs were denied: then their delay counts.
fn get_now(state: &mut Cancellation, now: Now) {
    if state.get.failures.denials == 0 {
        state.get.next_at = now.mono;
    }
}

/// The API did not accept it, or that is not known: a new intent after `delay`.
fn again(state: &mut Cancellation, context: &Context<'_>, delay: Duration) {
    state.post.next_at = context.now.mono.saturating_add(delay);
    let pace = backoff::poll_pace(state.age(context.now), context.settings, context.jitter);
    if state.get.failures.last.is_none() {
        state.get.next_at = context.now.mono.saturating_add(pace);
    }
}
