//! What each answer to cancel means (design section 3, the table's right column). None of them says how the operation ended.

use std::time::Duration;

use super::{
    Cancellation, Context, Effect, Now, backoff,
    cancellation::{CancelState, LastGet},
    ending::Ending,
    failure::Failures,
    get_answer::{held_for, refuse},
    time::Since,
};
use crate::{
    api::{Call, Outcome},
    google::answer::{CallError, CancelAnswer, ErrorKind},
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
    let kind = error.kind;
    let retry_after = error.retry_after;
    let since = Since::now(&known.object, now);
    let denied = known
        .post
        .failures
        .note(Call::Cancel, error, since, context.jitter);
    known.post.invalid_argument = kind == ErrorKind::InvalidArgument;

    let mut effects = Vec::new();
    // It is not under way any more, whatever follows.
    known.cancel = CancelState::Again { refused: false };
    match kind {
        ErrorKind::Unimplemented => {
            known.cancel = CancelState::Unsupported;
            look_now(known, now);
        }
        ErrorKind::FailedPrecondition if known.post.maybe_arrived => accept(known, context),
        ErrorKind::FailedPrecondition => {
            refuse(known, context);
            poll_soon(known, context);
        }
        ErrorKind::NotFound => {
            known.cancel = CancelState::AwaitingGet;
            look_now(known, now);
        }
        ErrorKind::InvalidArgument => match known.get.last {
            Some(LastGet::InvalidArgument) => known.end(Ending::without_result(Outcome::Rejected)),
            // If a GET says the same after all, that ends it.
            _ => {
                refuse(known, context);
                poll_soon(known, context);
            }
        },
        ErrorKind::PermissionDenied | ErrorKind::Unauthenticated => {
            if kind == ErrorKind::Unauthenticated {
                effects.push(Effect::DropToken);
            }
            again(known, context, denied.unwrap_or_default());
        }
        ErrorKind::ResourceExhausted => {
            let until = context.quota.cancels_held_until;
            again(known, context, held_for(until, 1, context));
        }
        ErrorKind::Token => {
            known.post.failures.passing = known.post.failures.passing.saturating_add(1);
            again(
                known,
                context,
                backoff::after_passing_error(known.post.failures.passing, context.jitter),
            );
        }
        _ => {
            known.post.failures.passing = known.post.failures.passing.saturating_add(1);
            known.post.maybe_arrived = true;
            known.post.must_see_running = true;
            let delay = backoff::after_passing_error(known.post.failures.passing, context.jitter)
                .max(
                    retry_after
                        .unwrap_or_default()
                        .min(backoff::LONGEST_RETRY_AFTER),
                );
            again(known, context, delay);
            // A GET decides whether there is anything left to cancel; it comes when the next intent may.
            let look_at = now.mono.saturating_add(delay);
            known.get.next_at = if known.get.failures.last.is_some() {
                known.get.next_at.max(look_at)
            } else {
                look_at
            };
        }
    }
    effects
}

/// A GET at once, unless a denial has GETs paced.
fn look_now(known: &mut Cancellation, now: Now) {
    if known.get.failures.denials == 0 {
        known.get.next_at = now.mono;
    }
}

/// Not accepted, certainly or perhaps: a new intent after `delay`.
fn again(known: &mut Cancellation, context: &Context<'_>, delay: Duration) {
    known.cancel = CancelState::Again { refused: false };
    known.post.next_at = context.now.mono.saturating_add(delay);
    let pace = backoff::poll_pace(known.age(context.now), context.settings, context.jitter);
    if known.get.failures.last.is_none() {
        known.get.next_at = context.now.mono.saturating_add(pace);
    }
}
