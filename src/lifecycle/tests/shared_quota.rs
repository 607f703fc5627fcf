//! Many operations under one quota that counts GET and POST together: polls make room for cancels.

use std::{cell::RefCell, rc::Rc, time::Duration};

use super::simulation::{Simulation, caller, done, error, object, running};
use crate::{
    api::Outcome,
    google::{
        answer::ErrorKind,
        quota::{Quotas, Share},
    },
};

/// Calls a minute that the API accepts, for all objects together.
const QUOTA: usize = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// A quota of fixed minutes, as Google counts.
#[derive(Debug, Default)]
struct Server {
    minute: u64,
    used: usize,
}

impl Server {
    fn takes(&mut self, now: Duration) -> bool {
        let minute = now.as_secs() / 60;
        if minute != self.minute {
            *self = Self { minute, used: 0 };
        }
        self.used += 1;
        self.used <= QUOTA
    }
}

/// A moment in steps of ten milliseconds.
fn ticks(from: Duration, to: Duration) -> impl Iterator<Item = Duration> {
    (1..)
        .map(move |tick| from + Duration::from_millis(10 * tick))
        .take_while(move |now| *now <= to)
}

struct World {
    server: Rc<RefCell<Server>>,
    sims: Vec<Simulation>,
    now: Duration,
    /// Another client of the same project: calls, and how many of them were refused.
    others: (usize, usize),
}

impl World {
    fn new() -> Self {
        Self {
            server: Rc::default(),
            sims: Vec::new(),
            now: Duration::ZERO,
            others: (0, 0),
        }
    }

    /// One more operation; if it `ends`, five seconds after its cancel was accepted.
    fn add(&mut self, ends: bool) {
        self.add_in("contact-center", ends);
    }

    /// The same in another namespace.
    fn add_in(&mut self, namespace: &str, ends: bool) {
        let taken = Rc::new(RefCell::new(None));
        let (by_get, by_cancel) = (self.server.clone(), self.server.clone());
        let taken_at = taken.clone();
        let now = Rc::new(RefCell::new(self.now));
        let clock = now.clone();
        let mut created = object();
        created.name = format!("stop-{}", self.sims.len());
        created.namespace = namespace.to_owned();
        let mut sim = Simulation::of(
            created,
            move |_, at| {
                *clock.borrow_mut() = at;
                if !by_get.borrow_mut().takes(at) {
                    return Err(error(ErrorKind::ResourceExhausted));
                }
                match *taken_at.borrow() {
                    Some(taken) if ends && at >= taken + Duration::from_secs(5) => done(1),
                    _ => running(),
                }
            },
            move |_| {
                // About when the GET before was answered.
                let at = *now.borrow();
                if !by_cancel.borrow_mut().takes(at) {
                    return Err(error(ErrorKind::ResourceExhausted));
                }
                *taken.borrow_mut() = Some(at);
                Ok(())
            },
        );
        if let Some(first) = self.sims.first() {
            sim.quotas = first.quotas.clone();
        }
        // Each has a jitter of its own.
        sim.jitter = (self.sims.len() as f64 * 0.618_033_988_75).fract();
        sim.jitter_step = 0.381_966_011_25;
        sim.now = self.now;
        sim.wake = Some(self.now);
        self.sims.push(sim);
    }

    fn run_until(&mut self, end: Duration) {
        for now in ticks(self.now, end) {
            if now.as_millis().is_multiple_of(10_000) {
                self.others.0 += 1;
                if !self.server.borrow_mut().takes(now) {
                    self.others.1 += 1;
                }
            }
            for sim in &mut self.sims {
                while sim.next(now) {}
            }
            self.now = now;
        }
    }
}

/// 30 operations that never end, then a new one every 10 s.
#[test]
fn a_new_cancel_does_not_wait_for_the_polls_of_others() {
    let mut world = World::new();
    for _ in 0..30 {
        world.add(false);
    }
    world.run_until(2 * MINUTE);
    world.others = (0, 0);
    let mut waits = Vec::new();
    for _ in 0..30 {
        let created = world.now;
        world.add(true);
        world.run_until(created + Duration::from_secs(10));
        let accepted = world.sims.last().map(|sim| sim.accepted_at());
        waits.push(accepted.flatten().map(|at| at - created));
    }
    waits.sort_by_key(|wait| wait.unwrap_or(Duration::MAX));
    let p90 = waits[26];
    assert!(
        p90.is_some_and(|wait| wait <= Duration::from_secs(2)),
        "{waits:?}"
    );
    let (calls, refused) = world.others;
    println!("p90 to acceptance: {p90:?}; the other client lost {refused} of {calls} calls");
    assert!(
        refused * 10 <= calls,
        "another client lost {refused} of {calls}"
    );
    world.run_until(world.now + 2 * MINUTE);
    let ended = world
        .sims
        .iter()
        .filter(|sim| sim.outcome() == Some(Outcome::Cancelled));
    assert!(ended.count() >= 28);
}

/// A namespace has more than a hundred cancel requests that wait for a quota of 60 calls a minute. Another one sends a request now and then.
#[test]
fn a_namespace_with_a_few_requests_does_not_wait_for_one_with_many() {
    let mut world = World::new();
    for _ in 0..120 {
        world.add_in("loud", false);
    }
    world.run_until(MINUTE + Duration::from_secs(20));
    let mut waits = Vec::new();
    for _ in 0..3 {
        let created = world.now;
        world.add_in("quiet", true);
        world.run_until(created + Duration::from_secs(100));
        let accepted = world.sims.last().and_then(Simulation::accepted_at);
        waits.push(accepted.map(|at| at - created));
    }
    // The next full minute, the jitter of the hold, and the spread of what it held back.
    let longest = Some(Duration::from_secs(60 + 10 + 10));
    assert!(
        waits.iter().all(|wait| wait.is_some() && *wait <= longest),
        "{waits:?}"
    );
}

/// A quota that polls were too many for: so many of the namespace have their places already, 2 s apart.
fn crowded(sim: &Simulation, places: usize) {
    let mut quotas = sim.quotas.borrow_mut();
    let mut exhausted = error(ErrorKind::ResourceExhausted);
    exhausted.retry_after = Some(Duration::from_secs(1));
    let wall = std::time::SystemTime::from(sim.wall());
    quotas.record(Share::Get, &caller(), Some(&exhausted), sim.now, wall, 0.0);
    for _ in 0..places {
        quotas.reserve_poll(&caller(), &sim.stored.namespace, sim.now);
    }
}

/// What decides whether to cancel again is no poll.
#[test]
fn a_get_before_the_next_cancel_needs_no_reservation() {
    for first in [
        ErrorKind::Unavailable,
        ErrorKind::NotFound,
        ErrorKind::Unimplemented,
    ] {
        let mut sim = Simulation::new(|_, _| running(), move |_| Err(error(first)));
        crowded(&sim, 1000);
        sim.run_for(Duration::from_secs(60));
        let posted = sim.posts[0];
        assert!(
            sim.gets.iter().any(|at| *at > posted),
            "{first:?}: {:?}",
            sim.gets
        );
    }
}

/// Reservations hours ahead would stay although the quota allows more by then.
#[test]
fn a_crowd_does_not_settle_the_polls_of_hours() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    crowded(&sim, 10_000);
    sim.run_for(Duration::from_secs(600));
    let before = sim.gets.len();
    // The quota is free again.
    sim.quotas.replace(Quotas::default());
    sim.run_for(Duration::from_secs(180));
    assert!(sim.gets.len() > before, "{:?}", sim.gets);
}

/// All places of a hold used at its end would use the quota up once more.
#[test]
fn a_reservation_during_a_hold_is_lost() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    crowded(&sim, 20);
    sim.run_for(Duration::from_secs(10));
    sim.gets_held_until = Some(Duration::from_secs(300));
    sim.run_for(Duration::from_secs(280));
    let before = sim.gets.len();
    for _ in 0..25 {
        let mut quotas = sim.quotas.borrow_mut();
        quotas.reserve_poll(&caller(), &sim.stored.namespace, sim.now);
    }
    sim.run_for(Duration::from_secs(30));
    assert_eq!(sim.gets.len(), before, "{:?}", sim.gets);
    sim.run_for(Duration::from_secs(100));
    assert!(sim.gets.len() > before);
}

/// The first cancel waits for a GET that finds the operation: that is no poll either.
#[test]
fn a_first_cancel_does_not_wait_for_a_reservation_among_polls() {
    for first in [ErrorKind::NotFound, ErrorKind::Token, ErrorKind::NotServed] {
        let mut sim = Simulation::new(
            move |n, _| if n > 1 { running() } else { Err(error(first)) },
            |_| Ok(()),
        );
        crowded(&sim, 1000);
        // The hold is over.
        sim.now = Duration::from_secs(2);
        sim.wake = Some(sim.now);
        sim.run_for(Duration::from_secs(30));
        assert_eq!(sim.posts.len(), 1, "{first:?}: {:?}", sim.gets);
    }
}
