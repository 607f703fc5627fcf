//! Whether processes grow: what they used in the first and in the last third of the time in which they were not ended, at equal
//! load. Pure.

use super::controller::Usage;

/// Fewer samples than this in a third say nothing.
const FEWEST: usize = 20;

/// Growth up to this is not reported: a share of what was used, and in units (MiB, descriptors, threads, tasks).
const ALLOWED: f64 = 0.2;
const ALLOWED_UNITS: [f64; 4] = [6.0, 12.0, 4.0, 12.0];

/// What is compared.
const NAMES: [&str; 4] = ["memory in MiB", "descriptors", "threads", "tasks"];

/// What the processes of a controller used, in order. The longest time that one of them led, or did not, is compared.
#[derive(Debug, Default)]
pub(super) struct Samples {
    current: Option<(u32, bool)>,
    now: Vec<[f64; 4]>,
    longest: Vec<[f64; 4]>,
}

/// The medians of the first and of the last third.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Growth {
    pub(super) name: &'static str,
    pub(super) first: f64,
    pub(super) last: f64,
    /// Whether it is more than can be by chance.
    pub(super) is_leak: bool,
}

impl Samples {
    pub(super) fn add(&mut self, usage: Usage) {
        let current = Some((usage.process, usage.leads));
        if self.current != current {
            self.current = current;
            self.keep_longer();
        }
        self.now.push([
            usage.resident,
            usage.descriptors,
            usage.threads,
            usage.tasks,
        ]);
    }

    fn keep_longer(&mut self) {
        let before = std::mem::take(&mut self.now);
        if before.len() > self.longest.len() {
            self.longest = before;
        }
    }

    /// Compares the thirds; nothing if there are too few samples.
    pub(super) fn growth(&self) -> Vec<Growth> {
        let samples = if self.now.len() > self.longest.len() {
            &self.now
        } else {
            &self.longest
        };
        let third = samples.len() / 3;
        if third < FEWEST {
            return Vec::new();
        }
        let first = samples.get(..third).unwrap_or_default();
        let last = samples.get(samples.len() - third..).unwrap_or_default();
        let compared = NAMES.iter().zip(ALLOWED_UNITS).enumerate();
        let growth = compared.map(|(index, (name, units))| {
            let (first, last) = (median(first, index), median(last, index));
            Growth {
                name,
                first,
                last,
                is_leak: last > first * (1.0 + ALLOWED) + units,
            }
        });
        growth.collect()
    }
}

fn median(samples: &[[f64; 4]], index: usize) -> f64 {
    let values = samples
        .iter()
        .filter_map(|sample| sample.get(index).copied());
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(usage: impl Fn(f64) -> Usage, count: u32) -> Vec<Growth> {
        let mut samples = Samples::default();
        for index in 0..count {
            samples.add(usage(f64::from(index)));
        }
        samples.growth()
    }

    const STEADY: Usage = Usage {
        process: 1,
        leads: true,
        resident: 20.0,
        descriptors: 30.0,
        threads: 3.0,
        tasks: 15.0,
        objects: 5.0,
    };

    #[test]
    fn what_goes_up_and_down_does_not_grow() {
        let growth = grown(
            |index| Usage {
                resident: 20.0 + index % 9.0,
                ..STEADY
            },
            90,
        );
        assert_eq!(growth.len(), NAMES.len());
        assert!(growth.iter().all(|growth| !growth.is_leak), "{growth:?}");
    }

    #[test]
    fn a_leak_of_each_kind_is_found() {
        for leaking in 0..NAMES.len() {
            let growth = grown(
                |index| {
                    let leak = |of| if of == leaking { index / 3.0 } else { 0.0 };
                    Usage {
                        resident: STEADY.resident + leak(0),
                        descriptors: STEADY.descriptors + leak(1),
                        threads: STEADY.threads + leak(2),
                        tasks: STEADY.tasks + leak(3),
                        ..STEADY
                    }
                },
                120,
            );
            let found: Vec<_> = growth.iter().map(|growth| growth.is_leak).collect();
            let expected: Vec<_> = (0..NAMES.len()).map(|index| index == leaking).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_new_process_or_a_new_leader_is_not_growth() {
        let growth = grown(
            |index| Usage {
                process: if index < 70.0 { 1 } else { 2 },
                leads: index > 140.0,
                resident: index,
                ..STEADY
            },
            200,
        );
        assert_eq!((growth[0].first, growth[0].last), (81.0, 129.0));
    }

    #[test]
    fn a_few_samples_say_nothing() {
        assert!(grown(|_| STEADY, 59).is_empty());
    }
}
