//! What a soak does and when, from its seed. Pure: the same seed gives the same plan.

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;

use super::fault::{Fault, Victim};

/// How often the tenants do something, on average.
const DEEDS_PER_SECOND: f64 = 6.0;

/// The pause between the beginnings of two faults, in seconds.
const BETWEEN_FAULTS: std::ops::Range<f64> = 0.2..1.6;

/// How long a fault lasts at most, in seconds; and in a soak of less than [`SHORT`].
const LONGEST_FAULT: f64 = 5.0;
const LONGEST_FAULT_OF_SHORT: f64 = 1.2;

/// A soak below this has no faults that are slow to cure.
const SHORT: Duration = Duration::from_secs(120);

/// The share of the time in which processes of the controller are ended. After that they live, so that their growth can be seen.
const RESTLESS: f64 = 0.4;

/// What a tenant or an administrator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    /// Creates an object for a new operation.
    Create,
    /// Deletes an object, and creates one of the same name.
    CreateAgain,
    /// Suspends an object.
    Suspend,
    /// Resumes an object.
    Resume,
    /// Edits deadline and labels of an object.
    Edit,
    /// Deletes an object.
    Delete,
    /// The operation of an object ends.
    EndOperation,
    /// Deletes the grant of a namespace, and creates it again a moment later.
    Revoke,
}

impl Deed {
    /// Each with its weight.
    const ALL: [(Self, u32); 8] = [
        (Self::Create, 50),
        (Self::CreateAgain, 8),
        (Self::Suspend, 8),
        (Self::Resume, 12),
        (Self::Edit, 8),
        (Self::Delete, 6),
        (Self::EndOperation, 6),
        (Self::Revoke, 2),
    ];

    fn draw(rng: &mut Rng) -> Self {
        let whole: u32 = Self::ALL.iter().map(|(_, weight)| weight).sum();
        let mut left = rng.u32(0..whole);
        for (deed, weight) in Self::ALL {
            if left < weight {
                return deed;
            }
            left -= weight;
        }
        Self::Create
    }
}

/// What happens at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    /// A tenant or an administrator does something.
    Deed(Deed),
    /// A fault begins for the controller of this number, and lasts for this time.
    Fault {
        fault: Fault,
        controller: usize,
        lasts: Duration,
    },
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// Since the start.
    pub(super) at: Duration,
    pub(super) what: What,
    /// Chooses among what there is then.
    pub(super) pick: u64,
}

/// All steps, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// From here on no process of the controller is ended.
    pub(super) controllers_live_from: Duration,
    is_short: bool,
}

impl Plan {
    /// The plan of this seed, for so many controllers.
    pub(super) fn new(seed: u64, duration: Duration, controllers: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let controllers_live_from = duration.mul_f64(RESTLESS);
        let mut steps = deeds(&mut rng, duration);
        steps.extend(faults(
            &mut rng,
            duration,
            controllers_live_from,
            controllers,
        ));
        steps.sort_by_key(|step| step.at);
        Self {
            steps,
            controllers_live_from,
            is_short: duration < SHORT,
        }
    }

    /// Whether it takes seconds rather than minutes.
    pub(super) const fn is_short(&self) -> bool {
        self.is_short
    }

    /// Whether one of its faults is slow to cure.
    pub(super) fn is_slow_to_cure(&self) -> bool {
        self.steps.iter().any(|step| match step.what {
            What::Fault { fault, .. } => fault.is_slow_to_cure(),
            What::Deed(_) => false,
        })
    }
}

fn deeds(rng: &mut Rng, duration: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = 0.0;
    while at < duration.as_secs_f64() {
        steps.push(Step {
            at: Duration::from_secs_f64(at),
            what: What::Deed(Deed::draw(rng)),
            pick: rng.u64(..),
        });
        at += rng.f64() * 2.0 / DEEDS_PER_SECOND;
    }
    steps
}

/// Draws each fault once before any comes again.
fn faults(
    rng: &mut Rng,
    duration: Duration,
    controllers_live_from: Duration,
    controllers: usize,
) -> Vec<Step> {
    let is_short = duration < SHORT;
    let longest = if is_short {
        LONGEST_FAULT_OF_SHORT
    } else {
        LONGEST_FAULT
    };
    let mut free_at: HashMap<Victim, Duration> = HashMap::new();
    let mut bag = Vec::new();
    let mut steps = Vec::new();
    let mut at = Duration::from_secs_f64(between(rng, BETWEEN_FAULTS));
    while at < duration {
        if bag.is_empty() {
            bag = Fault::ALL.to_vec();
            rng.shuffle(&mut bag);
        }
        let controller = rng.usize(0..controllers.max(1));
        let may_begin = |fault: &Fault| {
            let is_free = free_at
                .get(&fault.victim(controller))
                .is_none_or(|free_at| *free_at <= at);
            let may_end = at < controllers_live_from || !fault.ends_a_controller();
            is_free && may_end && !(is_short && fault.is_slow_to_cure())
        };
        let Some(index) = bag.iter().position(may_begin) else {
            // What is left waits for a victim, or never comes in this soak.
            let waits = bag.iter().any(|fault| {
                free_at
                    .get(&fault.victim(controller))
                    .is_some_and(|free_at| *free_at > at)
            });
            if waits {
                at += Duration::from_millis(100);
            } else {
                bag.clear();
            }
            continue;
        };
        let fault = bag.swap_remove(index);
        let lasts = Duration::from_secs_f64(between(rng, 0.1..longest));
        free_at.insert(fault.victim(controller), at + lasts);
        steps.push(Step {
            at,
            what: What::Fault {
                fault,
                controller,
                lasts,
            },
            pick: rng.u64(..),
        });
        at += Duration::from_secs_f64(between(rng, BETWEEN_FAULTS));
    }
    steps
}

fn between(rng: &mut Rng, range: std::ops::Range<f64>) -> f64 {
    range.start + rng.f64() * (range.end - range.start)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const LONG: Duration = Duration::from_secs(300);

    fn faults_of(plan: &Plan) -> Vec<(Duration, Fault, usize, Duration)> {
        let steps = plan.steps.iter();
        let faults = steps.filter_map(|step| match step.what {
            What::Fault {
                fault,
                controller,
                lasts,
            } => Some((step.at, fault, controller, lasts)),
            What::Deed(_) => None,
        });
        faults.collect()
    }

    #[test]
    fn a_seed_gives_the_same_plan_again_and_another_one_another() {
        assert_eq!(Plan::new(1, LONG, 2), Plan::new(1, LONG, 2));
        assert_ne!(Plan::new(1, LONG, 2), Plan::new(2, LONG, 2));
    }

    #[test]
    fn every_fault_and_every_deed_comes() {
        let plan = Plan::new(7, LONG, 2);
        let faults: BTreeSet<_> = faults_of(&plan).into_iter().map(|fault| fault.1).collect();
        assert_eq!(faults, BTreeSet::from(Fault::ALL));
        let deeds: BTreeSet<_> = plan
            .steps
            .iter()
            .filter_map(|step| match step.what {
                What::Deed(deed) => Some(deed),
                What::Fault { .. } => None,
            })
            .collect();
        assert_eq!(deeds, Deed::ALL.into_iter().map(|(deed, _)| deed).collect());
        assert!(plan.is_slow_to_cure());
    }

    #[test]
    fn a_victim_has_one_fault_at_a_time() {
        for seed in 0..20 {
            let mut until = HashMap::new();
            for (at, fault, controller, lasts) in faults_of(&Plan::new(seed, LONG, 2)) {
                let free_at = until.insert(fault.victim(controller), at + lasts);
                assert!(
                    free_at.is_none_or(|free_at| free_at <= at),
                    "{seed} {fault:?}"
                );
            }
        }
    }

    #[test]
    fn controllers_live_to_the_end_after_a_while() {
        let plan = Plan::new(3, LONG, 2);
        let ends = |(at, fault, ..): &(Duration, Fault, usize, Duration)| {
            fault.ends_a_controller().then_some(*at)
        };
        let ends: Vec<_> = faults_of(&plan).iter().filter_map(ends).collect();
        assert!(ends.len() > 4);
        assert!(ends.iter().all(|at| *at < plan.controllers_live_from));
    }

    #[test]
    fn a_short_soak_has_no_fault_that_is_slow_to_cure() {
        for seed in 0..20 {
            let plan = Plan::new(seed, Duration::from_secs(15), 1);
            assert!(!plan.is_slow_to_cure());
            assert!(faults_of(&plan).len() > 10);
        }
    }

    #[test]
    fn all_answers_are_faults_of_the_emulator() {
        for fault in Fault::ALL {
            let has_answer = fault.victim(0) == Victim::Answers && fault != Fault::WrongCertificate;
            assert_eq!(fault.answer().is_some(), has_answer, "{fault:?}");
        }
    }
}
