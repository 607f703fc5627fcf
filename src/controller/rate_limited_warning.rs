//! A warning about a lasting problem: logged when the problem begins or changes, then once a minute, not at every try.

use std::time::Duration;

use tokio::time::Instant;

/// The same warning is logged again after this time.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// One problem, and when it was last logged.
#[derive(Debug, Default)]
pub struct RateLimitedWarning {
    logged: Option<(String, Instant)>,
}

impl RateLimitedWarning {
    /// Logs the warning, unless the same one was logged less than a minute ago.
    pub fn warn(&mut self, text: &str) {
        let now = Instant::now();
        if let Some((before, at)) = &self.logged
            && before == text
            && now.duration_since(*at) < REPEAT_AFTER
        {
            return;
        }
        tracing::warn!("{text}");
        self.logged = Some((text.to_owned(), now));
    }

    /// The problem is over: logs `text` if a warning was logged before.
    pub fn resolved(&mut self, text: &str) {
        if self.logged.take().is_some() {
            tracing::info!("{text}");
        }
    }
}
