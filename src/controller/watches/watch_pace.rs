//! A watch that ends as soon as it is begun is not begun again and again without a pause.
//!
//! kube's watcher begins the next watch at once when one ends, without a word: a proxy or an API server that closes each at once
//! would be asked thousands of times a second.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{backoff::doubling, controller::complaint::Complaint};

/// A watch that lasts less has ended at once. The API server ends one after a minute.
const SHORT: Duration = Duration::from_secs(1);

/// So many short ones in a row are everyday life: a connection that went away, an API server that is restarted.
const EVERYDAY: u32 = 2;

/// The pauses after more of them.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The last watch of each URL path.
#[derive(Debug, Default)]
pub struct WatchPace(Mutex<BTreeMap<String, Last>>);

#[derive(Debug)]
struct Last {
    begun: Instant,
    /// In a row.
    short: u32,
    complaint: Complaint,
}

/// When a watch may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// After this pause.
    pub pause: Duration,
    /// The one before had ended at once.
    pub after_short: bool,
}

impl WatchPace {
    /// A watch of this path is to begin; says in the log if those before it end at once.
    pub fn begin(&self, path: &str, now: Instant) -> Begin {
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = watches.get_mut(path) else {
            let first = Last {
                begun: now,
                short: 0,
                complaint: Complaint::default(),
            };
            watches.insert(path.to_owned(), first);
            return Begin {
                pause: Duration::ZERO,
                after_short: false,
            };
        };
        let after_short = now.saturating_duration_since(last.begun) < SHORT;
        last.short = match after_short {
            true => last.short.saturating_add(1),
            false => 0,
        };
        let pause = match last.short.checked_sub(EVERYDAY + 1) {
            Some(beyond) => doubling(FIRST_PAUSE, LONGEST_PAUSE, beyond.saturating_add(1)),
            None => Duration::ZERO,
        };
        if pause.is_zero() {
            last.complaint
                .cured(&format!("the watch of {path} lasts again"));
        } else {
            last.complaint.say(&format!(
                "the watch of {path} ends as soon as it is begun; the API server, or a proxy before it, closes it"
            ));
        }
        last.begun = now + pause;
        Begin { pause, after_short }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_ends_at_once_is_begun_ever_more_seldom() {
        let (pace, start) = (WatchPace::default(), Instant::now());
        let mut now = start;
        let mut pauses = Vec::new();
        while now < start + Duration::from_secs(3600) {
            now += Duration::from_millis(1);
            let begin = pace.begin("/a", now);
            assert_eq!(begin.after_short, !pauses.is_empty());
            pauses.push(begin.pause);
            now += begin.pause;
        }
        assert!(pauses.len() < 140, "{}", pauses.len());
        assert_eq!(pauses[..3], [Duration::ZERO; 3], "everyday life");
        assert_eq!(pauses[3], FIRST_PAUSE);
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
        assert_eq!(pace.begin("/b", now).pause, Duration::ZERO, "another one");
        now += Duration::from_secs(60);
        assert_eq!(pace.begin("/a", now).pause, Duration::ZERO, "it lasted");
    }
}
