//! When the end of an operation that was cancelled is looked for. A running operation was given for it, and cannot be
//! given again: so looking goes on after whatever may pass, and the last look is at the end of the wait.

use std::time::Duration;

use tokio::time::Instant;

use super::{plan::MAX_POLLS, seen::Seen};
use opcancel::google::answer::ErrorKind;

/// So many NOT_FOUND in a row are believed: with [`MAX_POLLS`] looks, about a fifth of the wait, which is also what the
/// controller gives an operation that was seen before.
const GONE: u32 = 5;

/// The looks that are left.
#[derive(Debug)]
pub struct Looks {
    pause: Duration,
    until: Instant,
    left: u32,
    not_found: u32,
}

impl Looks {
    /// As the first of them leaves. `wait` is how long the end is waited for.
    pub fn new(wait: Duration, now: Instant) -> Self {
        Self {
            pause: wait / (MAX_POLLS - 1),
            until: now + wait,
            left: MAX_POLLS,
            not_found: 0,
        }
    }

    /// When to look again after what the last look showed; none if the end was seen or can no longer be, or if the last
    /// look left at the end of the wait.
    pub fn next(&mut self, seen: &Seen, now: Instant) -> Option<Instant> {
        self.left = self.left.saturating_sub(1);
        let not_found = matches!(seen.answer, Some(Err(ErrorKind::NotFound)));
        self.not_found = if not_found { self.not_found + 1 } else { 0 };
        if self.left == 0 || self.not_found >= GONE || !may_still_end(seen) {
            return None;
        }
        let next = now + self.pause;
        if self.left > 1 && next < self.until {
            return Some(next);
        }
        // An answer may have come so late that the end of the wait has passed: that look did not see it.
        self.left = 1;
        Some(self.until.max(now))
    }
}

/// Whether it runs, or the answer is none that could last.
fn may_still_end(seen: &Seen) -> bool {
    if seen.is_throttled() {
        return false;
    }
    match &seen.answer {
        Some(Ok(operation)) => !(operation.done && seen.is_about_what_was_asked()),
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

    fn seen(kind: ErrorKind) -> Seen {
        Seen {
            answer: Some(Err(kind)),
            ..Seen::default()
        }
    }

    proptest! {
        /// However long the answers take.
        #[test]
        fn the_last_look_is_at_the_end_of_the_wait(
            wait in 1_u64..600_000, took in proptest::collection::vec(0_u64..60_000, 40),
        ) {
            let (start, wait) = (Instant::now(), Duration::from_millis(wait));
            let mut looks = Looks::new(wait, start);
            let mut times = vec![start];
            for took in took {
                let last = *times.last().unwrap();
                prop_assert!(last <= start + wait + Duration::from_secs(60));
                let answered = last + Duration::from_millis(took);
                let Some(next) = looks.next(&seen(ErrorKind::Unavailable), answered) else {
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
    fn prompt_answers_leave_looks_until_the_very_end() {
        let (start, wait) = (Instant::now(), Duration::from_secs(300));
        let mut looks = Looks::new(wait, start);
        let mut times = vec![start];
        while let Some(next) = looks.next(&seen(ErrorKind::Unavailable), *times.last().unwrap()) {
            times.push(next);
        }
        assert_eq!(times.len(), MAX_POLLS as usize);
        assert_eq!(*times.last().unwrap(), start + wait);
    }

    #[test]
    fn what_is_not_there_for_some_looks_is_gone() {
        let start = Instant::now();
        let mut looks = Looks::new(Duration::from_secs(300), start);
        let mut look = |kind| looks.next(&seen(kind), start).is_some();
        for _ in 1..GONE {
            assert!(look(ErrorKind::NotFound));
        }
        assert!(look(ErrorKind::Unavailable), "not in a row");
        for _ in 1..GONE {
            assert!(look(ErrorKind::NotFound));
        }
        assert!(!look(ErrorKind::NotFound));
    }
}
