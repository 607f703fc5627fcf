//! What each answer to cancel means (design section 3, the table's right column). None of them says how the operation ended.

use std::time::Duration;

use super::{
    Cancellation, Context, Effect, backoff,
    cancellation::{CancelState, LastGet},
    ending::Ending,
    failure::Failure,
    get_answer::refuse,
    time,
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
    known.post.failure = None;
    known.post.failures = 0;
    known.post.denials = 0;
    poll_soon(known, context);
}

/// The first poll after an answer comes at the shortest pace, whatever delays older failures of GET asked for, except those
/// that quotas and denials ask for.
fn poll_soon(known: &mut Cancellation, context: &Context<'_>) {
    let pace = backoff::poll_pace(known.age(context.now), context.settings, context.jitter);
    let soon = context.now.mono.saturating_add(pace);
    known.get.next_at = if known.get.failure.is_some() {
        known.get.next_at.max(soon)
    } else {
        soon
    };
}

fn failed(known: &mut Cancellation, error: CallError, context: &Context<'_>) -> Vec<Effect> {
    let now = context.now;
    let kind = error.kind;
    let retry_after = error.retry_after;
    let since = time::stored_now(&known.object, now);
    known.post.failure = Some(Failure::next(
        known.post.failure.as_ref(),
        Call::Cancel,
        error,
        since,
    ));
    known.post.invalid_argument = kind == ErrorKind::InvalidArgument;

    let repeated_denial = known.post.denials > 0;
    known.post.denials = match kind {
        ErrorKind::PermissionDenied | ErrorKind::Unauthenticated => {
            known.post.denials.saturating_add(1)
        }
        _ => 0,
    };

    let mut effects = Vec::new();
    // It is not under way any more, whatever follows.
    known.cancel = CancelState::Again { refused: false };
    match kind {
        ErrorKind::Unimplemented => {
            known.cancel = CancelState::Unsupported;
            known.get.next_at = now.mono;
        }
        ErrorKind::FailedPrecondition if known.post.maybe_arrived => accept(known, context),
        ErrorKind::FailedPrecondition => {
            refuse(known, context);
            poll_soon(known, context);
        }
        ErrorKind::NotFound => {
            known.cancel = CancelState::AwaitingGet;
            known.get.next_at = now.mono;
        }
        ErrorKind::InvalidArgument => match known.get.last {
            Some(LastGet::InvalidArgument) => known.end(Ending::without_result(Outcome::Rejected)),
            Some(LastGet::Running) => {
                refuse(known, context);
                poll_soon(known, context);
            }
            _ => {
                known.cancel = CancelState::AwaitingGet;
                known.get.next_at = known.get.next_at.min(now.mono);
            }
        },
        ErrorKind::PermissionDenied => again(
            known,
            context,
            backoff::after_denial(known.post.denials, context.jitter),
        ),
        ErrorKind::Unauthenticated => {
            effects.push(Effect::DropToken);
            let delay = if repeated_denial {
                backoff::after_denial(known.post.denials.saturating_sub(1), context.jitter)
            } else {
                Duration::ZERO
            };
            again(known, context, delay);
        }
        ErrorKind::ResourceExhausted => {
            again(
                known,
                context,
                backoff::after_used_up_quota(retry_after, now.wall, context.jitter),
            );
        }
        ErrorKind::Token => {
            known.post.failures = known.post.failures.saturating_add(1);
            again(
                known,
                context,
                backoff::after_passing_error(known.post.failures, context.jitter),
            );
        }
        _ => {
            known.post.failures = known.post.failures.saturating_add(1);
            known.post.maybe_arrived = true;
            known.post.must_see_running = true;
            let delay = backoff::after_passing_error(known.post.failures, context.jitter);
            again(known, context, delay);
            // A GET decides whether there is anything left to cancel; it comes when the next intent may.
            let look_at = now.mono.saturating_add(delay);
            known.get.next_at = if known.get.failure.is_some() {
                known.get.next_at.max(look_at)
            } else {
                look_at
            };
        }
    }
    effects
}

/// Not accepted, certainly or perhaps: a new intent after `delay`.
fn again(known: &mut Cancellation, context: &Context<'_>, delay: Duration) {
    known.cancel = CancelState::Again { refused: false };
    known.post.next_at = context.now.mono.saturating_add(delay);
    let pace = backoff::poll_pace(known.age(context.now), context.settings, context.jitter);
    if known.get.failure.is_none() {
        known.get.next_at = context.now.mono.saturating_add(pace);
    }
}
