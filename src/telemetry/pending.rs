//! Counting an unfinished object by its state.

use std::sync::Arc;

use super::metrics::Metrics;

/// Counts one object for as long as this value lives, so that the count is right however the object is dropped.
#[derive(Debug)]
pub struct Pending {
    metrics: Arc<Metrics>,
    state: &'static str,
}

impl Pending {
    /// Counts an object in this state, one of [`super::series::states`].
    pub fn new(metrics: Arc<Metrics>, state: &'static str) -> Self {
        metrics.add_pending(state);
        Self { metrics, state }
    }

    /// Moves the object to another state.
    pub fn moved_to(&mut self, state: &'static str) {
        if state != self.state {
            self.metrics.remove_pending(self.state);
            self.metrics.add_pending(state);
            self.state = state;
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.metrics.remove_pending(self.state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exposition::Format;

    #[test]
    fn an_object_is_counted_once_and_for_as_long_as_the_value_lives() {
        let metrics = Arc::<Metrics>::default();
        metrics.leads(true);
        let shown = |state: &str| {
            let text = metrics.text(Format::Text).unwrap();
            let start = format!("opcancel_pending{{state=\"{state}\"}} ");
            text.lines()
                .find_map(|line| line.strip_prefix(&start).map(str::to_owned))
                .unwrap()
        };
        let mut object = Pending::new(metrics.clone(), "New");
        let other = Pending::new(metrics.clone(), "New");
        assert_eq!(shown("New"), "2");
        object.moved_to("Polling");
        object.moved_to("Polling");
        assert_eq!((shown("New"), shown("Polling")), ("1".into(), "1".into()));
        drop((object, other));
        assert_eq!((shown("New"), shown("Polling")), ("0".into(), "0".into()));
    }
}
