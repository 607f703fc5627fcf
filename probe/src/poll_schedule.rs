//! When to poll for the end of an operation that was cancelled. The running operation was sacrificed for this row, so polling
//! goes on after every answer that may be temporary, and the last poll is at the end of the wait.

use std::time::Duration;

use tokio::time::Instant;

use super::{observation::ObservedAnswer, step::MAX_POLLS};
use opcancel::google::answer::ErrorKind;

/// This many NOT_FOUND in a row mean that the operation is gone: with [`MAX_POLLS`] polls about a fifth of the wait, the same as
/// the controller allows for an operation that it has seen before.
const GONE: u32 = 5;

/// The polls that are left.
#[derive(Debug)]
pub struct PollSchedule {
    pause: Duration,
    until: Instant,
    left: u32,
    not_found: u32,
}

impl PollSchedule {
    /// Call it when the first poll is sent. `wait` is how long to wait for the end.
    pub fn new(wait: Duration, now: Instant) -> Self {
        Self {
            pause: wait / (MAX_POLLS - 1),
            until: now + wait,
            left: MAX_POLLS,
            not_found: 0,
        }
    }

    /// When to poll again after the answer to the last poll. `None` if the operation has ended or cannot end any more, or if
    /// the last poll was sent at the end of the wait.
    pub fn next(&mut self, observed: &ObservedAnswer, now: Instant) -> Option<Instant> {
        self.left = self.left.saturating_sub(1);
        let not_found = matches!(observed.answer, Some(Err(ErrorKind::NotFound)));
        self.not_found = if not_found { self.not_found + 1 } else { 0 };
        if self.left == 0 || self.not_found >= GONE || !may_still_end(observed) {
            return None;
        }
        let next = now + self.pause;
        if self.left > 1 && next < self.until {
            return Some(next);
        }
        // The answer may have arrived after the end of the wait; that poll did not see the end.
        self.left = 1;
        Some(self.until.max(now))
    }
}

/// Whether the operation still runs, or the answer may be temporary.
fn may_still_end(observed: &ObservedAnswer) -> bool {
    if observed.is_throttled() {
        return false;
    }
    match &observed.answer {
        Some(Ok(operation)) => !(operation.done && observed.is_about_what_was_asked()),
        Some(Err(kind)) => !matches!(
            kind,
            ErrorKind::Unauthenticated | ErrorKind::PermissionDenied
        ),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn failed(kind: ErrorKind) -> ObservedAnswer {
        ObservedAnswer {
            answer: Some(Err(kind)),
            ..ObservedAnswer::default()
        }
    }

    proptest! {
        /// However long the answers take.
        #[test]
        fn the_last_poll_is_at_the_end_of_the_wait(
            wait in 1_u64..600_000, took in proptest::collection::vec(0_u64..60_000, 40),
        ) {
            let (start, wait) = (Instant::now(), Duration::from_millis(wait));
            let mut schedule = PollSchedule::new(wait, start);
            let mut times = vec![start];
            for took in took {
                let last = *times.last().unwrap();
                prop_assert!(last <= start + wait + Duration::from_secs(60));
                let answered = last + Duration::from_millis(took);
                let Some(next) = schedule.next(&failed(ErrorKind::Unavailable), answered) else {
                    break;
                };
                prop_assert!(next >= answered);
                times.push(next);
            }
            prop_assert!(times.len() <= MAX_POLLS as usize, "{}", times.len());
            prop_assert!(*times.last().unwrap() >= start + wait);
        }
    }

    #[test]
    fn prompt_answers_leave_polls_until_the_very_end() {
        let (start, wait) = (Instant::now(), Duration::from_secs(300));
        let mut schedule = PollSchedule::new(wait, start);
        let mut times = vec![start];
        while let Some(next) =
            schedule.next(&failed(ErrorKind::Unavailable), *times.last().unwrap())
        {
            times.push(next);
        }
        assert_eq!(times.len(), MAX_POLLS as usize);
        assert_eq!(*times.last().unwrap(), start + wait);
    }

    #[test]
    fn what_is_missing_for_several_polls_is_gone() {
        let start = Instant::now();
        let mut schedule = PollSchedule::new(Duration::from_secs(300), start);
        let mut polls_again = |kind| schedule.next(&failed(kind), start).is_some();
        for _ in 1..GONE {
            assert!(polls_again(ErrorKind::NotFound));
        }
        assert!(polls_again(ErrorKind::Unavailable), "not in a row");
        for _ in 1..GONE {
            assert!(polls_again(ErrorKind::NotFound));
        }
        assert!(!polls_again(ErrorKind::NotFound));
    }
}
