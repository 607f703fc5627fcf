//! The production life cycle under a model checker: every order of events within bounds, for two processes and two objects.
//!
//! A [`World`] is an API server, a Google API, users and processes, as a value. The checker (stateright) explores every sequence of
//! [`Action`]s: answers that come late, are lost or are errors, stale watches, edits, deletions, grants that come and go, crashes between
//! any two effects, operations that end at any moment. The world checks each effect of [`super::super::step`] (`world`), and from every state that
//! is reached a run without further faults must end (`ending`). [`Mutant`]s break the step on purpose; each has to be found.

mod actions;
mod coverage;
mod ending;
mod flight;
mod mutant;
mod scenario;
mod shared;
mod world;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use stateright::{Checker, HasDiscoveries, Model, Property};

use self::ending::Endings;
pub use self::{
    actions::Action,
    coverage::{Coverage, Reached},
    mutant::{Mutant, mutants},
    scenario::{Budget, Scenario, deeper, scenarios},
    world::World,
};

/// A scenario to explore, with or without a mutant.
pub struct Life {
    scenario: Scenario,
    mutant: Option<Mutant>,
    coverage: Arc<Coverage>,
    endings: Endings,
    /// How a run without faults failed to end.
    unfinished: Mutex<Option<String>>,
}

impl Model for Life {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.scenario)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.violation.is_none() {
            actions::possible(world, &self.scenario, actions);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.perform(action, &self.rules());
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("the invariants hold", |_, world: &World| {
                world.violation.is_none()
            }),
            Property::always("it ends without faults", |life: &Self, world| {
                life.ends(world)
            }),
        ]
    }
}

impl Life {
    fn rules(&self) -> world::Rules<'_> {
        world::Rules {
            scenario: &self.scenario,
            mutant: self.mutant,
            coverage: &self.coverage,
        }
    }

    fn ends(&self, world: &World) -> bool {
        if world.violation.is_some() {
            return true;
        }
        match self.endings.ends(world, &self.rules()) {
            Ok(()) => true,
            Err(why) => {
                self.unfinished
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .get_or_insert(why);
                false
            }
        }
    }
}

/// What an exploration found.
#[derive(Debug)]
pub struct Explored {
    /// The number of distinct states.
    pub states: usize,
    /// The number of transitions to them.
    pub transitions: usize,
    /// Whether all states within the bounds were explored.
    pub is_complete: bool,
    /// The first violation: the property and the way to it.
    pub violation: Option<String>,
}

/// The longest path that is explored. A suspended object is read for ever, so its paths have no end, and the checker keeps the whole
/// path of each state that waits: without a limit it would take all memory.
const MOST_DEEP: usize = 500;

/// Explores a scenario in one thread, at most about so many transitions.
pub fn explore(
    scenario: &Scenario,
    mutant: Option<Mutant>,
    coverage: &Arc<Coverage>,
    most: usize,
) -> Explored {
    let life = Life {
        scenario: scenario.clone(),
        mutant,
        coverage: coverage.clone(),
        endings: Endings::default(),
        unfinished: Mutex::default(),
    };
    let builder = life
        .checker()
        .target_state_count(most)
        .target_max_depth(MOST_DEEP)
        .finish_when(HasDiscoveries::Any);
    // In breadth, the way to a violation is short; in depth, the memory is small.
    match mutant {
        Some(_) => report(builder.spawn_bfs().join(), most),
        None => report(builder.spawn_dfs().join(), most),
    }
}

fn report(checker: impl Checker<Life>, most: usize) -> Explored {
    let violation = checker
        .discoveries()
        .into_iter()
        .next()
        .map(|(name, path)| {
            let last = path.last_state();
            let why = last.violation.clone().or_else(|| {
                let unfinished = checker.model().unfinished.lock();
                unfinished.ok().and_then(|why| why.clone())
            });
            let actions: Vec<_> = path
                .into_actions()
                .into_iter()
                .map(|action| format!("  {action:?}"))
                .collect();
            format!(
                "{name}: {}\n{}",
                why.unwrap_or_default(),
                actions.join("\n")
            )
        });
    Explored {
        states: checker.unique_state_count(),
        transitions: checker.state_count(),
        is_complete: checker.state_count() < most && checker.max_depth() < MOST_DEEP,
        violation,
    }
}

/// The wall clock at the beginning.
const START: i64 = 1_700_000_013;

/// A call or a write ends within this time.
const CALL_LIMIT: Duration = Duration::from_secs(10);
