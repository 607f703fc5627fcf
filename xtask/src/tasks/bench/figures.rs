//! What a benchmark prints: quantiles, ratios beside their goals, and on which machine.

use std::fs;
use std::time::Instant;

use jiff::Timestamp;

/// Microseconds of the wall clock, or between two of its times. All processes of a run are on one machine and share it.
pub(super) type Micros = i64;

/// Now.
pub(super) fn now() -> Micros {
    Timestamp::now().as_microsecond()
}

/// As seconds.
pub(super) fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}

/// Times of one kind, sorted.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread(Vec<Micros>);

impl Spread {
    pub(super) fn of(times: impl IntoIterator<Item = Micros>) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest time that this share of all do not exceed, in milliseconds; of 200 the 99th percentile is the 198th.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        let found = self.0.get(rank.saturating_sub(1));
        found.map_or(f64::NAN, |micros| *micros as f64 / 1000.0)
    }

    pub(super) fn p50(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(super) fn p99(&self) -> f64 {
        self.quantile(0.99)
    }

    /// A table's row: what, p50, p99, in milliseconds.
    pub(super) fn row(&self, what: &str) {
        println!("| {what} | {:.2} | {:.2} |", self.p50(), self.p99());
    }
}

/// A figure beside its goal: what, figure, goal, and whether it is met.
pub(super) fn judged(what: &str, figure: f64, unit: &str, at_least: bool, goal: f64) {
    let met = if at_least {
        figure >= goal
    } else {
        figure <= goal
    };
    println!(
        "| {what} | {figure:.2}{unit} | {} {goal}{unit} | {} |",
        if at_least { "at least" } else { "at most" },
        if met { "met" } else { "missed" }
    );
}

/// Prints the head of a table.
pub(super) fn head(columns: &[&str]) {
    println!("\n| {} |", columns.join(" | "));
    println!("|{}", "---|".repeat(columns.len()));
}

/// The machine, and how busy it was.
pub(super) struct Machine {
    load_before: String,
    began: (Instant, Micros),
}

impl Machine {
    /// To be called before anything is started.
    pub(super) fn before() -> Self {
        Self {
            load_before: load_average(),
            began: (Instant::now(), now()),
        }
    }

    /// Prints it, and how far the wall clock, by which processes are compared, strayed from the monotonic one.
    pub(super) fn print(&self) {
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        let kernel = read("/proc/sys/kernel/osrelease");
        println!(
            "\n{cpus} CPUs ({}), {}, Linux {}",
            field("/proc/cpuinfo", "model name"),
            field("/proc/meminfo", "MemTotal"),
            kernel.trim()
        );
        println!(
            "load average before {}, at the end {}",
            self.load_before,
            load_average()
        );
        let (instant, wall) = self.began;
        let monotonic = i64::try_from(instant.elapsed().as_micros()).unwrap_or(i64::MAX);
        let strayed = now() - wall - monotonic;
        println!(
            "the wall clock drifted {:.2} ms from the monotonic clock in {:.0} s",
            strayed as f64 / 1000.0,
            instant.elapsed().as_secs_f64()
        );
    }
}

fn load_average() -> String {
    let text = read("/proc/loadavg");
    let words: Vec<_> = text.split(' ').take(3).collect();
    words.join(" ")
}

fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(
        || "unknown".to_owned(),
        |(_, value)| value.trim().to_owned(),
    )
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let spread = Spread::of((1..=200).rev().map(|n| n * 1000));
        assert_eq!((spread.p50(), spread.p99()), (100.0, 198.0));
        assert_eq!(Spread::of([7000]).p99(), 7.0);
        assert!(Spread::default().p50().is_nan());
    }
}
