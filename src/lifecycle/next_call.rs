//! Which call to Google an object makes next.

use std::time::Duration;

use super::{
    CallPriority, Cancellation, Context, Effect, GetLane, Now, Plan, backoff,
    cancellation::{CancelState, FinalGet, LastGet},
    next_write::request_write,
    status_write::{self, WriteKind},
};

/// Observe, intend, cancel, poll.
pub fn act(state: &mut Cancellation, context: &Context<'_>, plan: &mut Plan) {
    let now = context.now;
    if state.cancel == CancelState::Intended {
        state.cancel = CancelState::Sending;
        state.post.in_flight = true;
        state.post.unrecorded = true;
        state.post.last_sent = state.object.cancel_attempts();
        plan.effects.push(Effect::Cancel {
            attempt: state.object.cancel_attempts(),
        });
        return;
    }
    if is_get_due(state, context)
        && let Some(until) = context.quota.gets_held_until
    {
        postpone_get(state, until, context);
    }
    if observes(state)
        && is_get_due(state, context)
        && waits_for_rate(state, CallPriority::Get, context, plan)
    {
        // The cancel request would wait for the same rate, so it gains nothing by going first.
        return;
    }
    if may_intend(state, now) && !is_cancel_held(state, context) {
        if waits_for_rate(state, CallPriority::Cancel, context, plan) {
            return;
        }
        let intent = |state: &_| status_write::intent(state, context);
        if request_write(state, WriteKind::Intent, intent, context, plan) {
            return;
        }
    }
    let lane = if observes(state) {
        state
            .get
            .observe_until
            .get_or_insert(now.mono.saturating_add(context.settings.observe_budget));
        GetLane::Start
    } else {
        GetLane::Poll
    };
    get_if_due(state, context, lane, plan);
}

/// Whether a call that is due has to wait for the rate of the namespace.
fn waits_for_rate(
    state: &mut Cancellation,
    priority: CallPriority,
    context: &Context<'_>,
    plan: &mut Plan,
) -> bool {
    if context.may_call.allows(priority) {
        return false;
    }
    state.is_rate_limited = true;
    plan.waits_for = Some(priority);
    no_poll_comes_soon(state);
    true
}

/// The acceptance of the cancel request is written before the first poll.
fn no_poll_comes_soon(state: &mut Cancellation) {
    if state.cancel == (CancelState::Accepted { polled: false }) {
        state.cancel = CancelState::Accepted { polled: true };
    }
}

/// An exhausted quota holds the GET back until then. Nothing else waits for it.
fn postpone_get(state: &mut Cancellation, until: Duration, context: &Context<'_>) {
    // All polls that were planned during the hold would exhaust the quota again if they came at its end.
    state.get.is_reserved = false;
    state.get.next_at = backoff::after_hold(until, context.now.mono, context.jitter);
    state.get.last = state.get.last.or(Some(LastGet::Failed));
    state.get.observed_generation = Some(state.object.generation);
    no_poll_comes_soon(state);
}

/// Whether an exhausted quota holds the next cancel request back: then its intent is not recorded.
fn is_cancel_held(state: &mut Cancellation, context: &Context<'_>) -> bool {
    let Some(until) = context.quota.cancels_held_until else {
        return false;
    };
    state.post.next_at = backoff::after_hold(until, context.now.mono, context.jitter);
    state.post.held = true;
    true
}

/// Whether the next cancel request waits, for `--observe-budget`, for the first GET since the object was allowed to act.
const fn observes(state: &Cancellation) -> bool {
    let sends = matches!(
        state.cancel,
        CancelState::NotSent | CancelState::Again { .. }
    );
    sends && state.get.last.is_none()
}

/// Whether the intent of the next cancel request may be recorded.
fn may_intend(state: &Cancellation, now: Now) -> bool {
    if now.mono < state.post.next_at || holds_cancel_back(state.get.last) {
        return false;
    }
    let observed = !observes(state)
        || state
            .get
            .observe_until
            .is_some_and(|until| until <= now.mono);
    match state.cancel {
        CancelState::NotSent => observed,
        CancelState::Again { .. } => observed && !state.post.must_see_running,
        _ => false,
    }
}

/// Whether this answer holds the cancel request back until a GET answers something else.
const fn holds_cancel_back(last: Option<LastGet>) -> bool {
    matches!(
        last,
        Some(LastGet::NotFound | LastGet::NoToken | LastGet::NotServed)
    )
}

fn is_get_due(state: &Cancellation, context: &Context<'_>) -> bool {
    state.get.in_flight.is_none() && state.get.due_at(context.settings) <= context.now.mono
}

fn get_if_due(state: &mut Cancellation, context: &Context<'_>, lane: GetLane, plan: &mut Plan) {
    let now = context.now;
    if !is_get_due(state, context) {
        return;
    }
    if let Some(until) = context.quota.gets_held_until {
        postpone_get(state, until, context);
        return;
    }
    if waits_for_rate(state, priority(state, lane), context, plan) {
        return;
    }
    let is_reserved = std::mem::take(&mut state.get.is_reserved);
    if lane == GetLane::Poll
        && !is_reserved
        && !decides_on_cancel(state)
        && let Some(place) = context.quota.next_poll
    {
        if place > now.mono.saturating_add(backoff::RESERVED_AHEAD) {
            state.get.next_at = now
                .mono
                .saturating_add(backoff::after_no_reservation(context.jitter));
            return;
        }
        plan.effects.push(Effect::ReservePoll);
        if place > now.mono {
            state.get.is_reserved = true;
            state.get.next_at = place;
            return;
        }
    }
    state.get.begin(now.mono, context.settings);
    plan.effects.push(Effect::Get {
        lane,
        regardless_of_quota: false,
    });
}

/// Whether a cancel request waits for this GET, or the GET decides what a failed request means. Such a GET is no poll: it does
/// not wait behind polls.
const fn decides_on_cancel(state: &Cancellation) -> bool {
    let to_be_sent = matches!(
        state.cancel,
        CancelState::NotSent | CancelState::Again { .. }
    );
    state.post.must_see_running
        || (to_be_sent && holds_cancel_back(state.get.last))
        || matches!(
            state.cancel,
            CancelState::AwaitingGet | CancelState::Unsupported
        )
}

/// A GET that is repeated until it finds the operation is a poll: a namespace may have thousands of names that do not exist.
const fn priority(state: &Cancellation, lane: GetLane) -> CallPriority {
    let decides = state.post.must_see_running
        || matches!(
            state.cancel,
            CancelState::AwaitingGet | CancelState::Unsupported
        );
    match lane {
        GetLane::Start => CallPriority::Get,
        GetLane::Poll if decides => CallPriority::Get,
        GetLane::Poll => CallPriority::Poll,
    }
}

/// A suspended object: one GET a generation, then one a minute.
pub fn observe(state: &mut Cancellation, context: &Context<'_>, plan: &mut Plan) {
    let now = context.now;
    if state.get.observed_generation != Some(state.object.generation)
        && state.get.failures.last.is_none()
    {
        state.get.next_at = state.get.next_at.min(now.mono);
    }
    let lane = if state.get.last.is_none() {
        GetLane::Start
    } else {
        GetLane::Poll
    };
    get_if_due(state, context, lane, plan);
}

pub fn get_for_the_last_time(state: &mut Cancellation, context: &Context<'_>, plan: &mut Plan) {
    let now = context.now;
    if state.final_get.is_none()
        && let Some(get) = &mut state.get.in_flight
    {
        // It began before the deadline, so the operation may have ended since.
        get.stale = true;
    }
    let final_get = *state.final_get.get_or_insert_with(FinalGet::default);
    if state.get.in_flight.is_none()
        && final_get
            .next_at
            .max(state.get.not_before(context.settings))
            <= now.mono
        && !waits_for_rate(state, CallPriority::Get, context, plan)
    {
        state.get.begin(now.mono, context.settings);
        plan.effects.push(Effect::Get {
            lane: GetLane::Poll,
            regardless_of_quota: true,
        });
    }
}

/// When the next intent may be due by time alone.
pub fn next_intent(state: &Cancellation, now: Now) -> Option<Duration> {
    match state.cancel {
        _ if observes(state) => state
            .get
            .observe_until
            .map(|until| until.max(state.post.next_at)),
        CancelState::NotSent | CancelState::Again { .. } => Some(state.post.next_at),
        _ => None,
    }
    .filter(|at| *at > now.mono)
}
