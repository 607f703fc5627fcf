//! The step, broken on purpose: each mutant changes what goes into the step, or what comes out of it.

use std::time::Duration;

use strum::{EnumIter, IntoEnumIterator};

use super::{
    flight::GetKind,
    scenario::{Budget, Scenario},
};
use crate::google::answer::ErrorKind;
use crate::lifecycle::{
    Cancellation, Context, Effect, Event, Grant, Plan, WriteAnswer, WriteKind,
    cancellation::CancelState, ending::Ending,
};

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter)]
pub enum Mutant {
    /// The request leaves before its intent is stored.
    SkipsIntent,
    /// The intent does not raise the number.
    IntentRaisesNothing,
    /// An intent whose answer was lost counts as stored.
    TrustsLostIntent,
    /// An intent of another process counts as an own one.
    TakesForeignIntent,
    /// An accepted request counts as the end of the operation.
    TrustsAnswerToCancel,
    /// Writes do not name the version that they change.
    WithoutGuard,
    /// A request is repeated without a GET.
    PostsWithoutLook,
    /// A GET that began before the answer to cancel counts.
    BelievesStaleGet,
    /// Time in which the object is suspended counts.
    CountsSuspendedTime,
    /// A missing grant does not matter.
    IgnoresGrants,
    /// A stored outcome does not matter.
    IgnoresOutcome,
    /// An object of the same name counts as the same object.
    IgnoresUid,
    /// The deadline ends an object without a last GET.
    EndsWithoutLastGet,
    /// NOT_FOUND counts at once.
    BelievesNotFound,
    /// The start is forgotten when the process starts.
    ForgetsStart,
    /// `observedGeneration` is not kept.
    ForgetsGeneration,
    /// Conditions of other writers are dropped.
    DropsConditions,
    /// A wake-up is forgotten while the operation is polled.
    ForgetsPoll,
    /// The deadline is forgotten.
    ForgetsDeadline,
    /// An object is not read again after a write whose answer was lost.
    DoesNotReread,
    /// A deletion is not noticed.
    IgnoresDeletion,
}

/// All of them.
pub fn mutants() -> Vec<Mutant> {
    Mutant::iter().collect()
}

impl Mutant {
    /// Where it shows: as little as possible besides.
    pub fn scenario(self) -> Scenario {
        let (processes, budget) = match self {
            Self::SkipsIntent
            | Self::IntentRaisesNothing
            | Self::TrustsAnswerToCancel
            | Self::EndsWithoutLastGet
            | Self::ForgetsStart
            | Self::ForgetsPoll
            | Self::ForgetsDeadline => (1, Budget::default()),
            Self::TrustsLostIntent | Self::DoesNotReread => (
                1,
                Budget {
                    writes: 1,
                    ..Budget::default()
                },
            ),
            Self::PostsWithoutLook | Self::BelievesNotFound | Self::ForgetsGeneration => (
                1,
                Budget {
                    answers: 1,
                    ..Budget::default()
                },
            ),
            Self::BelievesStaleGet => (
                1,
                Budget {
                    answers: 1,
                    slow: 2,
                    ..Budget::default()
                },
            ),
            Self::CountsSuspendedTime => (
                1,
                Budget {
                    edits: 2,
                    ..Budget::default()
                },
            ),
            Self::IgnoresGrants => (
                1,
                Budget {
                    grants: 1,
                    ..Budget::default()
                },
            ),
            Self::IgnoresUid | Self::IgnoresDeletion => (
                1,
                Budget {
                    deletions: 1,
                    stale: 1,
                    ..Budget::default()
                },
            ),
            Self::TakesForeignIntent
            | Self::WithoutGuard
            | Self::IgnoresOutcome
            | Self::DropsConditions => (2, Budget::default()),
        };
        Scenario {
            name: "a mutant",
            processes,
            newer: self == Self::DropsConditions,
            get_errors: &[ErrorKind::NotFound],
            budget,
            ..Scenario::base()
        }
    }

    /// Changes the event or the context.
    pub fn event(self, event: Event, state: &Cancellation, context: &mut Context<'_>) -> Event {
        if self == Self::IgnoresGrants {
            context.grant = Grant::Granted;
        }
        match (self, event) {
            (Self::TrustsLostIntent, Event::WriteAnswered(WriteAnswer::Unconfirmed))
                if is_intent(state) =>
            {
                let mut object = state.object.clone();
                object.status.cancel_attempts = Some(object.cancel_attempts() + 1);
                object.status.cancel_attempted_by = Some(context.holder.to_owned());
                object.resource_version.push('0');
                Event::WriteAnswered(WriteAnswer::Written(Box::new(object)))
            }
            (Self::TakesForeignIntent, Event::WriteAnswered(WriteAnswer::Conflict(mut object)))
                if is_intent(state)
                    && object.cancel_attempts() > state.object.cancel_attempts() =>
            {
                object.status.cancel_attempted_by = Some(context.holder.to_owned());
                Event::WriteAnswered(WriteAnswer::Written(object))
            }
            (Self::IntentRaisesNothing, Event::WriteAnswered(WriteAnswer::Written(mut object)))
                if is_intent(state) =>
            {
                let expected = state.write.in_flight.as_ref().map(|write| write.attempts);
                object.status.cancel_attempts = expected;
                Event::WriteAnswered(WriteAnswer::Written(object))
            }
            (Self::IgnoresOutcome, Event::Watched(mut object)) => {
                object.status.outcome = None;
                Event::Watched(object)
            }
            (Self::IgnoresOutcome, Event::WriteAnswered(WriteAnswer::Conflict(mut object))) => {
                object.status.outcome = None;
                Event::WriteAnswered(WriteAnswer::Conflict(object))
            }
            (Self::IgnoresUid, Event::Reread(Some(mut object))) => {
                object.uid.clone_from(&state.object.uid);
                Event::Reread(Some(object))
            }
            (Self::IgnoresUid, Event::WriteAnswered(WriteAnswer::Conflict(mut object))) => {
                object.uid.clone_from(&state.object.uid);
                Event::WriteAnswered(WriteAnswer::Conflict(object))
            }
            (Self::IgnoresDeletion, Event::Watched(mut object)) => {
                object.deleting = false;
                Event::Watched(object)
            }
            (_, event) => event,
        }
    }

    /// Changes the state and what to do.
    pub fn after(
        self,
        before: &Cancellation,
        state: &mut Cancellation,
        plan: &mut Plan,
        context: &Context<'_>,
    ) {
        match self {
            Self::SkipsIntent => {
                let intent = plan.effects.iter().find_map(|effect| match effect {
                    Effect::Write(write) if write.kind == WriteKind::Intent => Some(write.attempts),
                    _ => None,
                });
                if let Some(attempt) = intent {
                    plan.effects.push(Effect::Cancel { attempt });
                    state.post.in_flight = true;
                    state.cancel = CancelState::Sending;
                }
            }
            Self::IntentRaisesNothing => {
                for effect in &mut plan.effects {
                    if let Effect::Write(write) = effect
                        && write.kind == WriteKind::Intent
                    {
                        write.status.cancel_attempts = state.object.status.cancel_attempts;
                    }
                }
            }
            Self::TrustsAnswerToCancel => {
                if matches!(state.cancel, CancelState::Accepted { .. })
                    && state.ending.is_none()
                    && let Ok(operation) = GetKind::Cancelled.answer()
                {
                    state.ending = Ending::of(&operation);
                    plan.wake_at = Some(context.now.mono + Duration::from_millis(1));
                }
            }
            Self::PostsWithoutLook => state.post.must_see_running = false,
            Self::BelievesStaleGet => {
                if let Some(get) = &mut state.get.in_flight {
                    get.stale = false;
                }
            }
            Self::CountsSuspendedTime => state.started = state.started.or(before.started),
            Self::EndsWithoutLastGet => {
                let is_final = |effect: &Effect| {
                    matches!(
                        effect,
                        Effect::Get {
                            regardless_of_quota: true,
                            ..
                        }
                    )
                };
                if plan.effects.iter().any(is_final) {
                    plan.effects.retain(|effect| !is_final(effect));
                    state.get.in_flight = None;
                    state.end(Ending::without_result(crate::api::Outcome::Unknown));
                    plan.wake_at = Some(context.now.mono + Duration::from_millis(1));
                }
            }
            Self::BelievesNotFound => {
                if state.get.not_found_since.is_some() {
                    state.end(Ending::without_result(crate::api::Outcome::NotFound));
                    plan.wake_at = Some(context.now.mono + Duration::from_millis(1));
                }
            }
            Self::ForgetsStart => state.started = None,
            Self::ForgetsGeneration => {
                for effect in &mut plan.effects {
                    if let Effect::Write(write) = effect
                        && write.kind == WriteKind::Intent
                    {
                        write.status.observed_generation = Some(-1);
                    }
                }
            }
            Self::DropsConditions => {
                for effect in &mut plan.effects {
                    if let Effect::Write(write) = effect {
                        let known = crate::api::ConditionType::ALL;
                        write.status.conditions.retain(|condition| {
                            known.iter().any(|known| known.name() == condition.type_)
                        });
                    }
                }
            }
            Self::ForgetsPoll => {
                if matches!(state.cancel, CancelState::Accepted { .. }) {
                    plan.wake_at = None;
                }
            }
            Self::ForgetsDeadline => {
                if let Ok(spec) = &mut state.object.spec {
                    spec.deadline = Duration::from_secs(1_000_000);
                }
            }
            Self::DoesNotReread => {
                plan.effects
                    .retain(|effect| !matches!(effect, Effect::Reread));
            }
            Self::IgnoresUid
            | Self::TrustsLostIntent
            | Self::TakesForeignIntent
            | Self::WithoutGuard
            | Self::IgnoresGrants
            | Self::IgnoresOutcome
            | Self::IgnoresDeletion => {}
        }
    }
}

fn is_intent(state: &Cancellation) -> bool {
    let write = state.write.in_flight.as_ref();
    write.is_some_and(|write| write.kind == WriteKind::Intent)
}
