//! Which status write is due, and whether it is made now.

use std::time::Duration;

use super::{
    Cancellation, Context, Effect, Plan, StatusWrite, backoff,
    cancellation::CancelState,
    report::report,
    rule::Rule,
    status_write::{self, WriteKind},
};

/// Writes the status of an unfinished object if the stored one differs and nothing in flight will change it in a moment. Returns when
/// the object becomes `Stalled` if nothing happens before.
pub fn write_progress_if_due(
    state: &mut Cancellation,
    rule: &Rule,
    context: &Context<'_>,
    plan: &mut Plan,
) -> Option<Duration> {
    let report = report(state, rule, state.cancel, context);
    let stalled_at = report.stalled_at;
    if !is_settled(state, rule, context) {
        return stalled_at;
    }
    if !status_write::is_due(state, &report) {
        // The result of the last request is stored already: it failed as the one before.
        state.post.unrecorded = false;
        return stalled_at;
    }
    // Another writer may keep changing the status back: each round of that waits longer.
    let pause = backoff::after_conflict(state.write.progress_in_a_row);
    let mut at = state.write.last_progress.saturating_add(pause);
    if !is_awaited(state) {
        at = at.max(state.write.progress_not_before);
    }
    if at <= context.now.mono {
        let progress = |state: &_| status_write::progress(state, report);
        request_write(state, WriteKind::Progress, progress, context, plan);
    } else {
        plan.wake_at = Some(plan.wake_at.map_or(at, |before| before.min(at)));
    }
    stalled_at
}

/// Whether the progress is written although another process has just written: only this process knows it, or tools wait for it.
fn is_awaited(state: &Cancellation) -> bool {
    let object = &state.object;
    state.post.unrecorded || object.status.observed_generation != Some(object.generation)
}

/// Makes a write now, or announces it, or waits until one is allowed. Returns whether it was made or announced.
pub fn request_write(
    state: &mut Cancellation,
    kind: WriteKind,
    make: impl FnOnce(&Cancellation) -> StatusWrite,
    context: &Context<'_>,
    plan: &mut Plan,
) -> bool {
    let for_the_next_process = match kind {
        WriteKind::Intent => true,
        WriteKind::Progress => !state.post.unrecorded,
        WriteKind::Outcome => false,
    };
    if context.stopping && for_the_next_process {
        return false;
    }
    if context.now.mono < state.write.not_before {
        plan.wake_at = Some(state.write.not_before);
        return false;
    }
    if !context.may_write {
        state.write.queued = true;
        state.write.queued_at = context.now.mono;
        plan.effects.push(Effect::QueueWrite(kind));
        return true;
    }
    let write = make(state);
    state.write.in_flight = Some(write.in_flight());
    plan.effects.push(Effect::Write(Box::new(write)));
    true
}

/// Whether the status can be written now: no call in flight will change it in a moment.
fn is_settled(state: &Cancellation, rule: &Rule, context: &Context<'_>) -> bool {
    let asking = state.get.in_flight.is_some();
    match rule {
        Rule::FinalGet => context.stopping && state.post.unrecorded,
        Rule::End(_) => false,
        Rule::Stall(..) | Rule::NotGranted | Rule::GrantUnknown => true,
        Rule::Suspended => {
            !(asking && state.get.observed_generation != Some(state.object.generation))
        }
        // The next process makes the next poll.
        Rule::Proceed if context.stopping => true,
        Rule::Proceed => match state.cancel {
            // A first UNAUTHENTICATED is answered with another token at once.
            CancelState::NotSent => {
                !asking || (state.get.last.is_some() && !trying_another_token(state))
            }
            // The first poll may end it and save a write, if it comes soon.
            CancelState::Accepted { polled } => polled || (!asking && !is_near(state, context)),
            CancelState::Unsupported | CancelState::AwaitingGet => {
                !asking && state.get.failures.last.is_some()
            }
            CancelState::Again { .. } => true,
            CancelState::Intended | CancelState::Sending => false,
        },
    }
}

/// Whether the GET in flight uses another token after a first UNAUTHENTICATED.
const fn trying_another_token(state: &Cancellation) -> bool {
    state.get.failures.tried_another_token && state.get.failures.denials == 1
}

/// Whether the next poll is due within two of the shortest delays.
fn is_near(state: &Cancellation, context: &Context<'_>) -> bool {
    let near = context.settings.min_poll.saturating_mul(2);
    state.get.due_at(context.settings) <= context.now.mono.saturating_add(near)
}
