//! Somebody edits an object, its status or its grant 200 times a second: its GETs keep their pace.

use std::time::Duration;

use super::simulation::{Simulation, error, object, running};
use crate::{
    api::CancellationStatus,
    google::answer::{ErrorKind, GetAnswer},
    lifecycle::{Grant, backoff::GETS_AT_ONCE},
};

const EVERY: Duration = Duration::from_millis(5);
const LASTS: Duration = Duration::from_secs(60);

struct Loop {
    what: &'static str,
    /// What the object is at first.
    suspended: bool,
    get: fn(usize, Duration) -> GetAnswer,
    /// Each edit in a row.
    edit: fn(&mut Simulation, usize),
}

const LOOPS: [Loop; 7] = [
    Loop {
        what: "suspend on and off",
        suspended: true,
        get: |_, _| running(),
        edit: |sim, n| sim.edit(|spec| spec.suspend = !n.is_multiple_of(2)),
    },
    Loop {
        what: "new generations of a suspended object",
        suspended: true,
        get: |_, _| running(),
        edit: |sim, n| {
            sim.edit(|spec| spec.deadline = Duration::from_secs(86_400 + n as u64));
        },
    },
    Loop {
        what: "a deadline that has passed, and one that has not",
        suspended: false,
        get: |_, _| Err(error(ErrorKind::Unavailable)),
        edit: |sim, n| {
            let seconds = if n.is_multiple_of(2) { 10 } else { 86_400 };
            sim.edit(|spec| spec.deadline = Duration::from_secs(seconds));
        },
    },
    Loop {
        what: "labels",
        suspended: false,
        get: |_, _| running(),
        edit: |sim, _| sim.show(),
    },
    Loop {
        what: "the status erased",
        suspended: false,
        get: |_, _| running(),
        edit: |sim, _| {
            sim.stored.status = CancellationStatus::default();
            sim.went_back = true;
            sim.show();
        },
    },
    Loop {
        what: "the request's answer erased",
        suspended: false,
        get: |_, _| running(),
        edit: |sim, _| {
            sim.stored.status.conditions.clear();
            sim.show();
        },
    },
    Loop {
        what: "a grant on and off",
        suspended: false,
        get: |_, _| running(),
        edit: |sim, n| {
            sim.set_grant(if n.is_multiple_of(2) {
                Grant::NotGranted
            } else {
                Grant::Granted
            });
        },
    },
];

#[test]
fn gets_keep_their_pace() {
    let most = GETS_AT_ONCE as usize + 2 * LASTS.as_secs() as usize + 1;
    let mut too_many = Vec::new();
    for one in LOOPS {
        // Answers that come faster than the edits, and slower.
        for latency in [1, 20] {
            let gets = gets_during(&one, Duration::from_millis(latency));
            if gets > most {
                too_many.push((one.what, latency, gets));
            }
        }
    }
    assert!(too_many.is_empty(), "{too_many:?}");
}

fn gets_during(one: &Loop, latency: Duration) -> usize {
    let mut object = object();
    object.spec.as_mut().unwrap().suspend = one.suspended;
    let mut sim = Simulation::of(object, one.get, |_| Ok(()));
    sim.get_latency = latency;
    sim.run_for(Duration::from_secs(11));
    let before = sim.gets.len();
    for n in 0..usize::try_from(LASTS.as_millis() / EVERY.as_millis()).unwrap() {
        (one.edit)(&mut sim, n);
        sim.run_for(EVERY);
    }
    sim.gets.len() - before
}

/// A few edits of a person are followed at once.
#[test]
fn a_get_follows_an_edit_at_once() {
    let mut object = object();
    object.spec.as_mut().unwrap().suspend = true;
    let mut sim = Simulation::of(object, |_, _| running(), |_| Ok(()));
    sim.run_for(Duration::from_secs(1));
    for _ in 0..5 {
        let before = sim.gets.len();
        sim.edit(|spec| spec.suspend = false);
        assert_eq!(sim.gets.len(), before + 1);
        sim.run_for(Duration::from_millis(10));
        sim.edit(|spec| spec.suspend = true);
        sim.run_for(Duration::from_secs(10));
    }
    assert_eq!(sim.posts.len(), 0);
}
