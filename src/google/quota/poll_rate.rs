//! The rate of polls under a quota that was exhausted. Pure.
//!
//! Some services count GET and POST in one quota (Dialogflow: "all other requests per minute"). If polls used all of it, a new cancel
//! request would wait for the next full minute. So each RESOURCE_EXHAUSTED halves the rate of polls. It grows slowly, up to four fifths of
//! the observed capacity: a fifth stays free for cancel requests and first reads.
//!
//! Polls are evenly spaced in time. Namespaces share the rate, and each has its own slots.

use std::{collections::HashMap, time::Duration};

const MINUTE: Duration = Duration::from_secs(60);

/// The share of the quota that polls may use.
const POLLS_SHARE: f64 = 0.8;

/// Growth of the rate per minute, as a share of the capacity.
const GROWTH: f64 = 0.05;

/// Growth of the estimated capacity per minute, so that a raised quota is noticed in the end.
const DISCOVERY: f64 = 0.01;

/// Minimum number of polls per minute.
const LOWEST: f64 = 1.0;

/// Minimum estimate of the capacity. If we made few calls, another client exhausted the quota.
const LEAST_CAPACITY: f64 = 60.0;

/// How long an estimate is used after the quota was last exhausted. An estimate from a time when other clients exhausted the quota must
/// not slow polls down for ever.
const KEPT: Duration = Duration::from_secs(3600);

/// Maximum number of remembered namespaces. If it is reached, all are forgotten, at the cost of a few more 429s.
const MAX_NAMESPACES: usize = 4096;

/// The rate of polls under one quota.
#[derive(Debug)]
pub(super) struct PollRate {
    /// The observed capacity in calls per minute.
    capacity: f64,
    /// Polls a minute, as of `since`.
    rate: f64,
    since: Duration,
    /// When the next poll of each namespace may be made. Times in the past are removed.
    next: HashMap<String, Duration>,
}

impl PollRate {
    /// After the first RESOURCE_EXHAUSTED. `taken` is the number of accepted calls in the minute before.
    pub fn new(taken: u32, now: Duration) -> Self {
        let capacity = f64::from(taken).max(LEAST_CAPACITY);
        Self {
            capacity,
            rate: (capacity / 2.0).max(LOWEST),
            since: now,
            next: HashMap::new(),
        }
    }

    /// After a further RESOURCE_EXHAUSTED. Those of one burst count once.
    pub fn exhausted(&mut self, taken: u32, now: Duration) {
        if now.saturating_sub(self.since) < MINUTE {
            return;
        }
        let rate = self.rate(now);
        // Few calls may have been accepted because few were made.
        self.capacity = f64::from(taken)
            .max(self.capacity / 2.0)
            .max(LEAST_CAPACITY);
        self.rate = (rate.min(self.capacity) / 2.0).max(LOWEST);
        self.since = now;
    }

    /// The current rate, in polls per minute.
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

    /// Reserves the next slot of a namespace.
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

    /// Whether the rate still applies.
    pub fn is_in_force(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) < KEPT
    }
}

/// The number of accepted calls of one caller, by minute.
#[derive(Debug, Default)]
pub(super) struct CallsPerMinute {
    minute: u64,
    now: u32,
    before: u32,
}

impl CallsPerMinute {
    /// Counts a call.
    pub fn add(&mut self, now: Duration) {
        self.move_to(now.as_secs() / 60);
        self.now = self.now.saturating_add(1);
    }

    /// The approximate number in the last 60 s: the larger of this minute's and the last minute's.
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
