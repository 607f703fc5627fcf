//! How fast operations are polled under a quota that was used up. Pure.
//!
//! Some services count GET and POST in one quota (Dialogflow: "all other requests per minute"). If polls used all of it, a new
//! cancel would wait for the next full minute together with them. So each RESOURCE_EXHAUSTED halves the rate of polls. It grows
//! again slowly, up to four fifths of what the quota was seen to take: a fifth stays free for cancels and first looks.
//!
//! Polls get places in time, evenly spaced. Namespaces share the rate: each has places of its own.

use std::{collections::HashMap, time::Duration};

const MINUTE: Duration = Duration::from_secs(60);

/// The share of the quota that polls may use.
const POLLS_SHARE: f64 = 0.8;

/// By how much of what the quota takes the rate grows in a minute.
const GROWTH: f64 = 0.05;

/// By how much the estimate of what the quota takes grows in a minute, so that a raised quota is noticed in the end.
const DISCOVERY: f64 = 0.01;

/// Polls a minute, at least.
const LOWEST: f64 = 1.0;

/// What a quota is taken for if few calls were made: whoever used it up was somebody else.
const LEAST_CAPACITY: f64 = 60.0;

/// A quota that was not used up for so long is polled freely: what it takes is learnt anew if it ever is again. An estimate from a
/// time when others used the quota up does not slow polls down for ever.
const KEPT: Duration = Duration::from_secs(3600);

/// Most namespaces whose places are remembered. Beyond it they are forgotten, at the price of a few more 429s.
const MAX_NAMESPACES: usize = 4096;

/// The rate of polls under one quota.
#[derive(Debug)]
pub(super) struct PollRate {
    /// Calls a minute that the quota was seen to take.
    capacity: f64,
    /// Polls a minute, as of `since`.
    rate: f64,
    since: Duration,
    /// When each namespace's next poll may be made; those whose time has passed are not needed.
    next: HashMap<String, Duration>,
}

impl PollRate {
    /// After a first RESOURCE_EXHAUSTED, with so many calls taken in the minute before.
    pub fn new(taken: u32, now: Duration) -> Self {
        let capacity = f64::from(taken).max(LEAST_CAPACITY);
        Self {
            capacity,
            rate: (capacity / 2.0).max(LOWEST),
            since: now,
            next: HashMap::new(),
        }
    }

    /// After another one. Those of one burst count once.
    pub fn exhausted(&mut self, taken: u32, now: Duration) {
        if now.saturating_sub(self.since) < MINUTE {
            return;
        }
        let rate = self.rate(now);
        // Few calls may have been taken because few were made.
        self.capacity = f64::from(taken)
            .max(self.capacity / 2.0)
            .max(LEAST_CAPACITY);
        self.rate = (rate.min(self.capacity) / 2.0).max(LOWEST);
        self.since = now;
    }

    /// Polls a minute now.
    fn rate(&self, now: Duration) -> f64 {
        let minutes = now.saturating_sub(self.since).as_secs_f64() / 60.0;
        let ceiling = self.capacity * POLLS_SHARE * DISCOVERY.mul_add(minutes, 1.0);
        let grown = (self.capacity * GROWTH)
            .max(LOWEST / 2.0)
            .mul_add(minutes, self.rate);
        grown.min(ceiling.max(LOWEST))
    }

    /// When the next poll for a namespace may be made.
    pub fn next(&self, namespace: &str, now: Duration) -> Duration {
        self.next.get(namespace).copied().unwrap_or(now).max(now)
    }

    /// A poll for a namespace has its place.
    pub fn reserve(&mut self, namespace: &str, now: Duration) {
        self.next.retain(|_, at| *at > now);
        if self.next.len() >= MAX_NAMESPACES {
            self.next.clear();
        }
        let others = self.next.keys().filter(|of| *of != namespace).count();
        let spacing = MINUTE
            .div_f64(self.rate(now))
            .saturating_mul(u32::try_from(others + 1).unwrap_or(u32::MAX));
        let place = self.next(namespace, now);
        self.next
            .insert(namespace.to_owned(), place.saturating_add(spacing));
    }

    /// Whether polls still keep to it.
    pub fn is_in_force(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) < KEPT
    }
}

/// How many calls of one caller were taken, by minute.
#[derive(Debug, Default)]
pub(super) struct CallsPerMinute {
    minute: u64,
    now: u32,
    before: u32,
}

impl CallsPerMinute {
    /// One more.
    pub fn add(&mut self, now: Duration) {
        self.move_to(now.as_secs() / 60);
        self.now = self.now.saturating_add(1);
    }

    /// About how many in the last 60 s: the more of this minute's and the last minute's.
    pub fn in_last_minute(&self, now: Duration) -> u32 {
        match (now.as_secs() / 60).saturating_sub(self.minute) {
            0 => self.now.max(self.before),
            1 => self.now,
            _ => 0,
        }
    }

    fn move_to(&mut self, minute: u64) {
        match minute.saturating_sub(self.minute) {
            0 => {}
            1 => {
                self.before = std::mem::take(&mut self.now);
            }
            _ => {
                self.before = 0;
                self.now = 0;
            }
        }
        self.minute = minute;
    }
}
