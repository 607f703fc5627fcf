//! How long to wait before the next call.

use std::time::Duration;

use jiff::Timestamp;

use super::Settings;
use crate::google::throttle;

/// First and longest delay after a passing error.
const PASSING_FIRST: Duration = Duration::from_millis(500);
const PASSING_LONGEST: Duration = Duration::from_secs(60);
/// A full jitter may come out as nothing; a server in trouble gets at least this much rest.
const PASSING_SHORTEST: Duration = Duration::from_millis(50);

/// IAM bindings take minutes to arrive, and each try shows up in somebody's audit log.
const DENIED_FIRST: Duration = Duration::from_secs(30);
const DENIED_LONGEST: Duration = Duration::from_secs(300);

/// A status write that lost a race.
const CONFLICT_FIRST: Duration = Duration::from_millis(100);
const CONFLICT_LONGEST: Duration = Duration::from_secs(10);

/// The delay to the next poll of an operation that has been under way for `age`: 0.3 x age between `--min-poll` and
/// `--max-poll`, with 10 % jitter, so that its end is seen at most 30 % late.
pub fn poll_pace(age: Duration, settings: &Settings, jitter: f64) -> Duration {
    let longest = settings.max_poll.max(settings.min_poll);
    around(age.mul_f64(0.3).clamp(settings.min_poll, longest), jitter)
}

/// The delay after the `failures`-th passing error in a row: full jitter, 0.5 s doubling to 60 s.
pub fn after_passing_error(failures: u32, jitter: f64) -> Duration {
    doubling(PASSING_FIRST, PASSING_LONGEST, failures)
        .mul_f64(jitter.clamp(0.0, 1.0))
        .max(PASSING_SHORTEST)
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

/// The delay after the `conflicts`-th lost race in a row: none for the first two, then 0.1 s doubling to 10 s.
pub fn after_conflict(conflicts: u32) -> Duration {
    match conflicts {
        0..=2 => Duration::ZERO,
        more => doubling(CONFLICT_FIRST, CONFLICT_LONGEST, more - 2),
    }
}

/// The delay after the `failures`-th status write in a row that the API server did not take.
pub fn after_failed_write(failures: u32, jitter: f64) -> Duration {
    around(doubling(CONFLICT_FIRST, PASSING_LONGEST, failures), jitter)
}

/// The delay after RESOURCE_EXHAUSTED: what the server asks for, else to the next full minute of the wall clock (quotas
/// are counted by the minute) plus up to 10 s.
pub fn after_used_up_quota(
    retry_after: Option<Duration>,
    wall: Timestamp,
    jitter: f64,
) -> Duration {
    let asked = retry_after.map(|delay| delay.clamp(throttle::MIN_HOLD, throttle::MAX_HOLD));
    asked.unwrap_or_else(|| {
        let into_minute = u64::try_from(wall.as_millisecond().rem_euclid(60_000)).unwrap_or(0);
        Duration::from_millis(60_000 - into_minute)
            + Duration::from_secs(10).mul_f64(jitter.clamp(0.0, 1.0))
    })
}

/// `first` doubled for every failure after the first, up to `longest`.
fn doubling(first: Duration, longest: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    first.saturating_mul(1 << doublings).min(longest)
}

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
    fn passing_errors_double_to_a_minute() {
        assert_eq!(after_passing_error(1, 1.0), Duration::from_millis(500));
        assert_eq!(after_passing_error(4, 1.0), s(4));
        assert_eq!(after_passing_error(u32::MAX, 1.0), s(60));
        assert_eq!(after_passing_error(9, 0.0), PASSING_SHORTEST);
    }

    #[test]
    fn denials_stay_between_half_a_minute_and_five() {
        assert_eq!(after_denial(1, 0.0), s(30));
        assert_eq!(after_denial(2, 0.5), s(60));
        assert_eq!(after_denial(40, 1.0), s(300));
    }

    #[test]
    fn quotas_are_counted_by_the_minute() {
        let wall = Timestamp::new(120 + 45, 0).unwrap();
        assert_eq!(after_used_up_quota(None, wall, 0.0), s(15));
        assert_eq!(after_used_up_quota(None, wall, 1.0), s(25));
        assert_eq!(after_used_up_quota(Some(s(3)), wall, 0.5), s(3));
        assert_eq!(after_used_up_quota(Some(Duration::MAX), wall, 0.5), s(3600));
        assert_eq!(after_used_up_quota(Some(Duration::ZERO), wall, 0.5), s(1));
    }

    #[test]
    fn two_lost_races_cost_no_time() {
        let delays: Vec<_> = (0..6).map(|n| after_conflict(n).as_millis()).collect();
        assert_eq!(delays, [0, 0, 0, 100, 200, 400]);
        assert_eq!(after_conflict(u32::MAX), s(10));
    }
}
