//! The API server without the controller: status writes of the size of an intent, to objects that the controller does not
//! watch because they have an outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::figures::{Micros, Spread};
use super::load::{self, Load, NAMESPACE};

/// Concurrent status writes: as many as the controller sends.
pub(super) const IN_FLIGHT: usize = 16;

/// How a status is written.
#[derive(Clone, Copy)]
pub(super) enum Verb {
    /// The unit of the goals.
    Put,
    /// A merge patch, as the controller sends it to keep unknown fields.
    Patch,
}

/// The objects of the writes.
pub(super) struct Baseline {
    load: Load,
    names: Vec<String>,
    /// Increases with each write, so that each changes something.
    attempts: Arc<AtomicI64>,
}

impl Baseline {
    /// Creates the objects. Call it before the controller runs.
    pub(super) async fn create(load: &Load, count: usize) -> Result<Self> {
        let names: Vec<_> = (0..count).map(|n| format!("baseline-{n}")).collect();
        let create = |name: String| {
            let load = load.clone();
            async move {
                load.create(&name).await?;
                load.patch_status(&name, &status(&name, 1)).await
            }
        };
        load::at_once(names.clone(), IN_FLIGHT, create).await?;
        Ok(Self {
            load: load.clone(),
            names,
            attempts: Arc::new(AtomicI64::new(2)),
        })
    }

    /// The time of a merge patch of `/status`, at this pace.
    pub(super) async fn patches(&self, count: usize, per_second: u32) -> Result<Spread> {
        let names = self.names.iter().cycle().take(count).cloned().collect();
        let patch = |name: String| {
            let (load, attempt) = (self.load.clone(), self.next());
            async move {
                let status = status(&name, attempt);
                let begun = Instant::now();
                load.patch_status(&name, &status).await?;
                Ok(Micros::try_from(begun.elapsed().as_micros())?)
            }
        };
        Ok(Spread::of(load::paced(names, per_second, patch).await?))
    }

    /// How many writes of `/status` a second are answered, with [`IN_FLIGHT`] under way, each to an object of its own. Each
    /// names the version that it changes.
    pub(super) async fn rate(&self, verb: Verb, count: usize) -> Result<f64> {
        let rounds = count.div_ceil(IN_FLIGHT);
        let writers = self.names.iter().take(IN_FLIGHT).cloned().collect();
        let first_attempt = self
            .attempts
            .fetch_add(i64::try_from(rounds)? + 1, Ordering::Relaxed);
        let write = |name: String| {
            let load = self.load.clone();
            async move {
                let first = load
                    .patch_status(&name, &status(&name, first_attempt))
                    .await?;
                let mut version = version(&first)?;
                let begun = Instant::now();
                for round in 1..=rounds {
                    let attempt = first_attempt + i64::try_from(round)?;
                    let object = json!({
                        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
                        "metadata": {"name": name, "namespace": NAMESPACE, "resourceVersion": version},
                        "status": status(&name, attempt),
                    });
                    let answer = match verb {
                        Verb::Put => load.put_status(&name, &object).await?,
                        Verb::Patch => load.patch_object_status(&name, &object).await?,
                    };
                    version = self::version(&answer)?;
                }
                Ok((begun, Instant::now()))
            }
        };
        let times = load::at_once(writers, IN_FLIGHT, write).await?;
        let begun = times.iter().map(|(begun, _)| *begun).min();
        let ended = times.iter().map(|(_, ended)| *ended).max();
        let took = ended.zip(begun).context("nothing was written")?;
        Ok((rounds * times.len()) as f64 / took.0.duration_since(took.1).as_secs_f64())
    }

    fn next(&self) -> i64 {
        self.attempts.fetch_add(1, Ordering::Relaxed)
    }
}

fn version(object: &Value) -> Result<String> {
    let version = object.pointer("/metadata/resourceVersion");
    let version = version.and_then(Value::as_str);
    Ok(version
        .context("an object without resourceVersion")?
        .to_owned())
}

/// A status as the controller's intents write it, but with an outcome.
fn status(name: &str, attempt: i64) -> Value {
    const TIME: &str = "2026-01-02T03:04:05Z";
    let condition = |type_: &str, status: &str, reason: &str, message: &str| {
        json!({"type": type_, "status": status, "reason": reason, "message": message,
            "observedGeneration": 1, "lastTransitionTime": TIME})
    };
    let sending = "The cancel request is being sent to the Dialogflow API";
    json!({
        "observedGeneration": 1,
        "outcome": "Cancelled",
        "target": {"project": NAMESPACE, "location": "europe-west1", "operation": name, "service": "dialogflow",
            "version": "v2", "endpoint": "http://127.0.0.1:12345"},
        "identity": {"kind": "Operator", "principal": "opcancel@bench.iam.gserviceaccount.com"},
        "startTime": TIME, "cancelRequestTime": Timestamp::now().to_string(), "completionTime": TIME,
        "cancelAttempts": attempt,
        "operation": {"done": false, "metadataType": "type.googleapis.com/google.protobuf.Struct"},
        "conditions": [
            condition("Authorized", "True", "Granted", "A CancellationGrant allows it"),
            condition("CancelRequested", "Unknown", "Sending", "It is not known whether the Dialogflow API accepted the cancel request"),
            condition("Finished", "False", "Sending", "The operation has not ended yet"),
            condition("Ready", "Unknown", "Sending", sending),
            condition("Reconciling", "True", "Sending", sending),
        ],
    })
}
