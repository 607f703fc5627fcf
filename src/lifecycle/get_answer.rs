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
    google::{
        answer::{CallError, GetAnswer, Operation},
        error_table::{self, Class},
    },
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
    let rest = rest_after(operation);
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
        known.get.next_at = known.get.next_at.max(now.mono.saturating_add(rest));
        return;
    }
    known.get.next_at = known.get.next_at.max(now.mono.saturating_add(rest));
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

/// How long an operation is left alone at least, that is not done and whose answer was large: reading it again and again must cost
/// little beside everything else.
fn rest_after(operation: &Operation) -> Duration {
    operation
        .reading_took
        .unwrap_or_default()
        .saturating_mul(TIMES_READING)
}

/// So many times as long as reading a large answer took passes before the next look.
const TIMES_READING: u32 = 30;

/// The API refuses to cancel it now: it runs on, is polled, and is asked again later.
pub fn refuse(known: &mut Cancellation, context: &Context<'_>) {
    known.post.refusals = known.post.refusals.saturating_add(1);
    known.post.next_at = context.now.mono + backoff::after_refusal(known.post.refusals);
    known.post.refused = true;
    known.cancel = asked_again(known);
}

/// It will be asked to cancel again. A refusal after a request that may have arrived may mean "already cancelled", so only one
/// without such a request is called a refusal.
pub const fn asked_again(known: &Cancellation) -> CancelState {
    CancelState::Again {
        refused: known.post.refused && !known.post.maybe_arrived,
    }
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

    known.get.not_found_since = match error_table::meaning(kind, Call::Get).class {
        Class::Gone => known.get.not_found_since.or(Some(now.mono)),
        _ => None,
    };
    known.get.failures.passing = known.get.failures.passing.saturating_add(1);
    let retry_after = error.retry_after;
    let denied = known
        .get
        .failures
        .note(Call::Get, error, since, context.jitter);

    let class = error_table::meaning(kind, Call::Get).class;
    if class == Class::Unauthenticated {
        effects.push(Effect::DropToken);
    }
    if matches!(class, Class::Gone | Class::Impossible) {
        known.get.failures.passing = 0;
    }
    let failures = &known.get.failures;
    let delay = denied.unwrap_or_else(|| match class {
        Class::Gone | Class::Impossible => pace(known, context),
        Class::Quota => held_for(context.quota.gets_held_until, failures.passing, context),
        Class::NotServed | Class::NotOffered => {
            backoff::after_get_not_served(failures.not_served, context.jitter)
        }
        _ => backoff::after_passing_error(failures.passing, context.jitter)
            .max(asked_to_wait(retry_after)),
    });
    known.get.next_at = now.mono.saturating_add(delay);
    known.get.last = Some(match class {
        Class::Gone => LastGet::NotFound,
        Class::Unauthenticated | Class::NoToken => LastGet::NoToken,
        Class::NotServed | Class::NotOffered => LastGet::NotServed,
        Class::Invalid => LastGet::InvalidArgument,
        Class::Impossible => LastGet::Unimplemented,
        Class::Retry | Class::Denied | Class::Quota | Class::Refused | Class::Unreadable => {
            LastGet::Failed
        }
    });
    known.get.looked_at = Some(known.object.generation);
    if known.cancel == (CancelState::Accepted { polled: false }) && !stale {
        known.cancel = CancelState::Accepted { polled: true };
    }

    conclude(known, class, stale, context);
    effects
}

/// What a failed GET decides, if anything.
fn conclude(known: &mut Cancellation, class: Class, stale: bool, context: &Context<'_>) {
    let now = context.now;
    match class {
        Class::Gone => {
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
        Class::Invalid if known.post.invalid_argument => {
            known.end(Ending::without_result(Outcome::Rejected));
        }
        Class::Impossible if known.cancel == CancelState::Unsupported && !stale => {
            known.end(Ending::without_result(Outcome::Unsupported));
        }
        // No GET will say more, now or ever.
        Class::Impossible | Class::Invalid | Class::Denied
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
        let answered = matches!(class, Class::Gone | Class::Impossible);
        if answered || look.tries >= LAST_LOOKS {
            known.end(Ending::without_result(Outcome::Unknown));
        }
    }
}

/// How long the server asks to wait, as far as it is obeyed.
pub fn asked_to_wait(retry_after: Option<Duration>) -> Duration {
    retry_after
        .unwrap_or_default()
        .min(backoff::LONGEST_RETRY_AFTER)
}

/// How long a used-up quota holds a call back, which is known once its answer is: no less than any other passing error, so that a
/// server that asks for no wait is not tried every second.
pub fn held_for(until: Option<Duration>, failures: u32, context: &Context<'_>) -> Duration {
    let now = context.now.mono;
    until
        .map(|until| until.saturating_sub(now))
        .unwrap_or_default()
        .max(backoff::after_passing_error(failures, context.jitter))
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
