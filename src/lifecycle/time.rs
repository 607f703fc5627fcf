//! Stored times and elapsed times.
//!
//! Stored times have whole seconds and are believed only if they are plausible. A stored time is compared with the wall clock
//! once, when the process reads it. From then on only the monotonic clock counts, so a step of the wall clock ends nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

use super::{Now, ObjectView};
use crate::api::{ConditionStatus, ConditionType};

/// A stored time further in the future than this is not believed.
const TOLERATED_FUTURE: SignedDuration = SignedDuration::from_mins(5);

/// The time to store for something that happens now: whole seconds, never before the object's creation.
pub fn stored_now(object: &ObjectView, now: Now) -> Timestamp {
    let seconds = Timestamp::new(now.wall.as_second(), 0).unwrap_or(now.wall);
    seconds.max(object.created)
}

/// A stored time; `None` if it is absent or not between the creation and five minutes from now.
pub fn credible(stored: Option<&Time>, object: &ObjectView, now: Now) -> Option<Timestamp> {
    let time = stored?.0;
    let latest = now
        .wall
        .checked_add(TOLERATED_FUTURE)
        .unwrap_or(Timestamp::MAX);
    (object.created <= time && time <= latest).then_some(time)
}

/// A moment in the past, as it is stored and on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// As stored.
    pub stored: Timestamp,
    /// The same moment on the monotonic clock, in microseconds; negative if it was before the process began.
    mono: i64,
}

impl Since {
    /// Now.
    pub fn now(object: &ObjectView, now: Now) -> Self {
        Self::stored_just_now(stored_now(object, now), now)
    }

    /// Now, as this process has just stored it.
    pub fn stored_just_now(stored: Timestamp, now: Now) -> Self {
        Self {
            stored,
            mono: micros(now.mono),
        }
    }

    /// A stored time that the process reads now. The wall clock says how long ago it was; no time has passed if it is in the future.
    pub fn learnt(stored: Timestamp, now: Now) -> Self {
        let passed = Duration::try_from(now.wall.duration_since(stored)).unwrap_or(Duration::ZERO);
        Self {
            stored,
            mono: micros(now.mono).saturating_sub(micros(passed)),
        }
    }

    /// How long ago it was. A step of the wall clock does not change it.
    pub fn passed(self, now: Now) -> Duration {
        let passed = micros(now.mono).saturating_sub(self.mono);
        Duration::from_micros(u64::try_from(passed).unwrap_or(0))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Since when no grant has allowed the object: since the stored condition turned False, or else since now.
pub fn not_granted_since(object: &ObjectView, now: Now) -> Since {
    let stored = object.status.conditions.iter().find(|condition| {
        condition.type_ == ConditionType::Authorized.name()
            && condition.status == ConditionStatus::False.name()
    });
    credible(
        stored.map(|condition| &condition.last_transition_time),
        object,
        now,
    )
    .map_or_else(
        || Since::now(object, now),
        |stored| Since::learnt(stored, now),
    )
}
