//! Says what is wrong when it begins and when it changes, and once a minute while it lasts; not at every try.

use std::time::Duration;

use tokio::time::Instant;

/// How often the same complaint is said again.
const REMIND_AFTER: Duration = Duration::from_secs(60);

/// What was said last.
#[derive(Debug, Default)]
pub struct Complaint {
    said: Option<(String, Instant)>,
}

impl Complaint {
    /// Logs it as a warning, unless it was said a moment ago.
    pub fn say(&mut self, text: &str) {
        let now = Instant::now();
        if let Some((before, at)) = &self.said
            && before == text
            && now.duration_since(*at) < REMIND_AFTER
        {
            return;
        }
        tracing::warn!("{text}");
        self.said = Some((text.to_owned(), now));
    }

    /// It is over; says so if anything was said.
    pub fn cured(&mut self, text: &str) {
        if self.said.take().is_some() {
            tracing::info!("{text}");
        }
    }
}
