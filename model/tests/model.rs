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
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use opcancel_model::lifecycle::checked::model::{
    Coverage, Scenario, deeper, explore, mutants, scenarios,
};

/// So many distinct states are explored at least.
const LEAST_STATES: usize = 1_000_000;

const LEAST_MUTANTS: usize = 20;

/// Each mutant is searched among so many transitions at most.
const MOST_FOR_A_MUTANT: usize = 50_000;

fn threads() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// Explores all of them, prints what was explored, and returns the number of distinct states.
fn explore_all(scenarios: &[Scenario], coverage: &Arc<Coverage>) -> usize {
    println!(
        "{:<52} {:>9} {:>11}  {}",
        "scenario", "states", "transitions", "complete"
    );
    let begun = Instant::now();
    let mut states = 0;
    for scenario in scenarios {
        let found = explore(scenario, None, coverage, scenario.most, threads());
        if let Some(violation) = found.violation {
            panic!("{}: {violation}", scenario.name);
        }
        states += found.states;
        println!(
            "{:<52} {:>9} {:>11}  {}",
            scenario.name,
            found.states,
            found.transitions,
            if found.is_complete { "yes" } else { "no" }
        );
    }
    println!("{states} distinct states in {:.0?}", seconds(begun));
    states
}

fn seconds(begun: Instant) -> Duration {
    Duration::from_secs(begun.elapsed().as_secs())
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
        let found = explore(
            &scenario,
            Some(mutant),
            &coverage,
            MOST_FOR_A_MUTANT,
            threads(),
        );
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
