//! The driver: takes in an event, then decides what to do about all that is known.

use std::time::Duration;

use super::{
    Cancellation, Context, Effect, Event, Grant, Lane, Now, Plan, StatusWrite,
    apply_event::{absorb, withheld},
    backoff,
    cancellation::{CancelState, GetInFlight, LastGet, LastLook},
    report::report,
    rule::{Gate, deadline_at, gate},
    status_write::{self, WriteKind},
    time::{self, Since},
};
use crate::api::{Outcome, Reason};

/// Takes in an event and says what to do now and when to come back.
pub fn step(known: &mut Cancellation, event: Event, context: &Context<'_>) -> Plan {
    let mut plan = Plan {
        effects: absorb(known, event, context),
        ..Plan::default()
    };
    decide(known, context, &mut plan);
    plan.unrecorded = known.has_unrecorded();
    plan
}

/// What to do about all that is known.
fn decide(known: &mut Cancellation, context: &Context<'_>, plan: &mut Plan) {
    if plan.effects.contains(&Effect::Forget) {
        return;
    }
    if known.is_over() {
        plan.effects.push(Effect::Forget);
        return;
    }
    if known.is_suspended() {
        // Before the gate: a deadline that passed while nobody looked does not end what is suspended.
        known.started = None;
    }
    if waits_for_the_api_server(known, context, plan) {
        return;
    }
    let gate = gate(known, context);
    change_mode(known, &gate, context);
    if known.post.in_flight {
        // Its answer comes within the call's time limit; nothing is decided in between.
        return;
    }
    let by_rule = match gate {
        Gate::End(ending) => Some(ending),
        _ => None,
    };
    // What only a rule says is not kept: its cause may be gone before it is written.
    if let Some(ending) = known.ending.or(by_rule) {
        let outcome = |known: &_| status_write::outcome(known, ending, context);
        write(known, WriteKind::Outcome, outcome, context, plan);
        return;
    }
    match &gate {
        _ if context.stopping => {}
        Gate::Go => act(known, context, plan),
        Gate::LastLook => look_for_the_last_time(known, context.now, plan),
        Gate::Suspended => look(known, context, plan),
        Gate::End(_) | Gate::Stall(..) | Gate::NotGranted | Gate::GrantUnknown => {}
    }
    if plan.effects.iter().any(|effect| {
        matches!(
            effect,
            Effect::Write(_) | Effect::QueueWrite(_) | Effect::Cancel { .. }
        )
    }) {
        return;
    }
    let report = report(known, &gate, known.cancel, context);
    let stalled_at = report.stalled_at;
    if !is_settled(known, &gate, context) {
        // What it comes to is not known yet.
    } else if status_write::is_due(known, &report) {
        // Nobody is fought at full speed over what the status says.
        let at = known
            .write
            .last_progress
            .saturating_add(backoff::after_conflict(known.write.progress_in_a_row));
        if at <= context.now.mono {
            let progress = |known: &_| status_write::progress(known, report);
            write(known, WriteKind::Progress, progress, context, plan);
        } else {
            plan.wake_at = Some(plan.wake_at.map_or(at, |before| before.min(at)));
        }
    } else {
        // What came of the last request is stored already: it failed as the one before.
        known.post.unrecorded = false;
    }
    if context.stopping {
        // What becomes due later is the next process's.
        return;
    }
    plan.wake_at = [plan.wake_at, next_wake(known, &gate, stalled_at, context)]
        .into_iter()
        .flatten()
        .min();
}

/// Whether a write is under way or waits for its turn, or has to be read back first: then nothing else is decided.
fn waits_for_the_api_server(
    known: &mut Cancellation,
    context: &Context<'_>,
    plan: &mut Plan,
) -> bool {
    if known.write.in_flight.is_some() || known.write.queued || known.write.rereading {
        return true;
    }
    if !known.write.must_reread {
        return false;
    }
    if context.stopping && !known.has_unrecorded() {
        return true;
    }
    if known.write.not_before <= context.now.mono {
        plan.effects.extend(known.reread());
    } else {
        plan.wake_at = Some(known.write.not_before);
    }
    true
}

/// Keeps start time and observations true when what the object may do changes.
fn change_mode(known: &mut Cancellation, gate: &Gate, context: &Context<'_>) {
    let now = context.now;
    let mode = gate.mode();
    let first_visit = known.mode.is_none();
    if known.mode.is_some_and(|before| before != mode) {
        known.observe_afresh(now);
    }
    known.mode = Some(mode);
    if first_visit {
        spread_first_poll(known, gate, context);
    }
    if *gate == Gate::Go {
        known
            .started
            .get_or_insert_with(|| Since::now(&known.object, now));
    }
    match gate {
        Gate::NotGranted => {
            // What is stored counts for a new process; later it may speak of an earlier time without a grant.
            known.not_granted_since.get_or_insert_with(|| {
                if first_visit {
                    time::not_granted_since(&known.object, now)
                } else {
                    Since::now(&known.object, now)
                }
            });
        }
        // What ends at its deadline without a grant says so.
        Gate::End(_) if context.grant == Grant::NotGranted => {
            known
                .not_granted_since
                .get_or_insert_with(|| Since::now(&known.object, now));
        }
        Gate::GrantUnknown => {}
        _ => known.not_granted_since = None,
    }
    // While the grants are not known only the deadline itself tells.
    let is_past = deadline_at(known, now).is_some_and(|at| at <= now.mono);
    let may_end = match gate {
        Gate::LastLook | Gate::End(_) => true,
        Gate::GrantUnknown => is_past,
        _ => false,
    };
    if !may_end {
        // Somebody moved the deadline before its outcome was stored.
        known.ending = known
            .ending
            .filter(|ending| ending.outcome != Outcome::Unknown);
    }
    if *gate != Gate::LastLook {
        known.last_look = None;
    }
    let may_send = *gate == Gate::Go && known.ending.is_none() && !context.stopping;
    if known.cancel == CancelState::Intended && !may_send {
        withheld(known);
    }
}

/// After a start of the process all that it waits for would be polled at once. Nothing waits for a first poll of what the API took
/// or refused, so it comes within the delay that this object has between two of them.
fn spread_first_poll(known: &mut Cancellation, gate: &Gate, context: &Context<'_>) {
    let now = context.now.mono;
    let longest = match known.cancel {
        CancelState::Accepted { .. } => Duration::MAX,
        // A look comes well before it is asked again.
        CancelState::Again { refused: true } => known.post.next_at.saturating_sub(now) / 2,
        _ => return,
    };
    if *gate == Gate::Go {
        let delay = backoff::poll_pace(known.age(context.now), context.settings, 0.5).min(longest);
        known.get.next_at = now + delay.mul_f64(context.jitter.clamp(0.0, 1.0));
    }
}

/// Observe, intend, cancel, poll.
fn act(known: &mut Cancellation, context: &Context<'_>, plan: &mut Plan) {
    let now = context.now;
    if known.cancel == CancelState::Intended {
        known.cancel = CancelState::Sending;
        known.post.in_flight = true;
        known.post.unrecorded = true;
        known.post.last_sent = known.object.cancel_attempts();
        plan.effects.push(Effect::Cancel {
            attempt: known.object.cancel_attempts(),
        });
        return;
    }
    if is_look_due(known, now)
        && let Some(until) = context.quota.gets_held_until
    {
        skip_look(known, until, context);
    }
    if may_intend(known, now) && !is_cancel_held(known, context) {
        let intent = |known: &_| status_write::intent(known, context);
        if write(known, WriteKind::Intent, intent, context, plan) {
            return;
        }
    }
    let lane = if observes(known) {
        known
            .get
            .observe_until
            .get_or_insert(now.mono.saturating_add(context.settings.observe_budget));
        Lane::Start
    } else {
        Lane::Poll
    };
    get_if_due(known, context, lane, plan);
}

/// A used-up quota holds the look back until then. Nothing else waits for it.
fn skip_look(known: &mut Cancellation, until: Duration, context: &Context<'_>) {
    // All places that a hold covers, used at its end, would use the quota up once more.
    known.get.has_place = false;
    known.get.next_at = backoff::after_hold(until, context.now.mono, context.jitter);
    known.get.last = known.get.last.or(Some(LastGet::Failed));
    known.get.looked_at = Some(known.object.generation);
    if known.cancel == (CancelState::Accepted { polled: false }) {
        known.cancel = CancelState::Accepted { polled: true };
    }
}

/// Whether a used-up quota holds the next cancel request back: then its intent is not recorded.
fn is_cancel_held(known: &mut Cancellation, context: &Context<'_>) -> bool {
    let Some(until) = context.quota.cancels_held_until else {
        return false;
    };
    known.post.next_at = backoff::after_hold(until, context.now.mono, context.jitter);
    known.post.held = true;
    true
}

/// Whether the next cancel request waits, for a moment, for the first look since the object was allowed to act.
const fn observes(known: &Cancellation) -> bool {
    let sends = matches!(
        known.cancel,
        CancelState::NotSent | CancelState::Again { .. }
    );
    sends && known.get.last.is_none()
}

/// Whether the next cancel request may be announced.
fn may_intend(known: &Cancellation, now: Now) -> bool {
    if now.mono < known.post.next_at || holds_cancel_back(known.get.last) {
        return false;
    }
    let looked = !observes(known)
        || known
            .get
            .observe_until
            .is_some_and(|until| until <= now.mono);
    match known.cancel {
        CancelState::NotSent => looked,
        CancelState::Again { .. } => looked && !known.post.must_see_running,
        _ => false,
    }
}

/// Whether no cancel request is announced until a GET answers anything else.
const fn holds_cancel_back(last: Option<LastGet>) -> bool {
    matches!(
        last,
        Some(LastGet::NotFound | LastGet::NoToken | LastGet::NotServed)
    )
}

fn is_look_due(known: &Cancellation, now: Now) -> bool {
    known.get.in_flight.is_none() && known.get.next_at <= now.mono
}

fn get_if_due(known: &mut Cancellation, context: &Context<'_>, lane: Lane, plan: &mut Plan) {
    let now = context.now;
    if !is_look_due(known, now) {
        return;
    }
    if let Some(until) = context.quota.gets_held_until {
        skip_look(known, until, context);
        return;
    }
    let has_place = std::mem::take(&mut known.get.has_place);
    if lane == Lane::Poll
        && !has_place
        && !decides_on_cancel(known)
        && let Some(place) = context.quota.next_poll
    {
        if place > now.mono.saturating_add(backoff::PLACES_AHEAD) {
            known.get.next_at = now
                .mono
                .saturating_add(backoff::until_places_are_free(context.jitter));
            return;
        }
        plan.effects.push(Effect::ReservePoll);
        if place > now.mono {
            known.get.has_place = true;
            known.get.next_at = place;
            return;
        }
    }
    known.get.in_flight = Some(GetInFlight::default());
    plan.effects.push(Effect::Get {
        lane,
        regardless_of_quota: false,
    });
}

/// Whether a cancel request waits for the look, or it says what one that failed comes to: then it is no poll, and does not wait
/// behind those of others.
const fn decides_on_cancel(known: &Cancellation) -> bool {
    let to_be_sent = matches!(
        known.cancel,
        CancelState::NotSent | CancelState::Again { .. }
    );
    known.post.must_see_running
        || (to_be_sent && holds_cancel_back(known.get.last))
        || matches!(
            known.cancel,
            CancelState::AwaitingGet | CancelState::Unsupported
        )
}

/// Once a generation, then every minute.
fn look(known: &mut Cancellation, context: &Context<'_>, plan: &mut Plan) {
    let now = context.now;
    if known.get.looked_at != Some(known.object.generation) && known.get.failures.last.is_none() {
        known.get.next_at = known.get.next_at.min(now.mono);
    }
    let lane = if known.get.last.is_none() {
        Lane::Start
    } else {
        Lane::Poll
    };
    get_if_due(known, context, lane, plan);
}

fn look_for_the_last_time(known: &mut Cancellation, now: Now, plan: &mut Plan) {
    if known.last_look.is_none()
        && let Some(get) = &mut known.get.in_flight
    {
        // It began before the deadline: whatever it misses is still to be seen.
        get.stale = true;
    }
    let look = *known.last_look.get_or_insert_with(LastLook::default);
    if known.get.in_flight.is_none() && look.next_at <= now.mono {
        known.get.in_flight = Some(GetInFlight::default());
        plan.effects.push(Effect::Get {
            lane: Lane::Poll,
            regardless_of_quota: true,
        });
    }
}

/// Makes a write or announces it, or waits until one is allowed. Whether it was made or announced.
fn write(
    known: &mut Cancellation,
    kind: WriteKind,
    make: impl FnOnce(&Cancellation) -> StatusWrite,
    context: &Context<'_>,
    plan: &mut Plan,
) -> bool {
    let for_the_next_process = match kind {
        WriteKind::Intent => true,
        WriteKind::Progress => !known.post.unrecorded,
        WriteKind::Outcome => false,
    };
    if context.stopping && for_the_next_process {
        return false;
    }
    if context.now.mono < known.write.not_before {
        plan.wake_at = Some(known.write.not_before);
        return false;
    }
    if !context.may_write {
        known.write.queued = true;
        known.write.queued_at = context.now.mono;
        plan.effects.push(Effect::QueueWrite(kind));
        return true;
    }
    let write = make(known);
    known.write.in_flight = Some(write.in_flight());
    plan.effects.push(Effect::Write(Box::new(write)));
    true
}

/// Whether a visit has ended, so that its result may be written: nothing that will change it in a moment is under way.
fn is_settled(known: &Cancellation, gate: &Gate, context: &Context<'_>) -> bool {
    let asking = known.get.in_flight.is_some();
    match gate {
        Gate::LastLook => context.stopping && known.post.unrecorded,
        Gate::End(_) => false,
        Gate::Stall(..) | Gate::NotGranted | Gate::GrantUnknown => true,
        Gate::Suspended => !(asking && known.get.looked_at != Some(known.object.generation)),
        // The next poll is the next process's.
        Gate::Go if context.stopping => true,
        Gate::Go => match known.cancel {
            // A first UNAUTHENTICATED is answered with another token at once.
            CancelState::NotSent => {
                !asking || (known.get.last.is_some() && !trying_another_token(known))
            }
            // The first poll may end it and save a write, if it comes soon.
            CancelState::Accepted { polled } => polled || (!asking && !is_near(known, context)),
            CancelState::Unsupported | CancelState::AwaitingGet => {
                !asking && known.get.failures.last.is_some()
            }
            CancelState::Again { .. } => true,
            CancelState::Intended | CancelState::Sending => false,
        },
    }
}

/// Whether the GET under way is the one with another token, after a first UNAUTHENTICATED.
const fn trying_another_token(known: &Cancellation) -> bool {
    known.get.failures.tried_another_token && known.get.failures.denials == 1
}

/// Whether the next poll comes about as soon as a first one does.
fn is_near(known: &Cancellation, context: &Context<'_>) -> bool {
    let near = context.settings.min_poll.saturating_mul(2);
    known.get.next_at <= context.now.mono.saturating_add(near)
}

/// When something has to be done although nothing happened.
fn next_wake(
    known: &Cancellation,
    gate: &Gate,
    stalled: Option<Duration>,
    context: &Context<'_>,
) -> Option<Duration> {
    let now = context.now;
    let get = known.get.in_flight.is_none().then_some(known.get.next_at);
    let deadline = deadline_at(known, now);
    match gate {
        Gate::Go => [get, next_intent(known, now), deadline, stalled]
            .into_iter()
            .flatten()
            .min(),
        Gate::Suspended => [get, stalled].into_iter().flatten().min(),
        Gate::NotGranted => [deadline, stalled].into_iter().flatten().min(),
        Gate::LastLook => known
            .last_look
            .filter(|_| known.get.in_flight.is_none())
            .map(|look| look.next_at),
        Gate::Stall(Reason::IdentityNotSupported, _) => deadline,
        Gate::Stall(..) | Gate::GrantUnknown | Gate::End(_) => None,
    }
}

/// When the next intent may be due by time alone.
fn next_intent(known: &Cancellation, now: Now) -> Option<Duration> {
    match known.cancel {
        _ if observes(known) => known
            .get
            .observe_until
            .map(|until| until.max(known.post.next_at)),
        CancelState::NotSent | CancelState::Again { .. } => Some(known.post.next_at),
        _ => None,
    }
    .filter(|at| *at > now.mono)
}
