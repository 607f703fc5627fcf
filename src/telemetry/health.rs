//! Readiness and liveness of the process.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// A dispatcher whose last heartbeat is older than this is stuck.
const MAX_HEARTBEAT_AGE: Duration = Duration::from_secs(60);

/// The state behind `/readyz` and `/livez`.
#[derive(Debug)]
pub struct Health {
    /// The steps that are not done, each with the reason. The process is ready if there is none.
    missing: Mutex<BTreeMap<&'static str, String>>,
    changed: Notify,
    started: Instant,
    /// Time of the dispatcher's last heartbeat, in milliseconds after the start; 0 before it runs.
    last_beat: AtomicU64,
}

impl Health {
    /// Creates a state that is not ready until each of these steps is done.
    pub fn waiting_for(steps: &[&'static str]) -> Self {
        let missing = steps
            .iter()
            .map(|step| (*step, "not done yet".to_owned()))
            .collect();
        Self {
            missing: Mutex::new(missing),
            changed: Notify::new(),
            started: Instant::now(),
            last_beat: AtomicU64::new(0),
        }
    }

    /// Marks a step as done.
    pub fn done(&self, step: &str) {
        let mut missing = self.lock();
        if missing.remove(step).is_some() && missing.is_empty() {
            tracing::info!("ready");
        }
        drop(missing);
        self.changed.notify_waiters();
    }

    /// Waits until all of these steps are done.
    pub async fn wait_for(&self, steps: &[&str]) {
        loop {
            // From here on no change is missed.
            let changed = self.changed.notified();
            if !steps.iter().any(|step| self.lock().contains_key(step)) {
                return;
            }
            changed.await;
        }
    }

    /// Marks a step as not done, or no longer done, and says why.
    pub fn not_yet(&self, step: &'static str, why: impl Into<String>) {
        self.lock().insert(step, why.into());
    }

    /// Changes the reason of a step that is not done. Does nothing if the step is done.
    pub fn explain(&self, step: &str, why: impl Into<String>) {
        if let Some(reason) = self.lock().get_mut(step) {
            *reason = why.into();
        }
    }

    /// The steps that are not done, one line each; `None` if the process is ready.
    pub fn missing(&self) -> Option<String> {
        let missing = self.lock();
        (!missing.is_empty()).then(|| {
            missing
                .iter()
                .map(|(step, why)| format!("{step}: {why}\n"))
                .collect::<String>()
        })
    }

    /// Records a heartbeat of the dispatcher.
    pub fn beat(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_beat.store(now.max(1), Ordering::Relaxed);
    }

    /// Whether the dispatcher had a recent heartbeat, or has not started yet.
    pub fn is_alive(&self) -> bool {
        match self.last_beat.load(Ordering::Relaxed) {
            0 => true,
            beat => {
                self.started
                    .elapsed()
                    .saturating_sub(Duration::from_millis(beat))
                    < MAX_HEARTBEAT_AGE
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_once_every_step_is_done() {
        let health = Health::waiting_for(&["grants", "token"]);
        health.done("grants");
        health.not_yet("token", "no answer");
        assert_eq!(health.missing().as_deref(), Some("token: no answer\n"));
        health.done("token");
        assert_eq!(health.missing(), None);
        health.not_yet("stopping", "SIGTERM");
        assert!(health.missing().is_some());
    }

    #[tokio::test]
    async fn some_steps_can_be_waited_for() {
        let health = Health::waiting_for(&["grants", "token"]);
        let mut waiting = Box::pin(health.wait_for(&["grants"]));
        assert!(futures::poll!(&mut waiting).is_pending());
        health.done("token");
        assert!(futures::poll!(&mut waiting).is_pending());
        health.done("grants");
        assert!(futures::poll!(&mut waiting).is_ready());
    }

    #[test]
    fn a_process_that_has_not_begun_is_alive() {
        let health = Health::waiting_for(&[]);
        assert!(health.is_alive());
        health.beat();
        assert!(health.is_alive());
    }
}
