//! Warnings about failed status writes: the first is logged at once with its object, the others are counted in one line every
//! 30 seconds. Pure.

use std::time::Duration;

/// The time between two lines.
const INTERVAL: Duration = Duration::from_secs(30);

/// When a line was last logged, and what has failed since.
#[derive(Debug, Default)]
pub struct WriteWarnings {
    logged_at: Option<Duration>,
    unlogged: u64,
    last: String,
}

impl WriteWarnings {
    /// Notes a failed write. Returns whether it has to be logged now.
    pub fn has_to_be_logged(&mut self, why: &str, now: Duration) -> bool {
        if self.unlogged == 0
            && self
                .logged_at
                .is_none_or(|at| now >= at.saturating_add(INTERVAL))
        {
            self.logged_at = Some(now);
            return true;
        }
        self.unlogged = self.unlogged.saturating_add(1);
        why.clone_into(&mut self.last);
        false
    }

    /// One line about the failures that were not logged, if it is due. To be called every few seconds.
    pub fn summary(&mut self, now: Duration) -> Option<String> {
        let at = self.logged_at?;
        if self.unlogged == 0 || now < at.saturating_add(INTERVAL) {
            return None;
        }
        self.logged_at = Some(now);
        let (count, seconds) = (
            std::mem::take(&mut self.unlogged),
            now.saturating_sub(at).as_secs(),
        );
        Some(format!(
            "{count} more status writes failed in the last {seconds} s. The last error: {}",
            std::mem::take(&mut self.last)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_failures_the_first_is_logged_and_then_their_number() {
        let (mut warnings, mut lines) = (WriteWarnings::default(), Vec::new());
        for ms in 0..100_000u64 {
            let now = Duration::from_millis(ms);
            if warnings.has_to_be_logged("HTTP 503", now) {
                lines.push("one".to_owned());
            }
            if ms.is_multiple_of(5000) {
                lines.extend(warnings.summary(now));
            }
        }
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!(lines[0], "one");
        assert!(
            lines[1].starts_with(
                "30000 more status writes failed in the last 30 s. The last error: HTTP 503"
            ),
            "{lines:?}"
        );
        // Long after, the first is logged by itself again.
        assert!(warnings.summary(Duration::from_secs(200)).is_some());
        assert_eq!(warnings.summary(Duration::from_secs(300)), None);
        assert!(warnings.has_to_be_logged("HTTP 503", Duration::from_secs(301)));
    }
}
