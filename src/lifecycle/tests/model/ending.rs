//! I9: from every state, a run without further faults ends by the deadline, and then all is quiet.
//!
//! A run follows one fair order: what is under way arrives, then what is due happens, then time passes. From a state that an earlier run
//! came through it is known how it goes on.

use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    actions::{self, How},
    scenario::Budget,
    shared::TextHash,
    world::{GrantNow, OperationState, Rules, World},
};
use crate::lifecycle::ObjectView;

/// After the deadline come the final GETs and the write of the outcome.
const AFTER_DEADLINE: Duration = Duration::from_secs(65);

/// A run with more steps does not end.
const MOST_STEPS: usize = 4000;

const SHARDS: usize = 64;

/// The states of runs that end.
#[derive(Debug)]
pub struct Endings(Vec<Mutex<HashSet<u64>>>);

impl Default for Endings {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Endings {
    /// Whether it ends, with an operation that ends once a request was accepted, and with one that never does.
    pub fn ends(&self, world: &World, rules: &Rules<'_>) -> Result<(), String> {
        for obeys in [false, true] {
            let mut world = world.clone();
            heal(&mut world);
            self.run(world, obeys, rules)?;
        }
        Ok(())
    }

    fn run(&self, mut world: World, obeys: bool, rules: &Rules<'_>) -> Result<(), String> {
        let latest = latest_end(&world);
        let mut seen = Vec::new();
        for _ in 0..MOST_STEPS {
            let hash = fingerprint(&world, obeys);
            if !self.insert(hash) {
                return Ok(());
            }
            seen.push(hash);
            if obeys {
                for object in &mut world.objects {
                    if object.is_requested && object.operation == OperationState::Running {
                        object.operation = OperationState::Cancelled;
                    }
                }
            }
            let goes_on = go_on(&mut world, rules);
            if let Some(why) = &world.violation {
                return self.fails(&seen, format!("in a run without faults: {why}"));
            }
            if world.now > latest && !has_ended(&world) {
                return self.fails(&seen, format!("it has not ended after {:?}", world.now));
            }
            if !goes_on {
                return match has_ended(&world) {
                    true => Ok(()),
                    false => self.fails(
                        &seen,
                        "nothing is left to do, and there is no outcome".into(),
                    ),
                };
            }
        }
        self.fails(&seen, "it does not come to rest".into())
    }

    /// Returns whether it is new.
    fn insert(&self, hash: u64) -> bool {
        self.shard(hash).insert(hash)
    }

    fn fails(&self, seen: &[u64], why: String) -> Result<(), String> {
        for hash in seen {
            self.shard(*hash).remove(hash);
        }
        Err(why)
    }

    fn shard(&self, hash: u64) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        let index = usize::try_from(hash >> 40).unwrap_or(0) % SHARDS;
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fingerprint(world: &World, obeys: bool) -> u64 {
    let mut hash = TextHash::default();
    world.fingerprint().hash(&mut hash);
    obeys.hash(&mut hash);
    hash.finish()
}

/// Faults stop: all processes run, everything is granted, nothing is suspended.
fn heal(world: &mut World) {
    world.left = Budget {
        slow: u8::MAX,
        ..Budget::default()
    };
    for p in 0..world.processes.len() {
        if world.processes[p].is_stopping {
            world.end_process(p);
        }
        if !world.processes[p].is_alive {
            world.start_process(p);
        }
        world.processes[p].is_paused = false;
    }
    if world.grant != GrantNow::Granted {
        world.set_grants(GrantNow::Granted);
    }
    for o in 0..world.objects.len() {
        let view = world.objects[o].view.as_ref();
        let is_suspended = view.is_some_and(|view| {
            view.status.outcome.is_none() && view.spec.as_ref().is_ok_and(|spec| spec.suspend)
        });
        if is_suspended {
            world.edit(o, |spec| spec.suspend = false);
        }
    }
}

/// By when every object must have ended: all have started by now, or start now.
fn latest_end(world: &World) -> Duration {
    let specs = world
        .objects
        .iter()
        .filter_map(|object| object.view.as_ref());
    let deadlines = specs.filter_map(|view| view.spec.as_ref().ok().map(|spec| spec.deadline));
    world.now + deadlines.max().unwrap_or_default() + AFTER_DEADLINE
}

/// Whether nothing more is expected of any object. A status may still be written: after another process wrote it, one waits for minutes.
fn has_ended(world: &World) -> bool {
    let mut open = world
        .objects
        .iter()
        .filter_map(|object| object.view.as_ref());
    open.all(|view| is_finished(view))
}

/// Whether nothing more is expected of it: an outcome is stored, it is being deleted, or this release does not know what it asks for.
fn is_finished(view: &ObjectView) -> bool {
    let is_known = view
        .spec
        .as_ref()
        .is_ok_and(|spec| spec.target.is_ok() && spec.service_account_name.is_none());
    view.status.outcome.is_some() || view.deleting || !(is_known || view.spec.is_err())
}

/// The next thing that happens in a fair run. Returns `false` if nothing is left to happen.
fn go_on(world: &mut World, rules: &Rules<'_>) -> bool {
    use super::actions::Action;
    if !world.orphans.is_empty() {
        world.perform(Action::OrphanArrives(0), rules);
        return true;
    }
    for p in 0..world.processes.len() {
        for o in 0..world.objects.len() {
            let cell = &world.processes[p].cells[o];
            if let Some(flight) = cell.flights.first() {
                if flight.is_answer() {
                    world.deliver(p, o, 0, rules);
                } else {
                    world.arrive(p, o, 0, How::Truly, rules);
                }
                return true;
            }
            if !cell.watch.is_empty() {
                world.perform(Action::Watch(p, o), rules);
                return true;
            }
            if cell.wake.is_some_and(|at| at <= world.now) {
                world.perform(Action::Wake(p, o), rules);
                return true;
            }
        }
    }
    if actions::advance_to(world).is_some() {
        world.perform(Action::Advance, rules);
        return true;
    }
    false
}
