//! The clock of the election. It counts all time that passes, also while the process is stopped or the node is suspended.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// On Linux the monotonic clock stands still while the node is suspended. Other nodes' clocks go on.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Counts from its start.
#[derive(Clone, Copy, Debug)]
pub struct LeaseClock {
    origin: Duration,
}

impl LeaseClock {
    /// Starts the clock.
    pub fn start() -> Self {
        Self { origin: uptime() }
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        uptime().saturating_sub(self.origin)
    }
}

fn uptime() -> Duration {
    let time = clock_gettime(CLOCK);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}
