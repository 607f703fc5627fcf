//! What each answer to cancel means (design section 3, the table's right column). None of them says how the operation ended.

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
        error_table::{self, Class},
    },
};

/// Takes in an answer to cancel. Returns what it asks for by itself.
pub fn absorb(
    known: &mut Cancellation,
    answer: CancelAnswer,
    context: &Context<'_>,
) -> Vec<Effect> {
    known.post.in_flight = false;
    if let Some(get) = &mut known.get.in_flight {
        get.stale = true;
    }
    match answer {
        Ok(()) => {
            accept(known, context);
            Vec::new()
        }
        Err(error) => failed(known, error, context),
    }
}

fn accept(known: &mut Cancellation, context: &Context<'_>) {
    known.cancel = CancelState::Accepted { polled: false };
    known.post.failures = Failures::default();
    known.post.maybe_arrived = false;
    known.post.refused = false;
    poll_soon(known, context);
}

/// The first poll after an answer comes at the shortest pace, whatever delays older failures of GET asked for, except those
/// that quotas and denials ask for.
fn poll_soon(known: &mut Cancellation, context: &Context<'_>) {
    let pace = backoff::poll_pace(known.age(context.now), context.settings, context.jitter);
    let soon = context.now.mono.saturating_add(pace);
    known.get.next_at = if known.get.failures.last.is_some() {
        known.get.next_at.max(soon)
    } else {
        soon
    };
}

fn failed(known: &mut Cancellation, error: CallError, context: &Context<'_>) -> Vec<Effect> {
    let now = context.now;
    let class = error_table::meaning(error.kind, Call::Cancel).class;
    let retry_after = error.retry_after;
    known.post.sent |= class != Class::NoToken && !error.not_sent;
    let may_have_arrived = class.may_have_arrived() && !error.not_sent;
    let since = Since::now(&known.object, now);
    let denied = known
        .post
        .failures
        .note(Call::Cancel, error, since, context.jitter);
    known.post.invalid_argument = class == Class::Invalid;
    known.post.maybe_arrived |= may_have_arrived;
    let in_a_row = known.post.failures.in_a_row;

    // It is not under way any more, whatever follows.
    known.cancel = asked_again(known);
    match class {
        Class::Impossible => cannot(known, now),
        Class::Refused => {
            refuse(known, context);
            poll_soon(known, context);
        }
        Class::Gone => {
            known.cancel = CancelState::AwaitingGet;
            look_now(known, now);
        }
        Class::Invalid => match known.get.last {
            Some(LastGet::InvalidArgument) => known.end(Ending::without_result(Outcome::Rejected)),
            // If a GET says the same after all, that ends it.
            _ => {
                refuse(known, context);
                poll_soon(known, context);
            }
        },
        Class::Denied => again(known, context, denied.unwrap_or_default()),
        Class::Unauthenticated => {
            again(known, context, denied.unwrap_or_default());
            return vec![Effect::DropToken];
        }
        Class::Quota => {
            let until = context.quota.cancels_held_until;
            again(known, context, held_for(until, in_a_row, context));
        }
        Class::NotOffered if in_a_row > 1 => cannot(known, now),
        Class::NotOffered => {
            known.post.must_see_running = true;
            again(known, context, backoff::AFTER_METHOD_NOT_FOUND);
        }
        Class::NotServed => match backoff::after_cancel_not_served(in_a_row) {
            None => cannot(known, now),
            Some(delay) => {
                known.post.must_see_running = true;
                again(known, context, delay);
            }
        },
        Class::NoToken => {
            let delay = passing_delay(known, context);
            again(known, context, delay);
        }
        Class::Retry | Class::Unreadable => {
            known.post.must_see_running = true;
            let refusals = in_a_row.saturating_sub(backoff::UNREADABLE_AS_PASSING);
            let delay = if class == Class::Unreadable && refusals > 0 {
                backoff::after_refusal(refusals)
            } else {
                passing_delay(known, context)
            }
            .max(asked_to_wait(retry_after));
            again(known, context, delay);
            // A GET decides whether there is anything left to cancel; it comes when the next intent may.
            let look_at = now
                .mono
                .saturating_add(delay.min(context.settings.max_poll));
            known.get.next_at = if known.get.failures.last.is_some() {
                known.get.next_at.max(look_at)
            } else {
                look_at
            };
        }
    }
    Vec::new()
}

/// The API cannot cancel it, and so took no earlier request either. A GET has to say whether it is done.
fn cannot(known: &mut Cancellation, now: Now) {
    known.post.maybe_arrived = false;
    known.cancel = CancelState::Unsupported;
    look_now(known, now);
}

/// The delay after one more passing error.
fn passing_delay(known: &mut Cancellation, context: &Context<'_>) -> Duration {
    known.post.failures.passing = known.post.failures.passing.saturating_add(1);
    backoff::after_passing_error(known.post.failures.passing, context.jitter)
}

/// A GET at once, unless a denial has GETs paced.
fn look_now(known: &mut Cancellation, now: Now) {
    if known.get.failures.denials == 0 {
        known.get.next_at = now.mono;
    }
}

/// Not accepted, certainly or perhaps: a new intent after `delay`.
fn again(known: &mut Cancellation, context: &Context<'_>, delay: Duration) {
    known.post.next_at = context.now.mono.saturating_add(delay);
    let pace = backoff::poll_pace(known.age(context.now), context.settings, context.jitter);
    if known.get.failures.last.is_none() {
        known.get.next_at = context.now.mono.saturating_add(pace);
    }
}
