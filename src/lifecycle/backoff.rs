//! How long to wait before the next call.

use std::time::Duration;

use super::Settings;
use crate::{backoff::doubling, google::quota};

/// First and longest delay after a temporary error.
const TEMPORARY_FIRST: Duration = Duration::from_millis(500);
const TEMPORARY_LONGEST: Duration = Duration::from_secs(60);
/// Full jitter may give no delay at all; a server in trouble gets at least this one.
const TEMPORARY_SHORTEST: Duration = Duration::from_millis(50);

/// IAM bindings take minutes to arrive, and every try is a line in an audit log.
const DENIED_FIRST: Duration = Duration::from_secs(30);
const DENIED_LONGEST: Duration = Duration::from_secs(300);

/// A status write that another write preceded.
const CONFLICT_FIRST: Duration = Duration::from_millis(100);
const CONFLICT_LONGEST: Duration = Duration::from_secs(10);

/// The delay to the next poll of an operation that has been waited for since `age`: 0.3 x age between `--min-poll` and
/// `--max-poll`, with 10 % jitter. So its end is seen at most 30 % late.
pub fn poll_pace(age: Duration, settings: &Settings, jitter: f64) -> Duration {
    let longest = settings.max_poll.max(settings.min_poll);
    around(age.mul_f64(0.3).clamp(settings.min_poll, longest), jitter)
}

/// How many GETs an object may have at once: after an edit, a GET comes at once.
pub const GETS_AT_ONCE: u32 = 5;

/// The time between GETs beyond [`GETS_AT_ONCE`], whatever edits of the object or its status ask for. Polls are never closer.
pub fn get_spacing(settings: &Settings) -> Duration {
    settings.min_poll.min(Duration::from_millis(500))
}

/// The delay after the `failures`-th temporary error in a row: full jitter, 0.5 s doubling to 60 s.
pub fn after_temporary_error(failures: u32, jitter: f64) -> Duration {
    doubling(TEMPORARY_FIRST, TEMPORARY_LONGEST, failures)
        .mul_f64(jitter.clamp(0.0, 1.0))
        .max(TEMPORARY_SHORTEST)
}

/// The delay after the `failures`-th denial in a row: 30 s doubling to 5 min, with 10 % jitter.
pub fn after_denial(failures: u32, jitter: f64) -> Duration {
    around(doubling(DENIED_FIRST, DENIED_LONGEST, failures), jitter)
        .clamp(DENIED_FIRST, DENIED_LONGEST)
}

/// The delay before the next intent after the `refusals`-th refusal: 30 s, 5 min, then 30 min.
pub const fn after_refusal(refusals: u32) -> Duration {
    Duration::from_secs(match refusals {
        0 | 1 => 30,
        2 => 300,
        _ => 1800,
    })
}

/// After a refusal the process whose request was refused sends the next one. Another process waits so much longer.
pub const BEHIND_OTHER_PROCESS: Duration = Duration::from_secs(60);

/// The delay after the `answers`-th GET that the endpoint does not serve, with no answer about the operation in between: 1, 2, 5,
/// then 30 s doubling to 5 min.
pub fn after_get_not_served(answers: u32, jitter: f64) -> Duration {
    match answers {
        0 | 1 => Duration::from_secs(1),
        2 => Duration::from_secs(2),
        3 => Duration::from_secs(5),
        more => after_denial(more - 3, jitter),
    }
}

/// The delays between cancel requests that the endpoint does not serve, so that six of them span ten minutes.
const CANCEL_NOT_SERVED: [u64; 5] = [10, 20, 90, 180, 300];

/// The delay after the `answers`-th cancel request in a row that the endpoint does not serve; `None` after the last one.
pub fn after_cancel_not_served(answers: u32) -> Option<Duration> {
    let index = usize::try_from(answers.saturating_sub(1)).ok()?;
    CANCEL_NOT_SERVED
        .get(index)
        .copied()
        .map(Duration::from_secs)
}

/// The delay after the first cancel request whose method the endpoint does not know; the second one is enough.
pub const AFTER_METHOD_NOT_FOUND: Duration = Duration::from_secs(10);

/// So many unreadable answers to cancel count as temporary errors; each further one counts as a refusal.
pub const UNREADABLE_AS_TEMPORARY: u32 = 4;

/// The delay after the `conflicts`-th conflict in a row: none for the first two, then 0.1 s doubling to 10 s.
pub fn after_conflict(conflicts: u32) -> Duration {
    match conflicts {
        0..=2 => Duration::ZERO,
        more => doubling(CONFLICT_FIRST, CONFLICT_LONGEST, more - 2),
    }
}

/// How long a process waits before it writes against another one.
const AGAINST_OTHER_WRITER: [Duration; 3] = [
    Duration::from_secs(15),
    Duration::from_secs(10 * 60),
    Duration::from_secs(4 * 3600),
];

/// What two processes wrote against each other is forgotten after this time without a write.
pub const OTHER_WRITER_FORGOTTEN: Duration = Duration::from_secs(4 * 3600);

/// The delay before progress is written if another writer changed the status: 15 s, 10 min, then 4 h if it did so again after a write
/// of this process.
pub fn after_other_writer(times: usize) -> Duration {
    let [.., longest] = AGAINST_OTHER_WRITER;
    let delay = AGAINST_OTHER_WRITER.get(times.saturating_sub(1));
    delay.copied().unwrap_or(longest)
}

/// The delay after the `failures`-th status write in a row that the API server refused.
pub fn after_failed_write(failures: u32, jitter: f64) -> Duration {
    around(
        doubling(CONFLICT_FIRST, TEMPORARY_LONGEST, failures),
        jitter,
    )
}

/// The longest delay while the API server is away. The caller limits how many requests are tried then.
const BUSY_LONGEST: Duration = Duration::from_secs(5);

/// The delay after the `failures`-th request to the API server in a row that got no answer, or the answer 429 or 5xx.
pub fn after_busy(failures: u32, jitter: f64) -> Duration {
    around(doubling(CONFLICT_FIRST, BUSY_LONGEST, failures), jitter)
}

/// The longest extra delay after a hold: the calls that one quota held back must not all come at once.
const LONGEST_SPREAD: Duration = Duration::from_secs(10);

/// When a held call is due: at the end of the hold or up to 10 s later, and always after `now`.
pub fn after_hold(until: Duration, now: Duration, jitter: f64) -> Duration {
    let hold = until.saturating_sub(now).max(Duration::from_millis(1));
    now.saturating_add(hold)
        .saturating_add(hold.min(LONGEST_SPREAD).mul_f64(jitter.clamp(0.0, 1.0)))
}

/// Polls are reserved no further ahead than this: the rate may grow until then, and reservations of finished objects are lost.
pub const RESERVED_AHEAD: Duration = Duration::from_secs(60);

/// The delay before a poll that could not be reserved is tried again: half a minute to a minute.
pub fn after_no_reservation(jitter: f64) -> Duration {
    RESERVED_AHEAD.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

/// The longest `Retry-After` that is accepted.
pub const LONGEST_RETRY_AFTER: Duration = quota::MAX_HOLD;

/// 10 % more or less.
fn around(delay: Duration, jitter: f64) -> Duration {
    delay.mul_f64(0.9 + 0.2 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn polls_slow_down_with_age() {
        let settings = Settings::default();
        for (age, delay) in [
            (0, 500),
            (1000, 500),
            (10_000, 3000),
            (100_000, 30_000),
            (1_000_000, 60_000),
        ] {
            let pace = poll_pace(Duration::from_millis(age), &settings, 0.5);
            assert_eq!(pace.as_millis(), delay, "age {age} ms");
        }
        assert_eq!(
            poll_pace(s(10), &settings, 0.0),
            Duration::from_millis(2700)
        );
        assert!(poll_pace(Duration::MAX / 4, &settings, 0.999) <= s(66));
    }

    #[test]
    fn a_longest_poll_below_the_shortest_does_not_panic() {
        let settings = Settings {
            min_poll: s(2),
            max_poll: s(1),
            ..Settings::default()
        };
        assert_eq!(poll_pace(s(100), &settings, 0.5), s(2));
    }

    #[test]
    fn temporary_errors_double_to_a_minute() {
        assert_eq!(after_temporary_error(1, 1.0), Duration::from_millis(500));
        assert_eq!(after_temporary_error(4, 1.0), s(4));
        assert_eq!(after_temporary_error(u32::MAX, 1.0), s(60));
        assert_eq!(after_temporary_error(9, 0.0), TEMPORARY_SHORTEST);
    }

    #[test]
    fn denials_stay_between_half_a_minute_and_five() {
        assert_eq!(after_denial(1, 0.0), s(30));
        assert_eq!(after_denial(2, 0.5), s(60));
        assert_eq!(after_denial(40, 1.0), s(300));
    }

    #[test]
    fn what_is_not_served_is_asked_ever_more_rarely() {
        let gets: Vec<_> = (1..=8)
            .map(|n| after_get_not_served(n, 0.5).as_secs())
            .collect();
        assert_eq!(gets, [1, 2, 5, 30, 60, 120, 240, 300]);
        let cancels: Vec<_> = (1..).map_while(after_cancel_not_served).collect();
        assert_eq!(cancels.len() + 1, 6);
        assert_eq!(cancels.iter().sum::<Duration>(), s(600));
    }

    #[test]
    fn holds_are_spread_after_their_end() {
        assert_eq!(after_hold(s(100), s(60), 0.0), s(100));
        assert_eq!(after_hold(s(100), s(60), 1.0), s(110));
        assert_eq!(after_hold(s(62), s(60), 0.5), s(63));
        assert!(after_hold(s(10), s(60), 0.0) > s(60));
    }

    #[test]
    fn two_conflicts_cost_no_time() {
        let delays: Vec<_> = (0..6).map(|n| after_conflict(n).as_millis()).collect();
        assert_eq!(delays, [0, 0, 0, 100, 200, 400]);
        assert_eq!(after_conflict(u32::MAX), s(10));
    }
}
