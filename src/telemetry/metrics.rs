//! Counters in Prometheus' text format. No label is made from an object, a name or an answer's text.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// One call to a Google API.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    /// Get or Cancel.
    method: &'static str,
    /// OK or the name of an [`crate::google::answer::ErrorKind`].
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    /// intent, outcome or progress.
    kind: &'static str,
    /// written, conflict, unsure, failed or gone.
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchLabels {
    resource: &'static str,
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    outcomes: Family<OutcomeLabels, Counter>,
    writes: Family<WriteLabels, Counter>,
    watch_restarts: Family<WatchLabels, Counter>,
    events_dropped: Counter,
    pending: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("opcancel"),
            calls: Family::default(),
            outcomes: Family::default(),
            writes: Family::default(),
            watch_restarts: Family::default(),
            events_dropped: Counter::default(),
            pending: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "google_requests",
            "Calls to Google APIs by method and status",
            metrics.calls.clone(),
        );
        registry.register(
            "cancellations",
            "Outcomes that were recorded",
            metrics.outcomes.clone(),
        );
        registry.register(
            "status_writes",
            "Writes to /status by kind and result",
            metrics.writes.clone(),
        );
        registry.register(
            "watch_restarts",
            "Watches that were begun anew with a full list",
            metrics.watch_restarts.clone(),
        );
        registry.register(
            "events_dropped",
            "Kubernetes events that were not published",
            metrics.events_dropped.clone(),
        );
        registry.register(
            "pending",
            "Unfinished cancellations that this process knows of",
            metrics.pending.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// A call was answered: `method` is Get or Cancel, `status` OK or the name of an error kind.
    pub fn called(&self, method: &'static str, status: &'static str) {
        self.calls
            .get_or_create(&CallLabels { method, status })
            .inc();
    }

    /// An outcome was recorded.
    pub fn finished(&self, outcome: &'static str) {
        self.outcomes
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }

    /// A status write was answered.
    pub fn wrote(&self, kind: &'static str, result: &'static str) {
        self.writes
            .get_or_create(&WriteLabels { kind, result })
            .inc();
    }

    /// A watch was begun anew.
    pub fn watch_restarted(&self, resource: &'static str) {
        self.watch_restarts
            .get_or_create(&WatchLabels { resource })
            .inc();
    }

    /// A Kubernetes event was not published.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// How many unfinished cancellations are known.
    pub fn pending(&self, count: usize) {
        self.pending.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// All of it as Prometheus reads it.
    ///
    /// # Errors
    /// Never in practice: the text is written to memory.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_stands_in_the_text() {
        let metrics = Metrics::default();
        metrics.called("Get", "OK");
        metrics.called("Get", "OK");
        metrics.finished("Cancelled");
        metrics.wrote("intent", "written");
        metrics.pending(3);
        let text = metrics.text().unwrap();
        for line in [
            "opcancel_google_requests_total{method=\"Get\",status=\"OK\"} 2",
            "opcancel_cancellations_total{outcome=\"Cancelled\"} 1",
            "opcancel_status_writes_total{kind=\"intent\",result=\"written\"} 1",
            "opcancel_pending 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
