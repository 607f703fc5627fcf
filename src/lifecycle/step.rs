//! The driver: applies an event, then decides what to do next.

use std::time::Duration;

use super::{
    CallPriority, Cancellation, Context, Effect, Event, Grant, Plan,
    apply_event::{apply_event, cancel_not_sent},
    backoff,
    cancellation::CancelState,
    next_call::{act, get_for_the_last_time, next_intent, observe},
    next_write::{request_write, write_progress_if_due},
    rule::{Rule, applicable_rule, deadline_at},
    status_write::{self, WriteKind},
    time::{self, Since},
};
use crate::api::{Outcome, Reason};

/// Applies an event. Returns what to do now and when to come back.
pub fn step(state: &mut Cancellation, event: Event, context: &Context<'_>) -> Plan {
    let mut plan = Plan {
        effects: apply_event(state, event, context),
        ..Plan::default()
    };
    plan.foreign_intent = state.foreign_intent.take();
    decide(state, context, &mut plan);
    plan.unrecorded = state.has_unrecorded();
    plan
}

/// Decides what to do, from everything that is known of the object.
fn decide(state: &mut Cancellation, context: &Context<'_>, plan: &mut Plan) {
    if plan.effects.contains(&Effect::Forget) {
        return;
    }
    if state.is_over() {
        plan.effects.push(Effect::Forget);
        return;
    }
    if state.is_suspended() {
        // Before the rules: a deadline that passed while no process ran does not end a suspended object.
        state.started = None;
    }
    if waits_for_the_api_server(state, context, plan) {
        return;
    }
    let rule = applicable_rule(state, context);
    change_mode(state, &rule, context);
    if state.post.in_flight {
        // Its answer comes within the call's time limit; nothing is decided in between.
        return;
    }
    let by_rule = match rule {
        Rule::End(ending) => Some(ending),
        _ => None,
    };
    // An outcome that only a rule gives is not kept: its cause may be gone before the write.
    if let Some(ending) = state.ending.or(by_rule) {
        let outcome = |state: &_| status_write::outcome(state, ending, context);
        request_write(state, WriteKind::Outcome, outcome, context, plan);
        return;
    }
    if !context.stopping {
        state.is_rate_limited = false;
    }
    match &rule {
        _ if context.stopping => {}
        Rule::Proceed => act(state, context, plan),
        Rule::FinalGet => get_for_the_last_time(state, context, plan),
        Rule::Suspended => observe(state, context, plan),
        Rule::End(_) | Rule::Stall(..) | Rule::NotGranted | Rule::GrantUnknown => {}
    }
    if plan.effects.iter().any(|effect| {
        matches!(
            effect,
            Effect::Write(_) | Effect::QueueWrite(_) | Effect::Cancel { .. }
        )
    }) {
        return;
    }
    let stalled_at = write_progress_if_due(state, &rule, context, plan);
    if context.stopping {
        // The next process does what becomes due later.
        return;
    }
    let next = next_wake(state, &rule, stalled_at, plan.waits_for, context);
    plan.wake_at = [plan.wake_at, next].into_iter().flatten().min();
}

/// Whether a write is in flight or queued, or the object has to be read back first. Until that is over nothing else is decided.
fn waits_for_the_api_server(
    state: &mut Cancellation,
    context: &Context<'_>,
    plan: &mut Plan,
) -> bool {
    if state.write.in_flight.is_some() || state.write.queued || state.write.rereading {
        return true;
    }
    if !state.write.must_reread {
        return false;
    }
    if context.stopping && !state.has_unrecorded() {
        return true;
    }
    if state.write.not_before <= context.now.mono {
        plan.effects.extend(state.reread());
    } else {
        plan.wake_at = Some(state.write.not_before);
    }
    true
}

/// Updates start time and observations when the calls that the object may make change.
fn change_mode(state: &mut Cancellation, rule: &Rule, context: &Context<'_>) {
    let now = context.now;
    let mode = rule.mode();
    let first_visit = state.mode.is_none();
    if state.mode.is_some_and(|before| before != mode) {
        state.observe_anew(now);
    }
    state.mode = Some(mode);
    if first_visit {
        spread_first_poll(state, rule, context);
    }
    if *rule == Rule::Proceed {
        state
            .started
            .get_or_insert_with(|| Since::now(&state.object, now));
    }
    match rule {
        Rule::NotGranted => {
            // A new process uses the stored time. Later the stored time may be from an earlier time without a grant.
            state.not_granted_since.get_or_insert_with(|| {
                if first_visit {
                    time::not_granted_since(&state.object, now)
                } else {
                    Since::now(&state.object, now)
                }
            });
        }
        // An object that ends at its deadline without a grant reports that no grant allows it.
        Rule::End(_) if context.grant == Grant::NotGranted => {
            state
                .not_granted_since
                .get_or_insert_with(|| Since::now(&state.object, now));
        }
        Rule::GrantUnknown => {}
        _ => state.not_granted_since = None,
    }
    // While the grants are not known only the deadline counts.
    let is_past = deadline_at(state, now).is_some_and(|at| at <= now.mono);
    let may_end = match rule {
        Rule::FinalGet | Rule::End(_) => true,
        Rule::GrantUnknown => is_past,
        _ => false,
    };
    if !may_end {
        // A user moved the deadline before the outcome was stored.
        state.ending = state
            .ending
            .filter(|ending| ending.outcome != Outcome::Unknown);
    }
    if *rule != Rule::FinalGet {
        state.final_get = None;
    }
    let may_send = *rule == Rule::Proceed && state.ending.is_none() && !context.stopping;
    if state.cancel == CancelState::Intended && !may_send {
        cancel_not_sent(state);
    }
}

/// Without this, a new process would poll all objects at once. The first poll after an accepted or refused request is not urgent,
/// so it comes at a random moment within the delay between two polls of this object.
fn spread_first_poll(state: &mut Cancellation, rule: &Rule, context: &Context<'_>) {
    let now = context.now.mono;
    let longest = match state.cancel {
        CancelState::Accepted { .. } => Duration::MAX,
        // A poll comes well before the next request.
        CancelState::Again { refused: true } => state.post.next_at.saturating_sub(now) / 2,
        _ => return,
    };
    if *rule == Rule::Proceed {
        let delay = backoff::poll_pace(state.age(context.now), context.settings, 0.5).min(longest);
        state.get.next_at = now + delay.mul_f64(context.jitter.clamp(0.0, 1.0));
    }
}

/// When the next step is due if no event comes before.
fn next_wake(
    state: &Cancellation,
    rule: &Rule,
    stalled: Option<Duration>,
    waits_for: Option<CallPriority>,
    context: &Context<'_>,
) -> Option<Duration> {
    let now = context.now;
    // One that waits for the rate of the namespace has its turn.
    let has_no_turn = |at: &Duration| waits_for.is_none() || *at > now.mono;
    let get = state.get.in_flight.is_none();
    let get = get.then(|| state.get.due_at(context.settings));
    let get = get.filter(has_no_turn);
    let deadline = deadline_at(state, now);
    match rule {
        Rule::Proceed => [get, next_intent(state, now), deadline, stalled]
            .into_iter()
            .flatten()
            .min(),
        Rule::Suspended => [get, stalled].into_iter().flatten().min(),
        Rule::NotGranted => [deadline, stalled].into_iter().flatten().min(),
        Rule::FinalGet => state
            .final_get
            .filter(|_| state.get.in_flight.is_none())
            .map(|final_get| {
                final_get
                    .next_at
                    .max(state.get.not_before(context.settings))
            })
            .filter(has_no_turn),
        Rule::Stall(Reason::IdentityNotSupported, _) => deadline,
        Rule::Stall(..) | Rule::GrantUnknown | Rule::End(_) => None,
    }
}
