//! The life cycle under the model checker: no scenario violates an invariant, everything is reached, and each mutant is found.
//!
//! `cargo test -p opcancel-model -- --nocapture` prints the figures of docs/reliability.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic anywhere"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, available_parallelism},
    time::Instant,
};

use opcancel_model::lifecycle::checked::model::{
    Coverage, Scenario, deeper, explore, mutants, scenarios,
};

/// So many distinct states are explored at least.
const LEAST_STATES: usize = 1_000_000;

const LEAST_MUTANTS: usize = 20;

/// Each mutant is searched among so many transitions at most.
const MOST_FOR_A_MUTANT: usize = 50_000;

/// Explores all of them, prints what was explored, and returns the number of distinct states.
fn explore_all(scenarios: &[Scenario], coverage: &Arc<Coverage>) -> usize {
    let begun = Instant::now();
    // Each is explored by one thread, so that every run explores the same states.
    let next = AtomicUsize::new(0);
    let found = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(scenario) = scenarios.get(index) else {
                        return;
                    };
                    let explored = explore(scenario, None, coverage, scenario.most);
                    found.lock().unwrap().insert(index, explored);
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    println!(
        "{:<52} {:>9} {:>11}  complete",
        "scenario", "states", "transitions"
    );
    let mut states = 0;
    for (scenario, found) in scenarios.iter().zip(found.into_values()) {
        if let Some(violation) = found.violation {
            panic!("{}: {violation}", scenario.name);
        }
        states += found.states;
        let complete = if found.is_complete { "yes" } else { "no" };
        println!(
            "{:<52} {:>9} {:>11}  {complete}",
            scenario.name, found.states, found.transitions
        );
    }
    println!(
        "{states} distinct states in {} s",
        begun.elapsed().as_secs()
    );
    states
}

#[test]
fn the_invariants_hold_in_every_state_and_everything_is_reached() {
    let coverage = Arc::new(Coverage::default());
    let states = explore_all(&scenarios(), &coverage);
    let missing = coverage.missing();
    assert!(missing.is_empty(), "never reached: {missing:?}");
    assert!(states >= LEAST_STATES, "only {states} states");
}

#[test]
#[ignore = "takes many minutes; cargo xtask test --long"]
fn the_invariants_hold_in_every_state_of_a_deeper_search() {
    explore_all(&deeper(), &Arc::new(Coverage::default()));
}

#[test]
fn each_mutant_is_found() {
    let coverage = Arc::new(Coverage::default());
    println!("{:<24} {:>8}  found as", "mutant", "states");
    let mut missed = Vec::new();
    for mutant in mutants() {
        let scenario = mutant.scenario();
        let found = explore(&scenario, Some(mutant), &coverage, MOST_FOR_A_MUTANT);
        match found.violation {
            Some(violation) => {
                let what = violation.lines().next().unwrap_or_default();
                println!("{:<24} {:>8}  {what}", format!("{mutant:?}"), found.states);
            }
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
    assert!(mutants().len() >= LEAST_MUTANTS);
}
