//! The metrics of one unfinished object, from its stored status only, so that they agree with `kubectl get`.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{ConditionStatus, ConditionType, IdentityKind, Reason},
    lifecycle::ObjectView,
    telemetry::{
        metrics::{self, Metrics},
        pending::Pending,
        series::{self, NEW, OTHER, Phase, TENANT_UNAUTHENTICATED},
    },
};

/// The metrics of one unfinished object.
#[derive(Debug)]
pub struct ObjectMetrics {
    metrics: Arc<Metrics>,
    pending: Pending,
    phase: Phase,
    /// It has been on hold: without a grant, suspended, with an unknown target, or with an identity that its tenant must set up.
    held: bool,
    /// The API accepted its cancel request, and this or an earlier process counted that.
    accepted: bool,
}

impl ObjectMetrics {
    /// For an object that is new to this process. What happened before is not counted again.
    pub fn new(object: &ObjectView, metrics: Arc<Metrics>) -> Self {
        let state = state(object);
        let phase = phase(object, state);
        Self {
            pending: Pending::new(metrics.clone(), state),
            metrics,
            phase,
            held: phase == Phase::OnHold || started_late(object),
            accepted: is_accepted(object),
        }
    }

    /// What it waits for.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Updates them from the object as it is stored now.
    pub fn update(&mut self, object: &ObjectView) {
        let state = state(object);
        self.phase = phase(object, state);
        self.held |= self.phase == Phase::OnHold;
        self.pending.moved_to(state);
        if is_accepted(object) {
            // If the API refuses because an earlier request was accepted, only the status shows that.
            self.accepted(object);
        }
    }

    /// The API accepted its cancel request.
    pub fn accepted(&mut self, object: &ObjectView) {
        if !std::mem::replace(&mut self.accepted, true) {
            self.metrics.accepted(age(object), self.held);
        }
    }
}

/// The time since the object was created.
pub fn age(object: &ObjectView) -> Duration {
    metrics::age(object.created, Timestamp::now())
}

fn state(object: &ObjectView) -> &'static str {
    let ready = object.status.condition(ConditionType::Ready);
    match ready.map(|(_, reason)| reason) {
        // A suspended object that was observed has no `Ready`.
        None if is_suspended(object) => Reason::Suspended.name(),
        None => NEW,
        Some(reason) if reason == Reason::Unauthenticated.name() && is_of_tenant(object) => {
            TENANT_UNAUTHENTICATED
        }
        Some(reason) => series::states()
            .find(|state| *state == reason)
            .unwrap_or(OTHER),
    }
}

/// Whether the calls are made with the identity of a tenant's ServiceAccount.
fn is_of_tenant(object: &ObjectView) -> bool {
    let identity = object.status.identity.as_ref();
    identity.is_some_and(|identity| identity.kind == IdentityKind::ServiceAccount.name())
}

fn phase(object: &ObjectView, state: &str) -> Phase {
    let is = |reasons: &[Reason]| reasons.iter().any(|reason| reason.name() == state);
    // Also while its GET fails: it must not be cancelled yet.
    let suspended = is_suspended(object);
    if suspended
        || state == TENANT_UNAUTHENTICATED
        || is(&[
            Reason::NoGrant,
            Reason::UnknownService,
            Reason::UnknownVersion,
            Reason::UnknownName,
            Reason::IdentityNotSupported,
            Reason::ServiceAccountNotReady,
            Reason::ImpersonationFailed,
        ])
    {
        Phase::OnHold
    } else if is_accepted(object) || is(&[Reason::Refused, Reason::Unsupported]) {
        Phase::Completion
    } else {
        Phase::Request
    }
}

fn is_suspended(object: &ObjectView) -> bool {
    let condition = object.status.condition(ConditionType::CancelRequested);
    condition.is_some_and(|(_, reason)| reason == Reason::Suspended.name())
}

/// Whether it was on hold before this process: it started well after it was created.
fn started_late(object: &ObjectView) -> bool {
    let start = object.status.start_time.as_ref();
    start.is_some_and(|start| {
        start.0.duration_since(object.created) > SignedDuration::from_secs(LATE_START_SECONDS)
    })
}

/// The start is stored in whole seconds, and with the first write.
const LATE_START_SECONDS: i64 = 5;

fn is_accepted(object: &ObjectView) -> bool {
    let condition = object.status.condition(ConditionType::CancelRequested);
    condition.is_some_and(|(status, _)| status == ConditionStatus::True.name())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::{
        api::{CancellationStatus, Condition, Identity},
        lifecycle::MalformedSpec,
    };

    fn object(conditions: &[(&str, &str, &str)], started_after: Option<i64>) -> ObjectView {
        let created = Timestamp::from_second(1_700_000_000).unwrap();
        let conditions = conditions.iter().map(|(type_, status, reason)| Condition {
            type_: (*type_).to_owned(),
            status: (*status).to_owned(),
            reason: (*reason).to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(created),
        });
        ObjectView {
            uid: "uid".into(),
            namespace: "n".into(),
            name: "o".into(),
            resource_version: "1".into(),
            generation: 1,
            created,
            deleting: false,
            spec: Err(MalformedSpec {
                message: "not looked at".into(),
            }),
            status: CancellationStatus {
                conditions: conditions.collect(),
                start_time: started_after
                    .map(|seconds| Time(created + SignedDuration::from_secs(seconds))),
                ..CancellationStatus::default()
            },
        }
    }

    #[test]
    fn what_it_waits_for_is_what_its_conditions_say() {
        const SUSPENDED: (&str, &str, &str) = ("CancelRequested", "False", "Suspended");
        const TAKEN: (&str, &str, &str) = ("CancelRequested", "True", "Accepted");
        for (conditions, state, phase) in [
            (&[][..], NEW, Phase::Request),
            (&[("Ready", "Unknown", "NoGrant")], "NoGrant", Phase::OnHold),
            (&[SUSPENDED], "Suspended", Phase::OnHold),
            (
                &[SUSPENDED, ("Ready", "Unknown", "PermissionDenied")],
                "PermissionDenied",
                Phase::OnHold,
            ),
            (
                &[("Ready", "Unknown", "PermissionDenied")],
                "PermissionDenied",
                Phase::Request,
            ),
            (
                &[TAKEN, ("Ready", "Unknown", "Unavailable")],
                "Unavailable",
                Phase::Completion,
            ),
            (
                &[("Ready", "Unknown", "Refused")],
                "Refused",
                Phase::Completion,
            ),
            (
                &[("Ready", "Unknown", "FromTheFuture")],
                OTHER,
                Phase::Request,
            ),
        ] {
            let metrics = ObjectMetrics::new(&object(conditions, None), Arc::default());
            assert_eq!(metrics.phase(), phase, "{conditions:?}");
            assert_eq!(
                super::state(&object(conditions, None)),
                state,
                "{conditions:?}"
            );
        }
    }

    /// A tenant's own mistake neither pages the platform team nor counts against its objective.
    #[test]
    fn the_identity_of_a_tenant_has_states_of_its_own() {
        for (reason, kind, state, phase) in [
            (
                "Unauthenticated",
                "Operator",
                "Unauthenticated",
                Phase::Request,
            ),
            (
                "Unauthenticated",
                "ServiceAccount",
                TENANT_UNAUTHENTICATED,
                Phase::OnHold,
            ),
            (
                "ServiceAccountNotReady",
                "ServiceAccount",
                "ServiceAccountNotReady",
                Phase::OnHold,
            ),
            (
                "ImpersonationFailed",
                "ServiceAccount",
                "ImpersonationFailed",
                Phase::OnHold,
            ),
            // The platform's part, also if the API server or Google has an outage.
            (
                "TokenRequestFailed",
                "ServiceAccount",
                "TokenRequestFailed",
                Phase::Request,
            ),
            (
                "TokenExchangeFailed",
                "ServiceAccount",
                "TokenExchangeFailed",
                Phase::Request,
            ),
        ] {
            let mut object = object(&[("Ready", "Unknown", reason)], None);
            object.status.identity = Some(Identity {
                kind: kind.to_owned(),
                name: None,
                principal: None,
            });
            let metrics = ObjectMetrics::new(&object, Arc::default());
            assert_eq!(super::state(&object), state);
            assert_eq!(metrics.phase(), phase, "{reason} {kind}");
        }
    }

    #[test]
    fn who_was_held_back_is_remembered_over_a_restart() {
        for (started_after, held) in [(None, false), (Some(1), false), (Some(3600), true)] {
            let metrics = ObjectMetrics::new(&object(&[], started_after), Arc::default());
            assert_eq!(metrics.held, held, "{started_after:?}");
        }
    }
}
