//! The process's clocks.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::lifecycle::Now;

/// Both clocks; the monotonic one counts from the moment when this was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts counting.
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// The time now.
    pub fn now(&self) -> Now {
        Now {
            wall: Timestamp::now(),
            mono: self.mono(),
        }
    }

    /// The monotonic time now.
    pub fn mono(&self) -> Duration {
        self.origin.elapsed()
    }

    /// When a monotonic time is, for timers.
    pub fn instant(&self, mono: Duration) -> Instant {
        self.origin + mono
    }
}
