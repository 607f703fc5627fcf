//! What each answer to GET means (design section 3, the table's middle column).

use std::time::Duration;

use super::{
    Cancellation, Context, Effect, backoff,
    cancellation::{CancelState, LastGet},
    ending::Ending,
    failure::Failures,
    time::Since,
};
use crate::{
    api::{Call, ObservedError, ObservedOperation, Outcome},
    google::answer::{CallError, ErrorKind, GetAnswer, Operation},
};

/// Takes in an answer to GET. Returns what it asks for by itself.
pub fn absorb(known: &mut Cancellation, answer: GetAnswer, context: &Context<'_>) -> Vec<Effect> {
    let stale = known.get.in_flight.take().is_some_and(|get| get.stale);
    match answer {
        Ok(operation) => {
            answered(known, &operation, stale, context);
            Vec::new()
        }
        Err(error) => failed(known, error, stale, context),
    }
}

fn answered(known: &mut Cancellation, operation: &Operation, stale: bool, context: &Context<'_>) {
    let now = context.now;
    known.get.failures = Failures::default();
    known.get.not_found_since = None;
    known.get.observed = Some(observed(operation));
    known.get.looked_at = Some(known.object.generation);
    known.get.next_at = now.mono + pace(known, context);
    if let Some(ending) = Ending::of(operation) {
        known.end(ending);
        return;
    }
    if stale {
        // It says what was true before the last answer to cancel: ask again.
        known.get.next_at = known.get.next_at.min(now.mono + context.settings.min_poll);
        if matches!(
            known.cancel,
            CancelState::Unsupported | CancelState::AwaitingGet
        ) || known.post.must_see_running
        {
            known.get.next_at = now.mono;
        }
        return;
    }
    known.get.last = Some(LastGet::Running);
    known.post.must_see_running = false;
    known.post.invalid_argument = false;
    if known.last_look.is_some() {
        known.end(Ending::without_result(Outcome::Unknown));
    }
    match known.cancel {
        CancelState::Accepted { .. } => known.cancel = CancelState::Accepted { polled: true },
        CancelState::Unsupported => known.end(Ending::without_result(Outcome::Unsupported)),
        CancelState::AwaitingGet => refuse(known, context),
        CancelState::NotSent
        | CancelState::Intended
        | CancelState::Sending
        | CancelState::Again { .. } => {}
    }
}

/// The API refuses to cancel it now: it runs on, is polled, and is asked again later.
pub fn refuse(known: &mut Cancellation, context: &Context<'_>) {
    known.post.refusals = known.post.refusals.saturating_add(1);
    known.post.next_at = context.now.mono + backoff::after_refusal(known.post.refusals);
    known.cancel = CancelState::Again { refused: true };
}

fn failed(
    known: &mut Cancellation,
    error: CallError,
    stale: bool,
    context: &Context<'_>,
) -> Vec<Effect> {
    let now = context.now;
    let since = Since::now(&known.object, now);
    let kind = error.kind;
    let mut effects = Vec::new();

    known.get.not_found_since = match kind {
        ErrorKind::NotFound => known.get.not_found_since.or(Some(now.mono)),
        _ => None,
    };
    known.get.failures.passing = known.get.failures.passing.saturating_add(1);
    let retry_after = error.retry_after;
    let denied = known
        .get
        .failures
        .note(Call::Get, error, since, context.jitter);

    if kind == ErrorKind::Unauthenticated {
        effects.push(Effect::DropToken);
    }
    let delay = denied.unwrap_or_else(|| match kind {
        ErrorKind::NotFound | ErrorKind::Unimplemented => {
            known.get.failures.passing = 0;
            pace(known, context)
        }
        ErrorKind::ResourceExhausted => held_for(
            context.quota.gets_held_until,
            known.get.failures.passing,
            context,
        ),
        _ => backoff::after_passing_error(known.get.failures.passing, context.jitter).max(
            retry_after
                .unwrap_or_default()
                .min(backoff::LONGEST_RETRY_AFTER),
        ),
    });
    known.get.next_at = now.mono.saturating_add(delay);
    known.get.last = Some(match kind {
        ErrorKind::NotFound => LastGet::NotFound,
        ErrorKind::Unauthenticated | ErrorKind::Token => LastGet::NoToken,
        ErrorKind::InvalidArgument => LastGet::InvalidArgument,
        ErrorKind::Unimplemented => LastGet::Unimplemented,
        _ => LastGet::Failed,
    });
    known.get.looked_at = Some(known.object.generation);
    if known.cancel == (CancelState::Accepted { polled: false }) && !stale {
        known.cancel = CancelState::Accepted { polled: true };
    }

    conclude(known, kind, stale, context);
    effects
}

/// What a failed GET decides, if anything.
fn conclude(known: &mut Cancellation, kind: ErrorKind, stale: bool, context: &Context<'_>) {
    let now = context.now;
    match kind {
        ErrorKind::NotFound => {
            let patience = not_found_patience(known, context);
            if known
                .get
                .not_found_since
                .is_some_and(|since| now.mono.saturating_sub(since) >= patience)
            {
                known.end(Ending::without_result(Outcome::NotFound));
            } else if let Some(since) = known.get.not_found_since {
                // Not later than necessary.
                known.get.next_at = known.get.next_at.min(since.saturating_add(patience));
            }
        }
        ErrorKind::InvalidArgument if known.post.invalid_argument => {
            known.end(Ending::without_result(Outcome::Rejected));
        }
        ErrorKind::Unimplemented if known.cancel == CancelState::Unsupported && !stale => {
            known.end(Ending::without_result(Outcome::Unsupported));
        }
        // No GET will say more, now or ever.
        ErrorKind::Unimplemented | ErrorKind::InvalidArgument | ErrorKind::PermissionDenied
            if known.cancel == CancelState::AwaitingGet =>
        {
            refuse(known, context);
        }
        _ => {}
    }
    if let Some(look) = &mut known.last_look
        && !stale
    {
        look.tries = look.tries.saturating_add(1);
        look.next_at = now.mono + Duration::from_secs(1);
        let answered = matches!(kind, ErrorKind::NotFound | ErrorKind::Unimplemented);
        if answered || look.tries >= LAST_LOOKS {
            known.end(Ending::without_result(Outcome::Unknown));
        }
    }
}

/// How long a used-up quota holds a call back, which is known once its answer is.
pub fn held_for(until: Option<Duration>, failures: u32, context: &Context<'_>) -> Duration {
    let now = context.now.mono;
    until.map_or_else(
        || backoff::after_passing_error(failures, context.jitter),
        |until| until.saturating_sub(now),
    )
}

/// The delay to the next look while nothing fails.
fn pace(known: &Cancellation, context: &Context<'_>) -> Duration {
    if known.is_suspended() {
        return SUSPENDED_PACE;
    }
    backoff::poll_pace(known.age(context.now), context.settings, context.jitter)
}

/// How often a suspended operation is looked at.
const SUSPENDED_PACE: Duration = Duration::from_secs(60);

/// How often the deadline's last GET is tried.
const LAST_LOOKS: u32 = 3;

/// How long nothing but NOT_FOUND is waited for: a fifth of `--not-found-after` if a GET has seen the operation before.
fn not_found_patience(known: &Cancellation, context: &Context<'_>) -> Duration {
    let seen_before = known.object.status.operation.is_some() || known.get.observed.is_some();
    let patience = context.settings.not_found_after;
    if seen_before { patience / 5 } else { patience }
}

fn observed(operation: &Operation) -> ObservedOperation {
    ObservedOperation {
        done: operation.done,
        metadata_type: operation.metadata_type.clone(),
        metadata_state: operation.metadata_state.clone(),
        response_type: operation.response_type.clone(),
        error: operation.error.as_ref().map(|error| ObservedError {
            code: error.code,
            status: error.status.clone(),
            message: error.message.clone(),
        }),
    }
}
