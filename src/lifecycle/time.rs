//! Stored times: written in whole seconds, and read back only if they can be true.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Now, ObjectView};
use crate::api::{ConditionStatus, ConditionType};

/// A stored time further in the future than this was not written by a sane clock.
const TOLERATED_FUTURE: SignedDuration = SignedDuration::from_mins(5);

/// The time to store for something that happens now: whole seconds, never before the object's creation.
pub fn stored_now(object: &ObjectView, now: Now) -> Timestamp {
    let seconds = Timestamp::new(now.wall.as_second(), 0).unwrap_or(now.wall);
    seconds.max(object.created)
}

/// A stored time, unless it lies outside creation..now + 5 min: then it is as good as absent.
pub fn credible(stored: Option<&Time>, object: &ObjectView, now: Now) -> Option<Timestamp> {
    let time = stored?.0;
    let latest = now
        .wall
        .checked_add(TOLERATED_FUTURE)
        .unwrap_or(Timestamp::MAX);
    (object.created <= time && time <= latest).then_some(time)
}

/// How long ago a stored time was; zero if it lies ahead.
pub fn since(time: Timestamp, now: Now) -> Duration {
    Duration::try_from(now.wall.duration_since(time)).unwrap_or(Duration::ZERO)
}

/// Since when no grant has allowed the object: since the stored condition says so, else since now.
pub fn not_granted_since(object: &ObjectView, now: Now) -> Timestamp {
    let stored = object.status.conditions.iter().find(|condition| {
        condition.type_ == ConditionType::Authorized.name()
            && condition.status == ConditionStatus::False.name()
    });
    credible(
        stored.map(|condition| &condition.last_transition_time),
        object,
        now,
    )
    .unwrap_or_else(|| stored_now(object, now))
}
