//! Says that status writes fail: the first at once, with its object; of the others how many, twice a minute. Pure.

use std::time::Duration;

/// So long after a line the next one comes.
const EVERY: Duration = Duration::from_secs(30);

/// What was told, and what was not.
#[derive(Debug, Default)]
pub struct WriteComplaints {
    told_at: Option<Duration>,
    untold: u64,
    last: String,
}

impl WriteComplaints {
    /// A write failed. Whether that is to be told now, by itself.
    pub fn is_to_be_told(&mut self, why: &str, now: Duration) -> bool {
        if self.untold == 0
            && self
                .told_at
                .is_none_or(|at| now >= at.saturating_add(EVERY))
        {
            self.told_at = Some(now);
            return true;
        }
        self.untold = self.untold.saturating_add(1);
        why.clone_into(&mut self.last);
        false
    }

    /// One line about those that were not told, if it is time. Asked every few seconds.
    pub fn line(&mut self, now: Duration) -> Option<String> {
        let at = self.told_at?;
        if self.untold == 0 || now < at.saturating_add(EVERY) {
            return None;
        }
        self.told_at = Some(now);
        let (count, seconds) = (
            std::mem::take(&mut self.untold),
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
    fn of_many_the_first_is_told_and_then_how_many() {
        let (mut complaints, mut lines) = (WriteComplaints::default(), Vec::new());
        for ms in 0..100_000u64 {
            let now = Duration::from_millis(ms);
            if complaints.is_to_be_told("HTTP 503", now) {
                lines.push("one".to_owned());
            }
            if ms.is_multiple_of(5000) {
                lines.extend(complaints.line(now));
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
        // Long after, the first is told again by itself.
        assert!(complaints.line(Duration::from_secs(200)).is_some());
        assert_eq!(complaints.line(Duration::from_secs(300)), None);
        assert!(complaints.is_to_be_told("HTTP 503", Duration::from_secs(301)));
    }
}
