//! How an unfinished object stands, for metrics: only from its stored status, so metrics and `kubectl get` never disagree.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    api::{ConditionStatus, ConditionType, Reason},
    lifecycle::ObjectView,
    telemetry::{
        metrics::{self, Metrics},
        pending::Pending,
        series::{NEW, OTHER, STATES, WaitsFor},
    },
};

/// What is counted of one object while it is under way.
#[derive(Debug)]
pub struct Standing {
    metrics: Arc<Metrics>,
    pending: Pending,
    waits_for: WaitsFor,
    /// For a while people held it back.
    held: bool,
    /// The API took its cancel request, and that was counted, if by this process at all.
    accepted: bool,
}

impl Standing {
    /// Of an object that was just seen. What happened before is not counted again.
    pub fn new(object: &ObjectView, metrics: Arc<Metrics>) -> Self {
        let state = state(object);
        let waits_for = waits_for(object, state);
        Self {
            pending: Pending::new(metrics.clone(), state),
            metrics,
            waits_for,
            held: waits_for == WaitsFor::People,
            accepted: is_accepted(object),
        }
    }

    /// What it waits for.
    pub const fn waits_for(&self) -> WaitsFor {
        self.waits_for
    }

    /// Takes in how the object is stored now.
    pub fn note(&mut self, object: &ObjectView) {
        let state = state(object);
        self.waits_for = waits_for(object, state);
        self.held |= self.waits_for == WaitsFor::People;
        self.pending.moved_to(state);
        if is_accepted(object) {
            // A refusal because it was taken before says so only here.
            self.accepted(object);
        }
    }

    /// The API took its cancel request.
    pub fn accepted(&mut self, object: &ObjectView) {
        if !std::mem::replace(&mut self.accepted, true) {
            self.metrics.accepted(age(object), self.held);
        }
    }
}

/// How long ago an object was created.
pub fn age(object: &ObjectView) -> Duration {
    metrics::age(object.created, Timestamp::now())
}

fn state(object: &ObjectView) -> &'static str {
    let reason = |type_| object.status.condition(type_).map(|(_, reason)| reason);
    let suspended =
        reason(ConditionType::CancelRequested).filter(|reason| *reason == Reason::Suspended.name());
    // A suspended object that was looked at has no `Ready`.
    match reason(ConditionType::Ready).or(suspended) {
        None => NEW,
        Some(reason) => STATES
            .into_iter()
            .find(|state| *state == reason)
            .unwrap_or(OTHER),
    }
}

fn waits_for(object: &ObjectView, state: &str) -> WaitsFor {
    let is = |reasons: &[Reason]| reasons.iter().any(|reason| reason.name() == state);
    if is(&[
        Reason::NoGrant,
        Reason::Suspended,
        Reason::UnknownService,
        Reason::UnknownVersion,
        Reason::IdentityNotSupported,
    ]) {
        WaitsFor::People
    } else if is_accepted(object) || is(&[Reason::Refused, Reason::Unsupported]) {
        WaitsFor::End
    } else {
        WaitsFor::Cancel
    }
}

fn is_accepted(object: &ObjectView) -> bool {
    let condition = object.status.condition(ConditionType::CancelRequested);
    condition.is_some_and(|(status, _)| status == ConditionStatus::True.name())
}
