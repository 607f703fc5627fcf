//! Delays that double.

use std::time::Duration;

/// The delay after the `failures`-th failure in a row: `first`, doubled for each failure after the first, at most `longest`.
/// Without a failure it is `first` too. Jitter is the caller's.
pub fn doubling(first: Duration, longest: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(u32::BITS - 1);
    first.saturating_mul(1 << doublings).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_delay_up_to_the_longest() {
        let (first, longest) = (Duration::from_millis(500), Duration::from_secs(3));
        let delays: Vec<_> = [0, 1, 2, 3, 4, 5, 33, u32::MAX]
            .map(|failures| doubling(first, longest, failures).as_millis())
            .into();
        assert_eq!(delays, [500, 500, 1000, 2000, 3000, 3000, 3000, 3000]);
        assert_eq!(
            doubling(Duration::MAX, Duration::MAX, u32::MAX),
            Duration::MAX
        );
    }
}
