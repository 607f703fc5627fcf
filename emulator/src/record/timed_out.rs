//! What a wait in a test ends with that was not met.

use std::{fmt, time::Duration};

use crate::record::RequestRecord;

/// The time ran out before the requests were as expected.
#[derive(Debug, thiserror::Error)]
pub struct TimedOut {
    /// How long was waited.
    pub waited: Duration,
    /// The requests seen by then.
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
