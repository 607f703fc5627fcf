//! What each answer to GET means (docs/life-of-a-cancellation.md#what-each-answer-means).

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
    google::{
        answer::{CallError, GetAnswer, Operation},
        error_table::{self, Class},
    },
};

/// Applies an answer to GET. Returns what has to be done at once.
pub fn apply(state: &mut Cancellation, answer: GetAnswer, context: &Context<'_>) -> Vec<Effect> {
    let stale = state.get.in_flight.take().is_some_and(|get| get.stale);
    match answer {
        Ok(operation) => {
            answered(state, &operation, stale, context);
            Vec::new()
        }
        Err(error) => failed(state, error, stale, context),
    }
}

fn answered(state: &mut Cancellation, operation: &Operation, stale: bool, context: &Context<'_>) {
    let now = context.now;
    state.get.failures = Failures::default();
    state.post.failures.token_came();
    state.get.not_found_since = None;
    state.get.observed = Some(observed(operation));
    state.get.observed_generation = Some(state.object.generation);
    state.get.next_at = now.mono + pace(state, context);
    let rest = rest_after(operation);
    if let Some(ending) = Ending::of(operation) {
        state.end(ending);
        return;
    }
    if stale {
        // It shows the operation as it was before the last answer to cancel: ask again.
        state.get.next_at = state.get.next_at.min(now.mono + context.settings.min_poll);
        if matches!(
            state.cancel,
            CancelState::Unsupported | CancelState::AwaitingGet
        ) || state.post.must_see_running
        {
            state.get.next_at = now.mono;
        }
        state.get.next_at = state.get.next_at.max(now.mono.saturating_add(rest));
        return;
    }
    state.get.next_at = state.get.next_at.max(now.mono.saturating_add(rest));
    state.get.last = Some(LastGet::Running);
    state.post.must_see_running = false;
    state.post.invalid_argument = false;
    if state.final_get.is_some() {
        state.end(Ending::without_result(Outcome::Unknown));
    }
    match state.cancel {
        CancelState::Accepted { .. } => state.cancel = CancelState::Accepted { polled: true },
        CancelState::Unsupported => state.end(Ending::without_result(Outcome::Unsupported)),
        CancelState::AwaitingGet => refuse(state, context),
        CancelState::NotSent
        | CancelState::Intended
        | CancelState::Sending
        | CancelState::Again { .. } => {}
    }
}

/// The shortest pause before the next GET of a running operation whose answer was large: reading it must cost little beside
/// everything else.
fn rest_after(operation: &Operation) -> Duration {
    operation
        .reading_took
        .unwrap_or_default()
        .saturating_mul(TIMES_READING)
}

/// The pause after a large answer is this many times as long as reading it took.
const TIMES_READING: u32 = 30;

/// The API refuses to cancel it now: the operation is polled, and a new request follows later.
pub fn refuse(state: &mut Cancellation, context: &Context<'_>) {
    state.count_refusal();
    state.post.next_at = context.now.mono + backoff::after_refusal(state.post.refusals);
    state.post.refused = true;
    state.cancel = asked_again(state);
}

/// Another cancel request follows. A refusal after a request that may have arrived may mean "already cancelled", so it does not
/// count as a refusal.
pub const fn asked_again(state: &Cancellation) -> CancelState {
    CancelState::Again {
        refused: state.post.refused && !state.post.maybe_arrived,
    }
}

fn failed(
    state: &mut Cancellation,
    error: CallError,
    stale: bool,
    context: &Context<'_>,
) -> Vec<Effect> {
    let now = context.now;
    let since = Since::now(&state.object, now);
    let kind = error.kind;
    let mut effects = Vec::new();

    state.get.not_found_since = match error_table::meaning(kind, Call::Get).class {
        Class::Gone => state.get.not_found_since.or(Some(now.mono)),
        _ => None,
    };
    state.get.failures.temporary = state.get.failures.temporary.saturating_add(1);
    let retry_after = error.retry_after;
    let denied = state
        .get
        .failures
        .note(Call::Get, error, since, context.jitter);

    let class = error_table::meaning(kind, Call::Get).class;
    if class == Class::Unauthenticated {
        effects.push(Effect::DropToken);
    }
    if matches!(class, Class::Gone | Class::Impossible) {
        state.get.failures.temporary = 0;
    }
    let failures = &state.get.failures;
    let delay = denied.unwrap_or_else(|| match class {
        Class::Gone | Class::Impossible => pace(state, context),
        Class::Quota => held_for(context.quota.gets_held_until, failures.temporary, context),
        Class::NotServed | Class::NotOffered => {
            backoff::after_get_not_served(failures.not_served, context.jitter)
        }
        _ => backoff::after_temporary_error(failures.temporary, context.jitter)
            .max(asked_to_wait(retry_after)),
    });
    state.get.next_at = now.mono.saturating_add(delay);
    state.get.last = Some(match class {
        Class::Gone => LastGet::NotFound,
        Class::Unauthenticated | Class::NoToken => LastGet::NoToken,
        Class::NotServed | Class::NotOffered => LastGet::NotServed,
        Class::Invalid => LastGet::InvalidArgument,
        Class::Impossible => LastGet::Unimplemented,
        Class::Retry | Class::Denied | Class::Quota | Class::Refused | Class::Unreadable => {
            LastGet::Failed
        }
    });
    state.get.observed_generation = Some(state.object.generation);
    if state.cancel == (CancelState::Accepted { polled: false }) && !stale {
        state.cancel = CancelState::Accepted { polled: true };
    }

    conclude(state, class, stale, context);
    effects
}

/// What a failed GET decides, if anything.
fn conclude(state: &mut Cancellation, class: Class, stale: bool, context: &Context<'_>) {
    let now = context.now;
    match class {
        Class::Gone => {
            let patience = not_found_patience(state, context);
            if state
                .get
                .not_found_since
                .is_some_and(|since| now.mono.saturating_sub(since) >= patience)
            {
                state.end(Ending::without_result(Outcome::NotFound));
            } else if let Some(since) = state.get.not_found_since {
                state.get.next_at = state.get.next_at.min(since.saturating_add(patience));
            }
        }
        Class::Invalid if state.post.invalid_argument && state.may_be_rejected(now) => {
            state.end(Ending::without_result(Outcome::Rejected));
        }
        Class::Impossible if state.cancel == CancelState::Unsupported && !stale => {
            state.end(Ending::without_result(Outcome::Unsupported));
        }
        // No GET will say more, now or ever.
        Class::Impossible | Class::Invalid | Class::Denied
            if state.cancel == CancelState::AwaitingGet =>
        {
            refuse(state, context);
        }
        _ => {}
    }
    if let Some(final_get) = &mut state.final_get
        && !stale
    {
        final_get.tries = final_get.tries.saturating_add(1);
        final_get.next_at = now.mono + Duration::from_secs(1);
        let answered = matches!(class, Class::Gone | Class::Impossible);
        if answered || final_get.tries >= FINAL_GETS {
            state.end(Ending::without_result(Outcome::Unknown));
        }
    }
}

/// How long the server asks to wait, up to the longest wait that is accepted.
pub fn asked_to_wait(retry_after: Option<Duration>) -> Duration {
    retry_after
        .unwrap_or_default()
        .min(backoff::LONGEST_RETRY_AFTER)
}

/// How long an exhausted quota holds a call back: at least as long as any temporary error, so that a server that asks for no
/// wait is not tried every second.
pub fn held_for(until: Option<Duration>, failures: u32, context: &Context<'_>) -> Duration {
    let now = context.now.mono;
    until
        .map(|until| until.saturating_sub(now))
        .unwrap_or_default()
        .max(backoff::after_temporary_error(failures, context.jitter))
}

/// The delay to the next GET while nothing fails.
fn pace(state: &Cancellation, context: &Context<'_>) -> Duration {
    if state.is_suspended() {
        return SUSPENDED_PACE;
    }
    backoff::poll_pace(state.age(context.now), context.settings, context.jitter)
}

/// The time between two GETs of a suspended operation.
const SUSPENDED_PACE: Duration = Duration::from_secs(60);

/// How often the final GET after the deadline is tried.
const FINAL_GETS: u32 = 3;

/// How long GETs may answer nothing but NOT_FOUND: a fifth of `--not-found-after` if an earlier GET found the operation.
fn not_found_patience(state: &Cancellation, context: &Context<'_>) -> Duration {
    let seen_before = state.object.status.operation.is_some() || state.get.observed.is_some();
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
