//! What a soak prints in the end.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::fault::Fault;
use super::growth::Growth;
use super::invariants::{Counts, Violation};

/// More violations than this are not printed.
const SHOWN: usize = 5;

/// See the module.
pub(super) struct Summary {
    pub(super) took: Duration,
    pub(super) counts: Counts,
    pub(super) deeds: u64,
    pub(super) outcomes: BTreeMap<String, usize>,
    pub(super) faults: BTreeMap<Fault, usize>,
    /// How often a leader ended because it could not renew the Lease.
    pub(super) leases_lost: usize,
    pub(super) violations: Vec<Violation>,
    /// Of each controller.
    pub(super) growth: Vec<Vec<Growth>>,
}

impl Summary {
    pub(super) fn print(&self) {
        print!("{}", self.text());
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _written = writeln!(text, "{name:<12} {value}");
        };
        let counts = self.counts;
        row("time", format!("{:.0} s", self.took.as_secs_f64()));
        row(
            "objects",
            format!(
                "{} created, {} stored versions",
                counts.objects, counts.versions
            ),
        );
        row(
            "outcomes",
            format!("{}: {}", counts.outcomes, listed(&self.outcomes)),
        );
        row(
            "changes",
            format!("{} by tenants and administrators", self.deeds),
        );
        let requests = format!(
            "{} GET and {} cancel; {} cancel requests compared with the time of their intent",
            counts.gets, counts.posts, counts.posts_after_intent
        );
        row("requests", requests);
        let faults = self.faults.iter();
        let faults = faults
            .map(|(fault, count)| (format!("{fault:?}"), *count))
            .collect();
        let count: usize = self.faults.values().sum();
        row("faults", format!("{count}: {}", listed(&faults)));
        row(
            "leaders",
            format!(
                "{} ended because they could not renew the Lease",
                self.leases_lost
            ),
        );
        for (number, growth) in self.growth.iter().enumerate() {
            row("growth", format!("controller {number}: {}", grown(growth)));
        }
        row("violations", self.violations.len().to_string());
        text
    }

    /// What is wrong, if anything is.
    pub(super) fn failure(&self) -> Option<String> {
        let leaks = self.growth.iter().flatten().filter(|growth| growth.is_leak);
        let leaks = leaks.map(|leak| {
            format!(
                "{} grew from {:.0} to {:.0}",
                leak.name, leak.first, leak.last
            )
        });
        let violations = self.violations.iter().take(SHOWN).map(ToString::to_string);
        let wrong: Vec<_> = violations.chain(leaks).collect();
        (!wrong.is_empty()).then(|| wrong.join("\n"))
    }
}

/// `12 of this, 3 of that`
fn listed(counts: &BTreeMap<String, usize>) -> String {
    let counts = counts.iter().map(|(name, count)| format!("{count} {name}"));
    counts.collect::<Vec<_>>().join(", ")
}

fn grown(growth: &[Growth]) -> String {
    if growth.is_empty() {
        return "not measured, the soak is too short".to_owned();
    }
    let grown = growth.iter();
    let grown =
        grown.map(|growth| format!("{} {:.0} to {:.0}", growth.name, growth.first, growth.last));
    grown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(violations: Vec<Violation>, is_leak: bool) -> Summary {
        Summary {
            took: Duration::from_secs(61),
            counts: Counts {
                objects: 5,
                ..Counts::default()
            },
            deeds: 9,
            outcomes: BTreeMap::from([("Cancelled".to_owned(), 4)]),
            faults: BTreeMap::from([(Fault::GoAway, 2), (Fault::ControllerKilled, 1)]),
            leases_lost: 1,
            violations,
            growth: vec![vec![Growth {
                name: "descriptors",
                first: 20.0,
                last: 21.0,
                is_leak,
            }]],
        }
    }

    #[test]
    fn the_text_has_the_figures() {
        let text = summary(Vec::new(), false).text();
        for part in [
            "61 s",
            "5 created",
            "4 Cancelled",
            "3: 1 ControllerKilled, 2 GoAway",
            "descriptors 20 to 21",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_violation_or_a_leak_is_a_failure() {
        assert_eq!(summary(Vec::new(), false).failure(), None);
        let leak = summary(Vec::new(), true).failure().unwrap();
        assert!(leak.contains("descriptors grew from 20 to 21"), "{leak}");
        let violation = Violation {
            invariant: "I2",
            object: "a/b".to_owned(),
            what: "too many".to_owned(),
            evidence: vec!["a line".to_owned()],
        };
        let shown = summary(vec![violation], false).failure().unwrap();
        assert!(shown.contains("I2: a/b: too many\n    a line"), "{shown}");
    }
}
