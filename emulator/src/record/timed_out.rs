//! The error of a wait whose condition was not met in time.

use std::{fmt, time::Duration};

use crate::record::RequestRecord;

/// The requests did not become as expected in time.
#[derive(Debug, thiserror::Error)]
pub struct TimedOut {
    /// The time limit.
    pub waited: Duration,
    /// The requests at the end.
    pub requests: Vec<RequestRecord>,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not met within {:?}; {} requests were seen:",
            self.waited,
            self.requests.len()
        )?;
        self.requests.iter().try_for_each(|request| {
            write!(
                f,
                "\n  {:?} {} {} {:?}",
                request.since_start, request.method, request.path, request.answer
            )
        })
    }
}
