//! Real objects at every instant of their lives (docs/life-of-a-cancellation.md#what-waiting-tools-see), for those who judge them.
//!
//! Two instants come after four minutes, and one needs a CRD newer than the controller: the pure life cycle lives those in
//! simulated time, its writes on the real API server (`tests/support/simulated_life.rs`).

mod ended;
mod much_later;
mod rate_limited;
mod under_way;

use crate::support::object::Object;

/// What every tool has to make of an object.
#[derive(Clone, Copy, Debug)]
pub enum Meaning {
    /// There is work left: all wait.
    Working,
    /// A human must act: who can fail, fails.
    Stuck,
    /// Suspended and observed: what depends on it goes on, and a tool that waits for the end still waits.
    Held,
    /// Ended with an accepted outcome.
    Good,
    /// Ended with another.
    Bad,
    /// Being deleted while there was work left.
    Going,
}

/// An instant: the object at it, what its status must say for it to be that instant, and what it means.
pub struct Instant {
    pub name: &'static str,
    pub object: Object,
    /// Reason of Ready, else of CancelRequested; `-` for an object that was not observed yet.
    pub reason: &'static str,
    pub meaning: Meaning,
    /// What Argo CD offers.
    pub actions: &'static [&'static str],
}

#[derive(Default)]
struct Instants(Vec<Instant>);

impl Instants {
    fn add(
        &mut self,
        name: &'static str,
        object: Object,
        reason: &'static str,
        meaning: Meaning,
        actions: &'static [&'static str],
    ) {
        self.0.push(Instant {
            name,
            object,
            reason,
            meaning,
            actions,
        });
    }
}

const SUSPEND: &[&str] = &["suspend"];
const RESUME: &[&str] = &["resume"];

/// All of them. Takes more than a minute: a missing grant stalls only then.
pub fn every_instant() -> Vec<Instant> {
    let mut instants = Instants::default();
    // Each has its own namespace; the first one waits for the minute.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut instants = Instants::default();
            under_way::before_the_end(&mut instants);
            instants
        });
        ended::ends(&mut instants);
        much_later::much_later(&mut instants);
        rate_limited::rate_limited(&mut instants);
        instants.0.extend(waiting.join().unwrap().0);
    });
    instants.0
}
