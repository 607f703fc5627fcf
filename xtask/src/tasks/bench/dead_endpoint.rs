//! `bench dead-endpoint`: many operations, half of them at an endpoint that accepts connections and never answers, and what they do to a
//! new cancel of the same tenant at another endpoint.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::baseline::IN_FLIGHT;
use super::environment::{Environment, Metrics};
use super::figures::{self, Spread};
use super::load::{self, NAMESPACE};
use super::phases;
use crate::tasks::tcp_proxy::{Proxy, Way};

/// New cancels a second.
const RATE: u32 = 20;

/// What a new cancel may take beside the dead half, as a multiple of what it takes without.
const GOAL: f64 = 1.5;

/// The memory limit of the Deployment, in MiB.
const MEMORY_LIMIT: f64 = 256.0;

/// The location whose endpoint is dead.
const LOCATION: &str = "us-central1";

/// How long all operations of a half may take to be polled: each needs three status writes' time.
fn limit(half: usize) -> Duration {
    super::PATIENCE + Duration::from_millis(60) * u32::try_from(half).unwrap_or(u32::MAX)
}

/// Measures and prints.
pub(super) fn measure(environment: &mut Environment, pending: usize, objects: usize) -> Result<()> {
    let (_, google) = environment
        .google()
        .split_once("://")
        .context("the emulator has no URL")?;
    // It passes bytes on while this thread waits.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    // The endpoint answers at the start, so that the controller becomes ready.
    let endpoint = runtime.block_on(Proxy::start(google.parse()?))?;
    environment.start_controller_beside(LOCATION, &format!("http://{}", endpoint.address))?;
    phases::paced(environment, "fast-warm", 40, RATE)?;
    let half = pending / 2;
    let names = (0..half).map(|n| format!("never-{n}")).collect();
    let each = |name| phases::create(environment.load.clone(), name);
    environment
        .runtime
        .block_on(load::at_once(names, IN_FLIGHT, each))?;
    // All were cancelled, and nothing but polls is left.
    environment.wait(limit(half), |metrics| {
        metrics.sum("opcancel_pending{state=\"Polling\"}") >= half as f64
            && metrics.sum("opcancel_queue_depth{") == 0.0
    })?;
    let without = phases::paced(environment, "fast-without", objects, RATE)?;

    endpoint.set(Way::Silent);
    let bodies = (0..half).map(at_dead_endpoint).collect();
    let each = |body: Value| {
        let load = environment.load.clone();
        async move { load.create_object(NAMESPACE, body).await.map(drop) }
    };
    environment
        .runtime
        .block_on(load::at_once(bodies, IN_FLIGHT, each))?;
    environment.wait(limit(half), |metrics| {
        metrics.sum("opcancel_pending{") >= (2 * half) as f64
    })?;
    // Many that come at once cost the API server time whatever they are: each has its intent written.
    let writes = |metrics: &Metrics| {
        let lanes = ["urgent_write", "other_write"];
        let waiting = lanes.map(|lane| format!("opcancel_queue_depth{{lane=\"{lane}\"}}"));
        waiting.iter().map(|lane| metrics.sum(lane)).sum::<f64>()
    };
    let waiting = writes(&environment.metrics()?);
    let during = phases::paced(environment, "fast-during", objects, RATE)?;
    environment.wait(limit(half), |metrics| writes(metrics) == 0.0)?;
    let with = phases::paced(environment, "fast-with", objects, RATE)?;
    let memory = environment.metrics()?.resident();

    let (alone, first, beside) = (without.to_cancel(), during.to_cancel(), with.to_cancel());
    println!(
        "\n{half} operations that never end, and {half} more at an endpoint that never answers"
    );
    figures::head(&[
        "new cancel",
        "without the dead half",
        "while its intents are written",
        "with it",
    ]);
    for (name, of) in [
        ("p50", Spread::p50 as fn(&Spread) -> f64),
        ("p99", Spread::p99),
    ] {
        println!(
            "| {name} ms | {:.2} | {:.2} | {:.2} |",
            of(&alone),
            of(&first),
            of(&beside)
        );
    }
    println!("\nWhen the second of these began, {waiting:.0} intents were waiting");
    figures::head(&["", "measured", "goal", ""]);
    let ratio = beside.p99() / alone.p99();
    figures::judged(
        "p99, with / without the dead half",
        ratio,
        " x",
        false,
        GOAL,
    );
    figures::judged("resident memory", memory, " MiB", false, MEMORY_LIMIT);
    without.print("without the dead half");
    during.print("while its intents are written");
    with.print("with the dead half");
    Ok(())
}

fn at_dead_endpoint(n: usize) -> Value {
    let name = format!("dead-{n}");
    json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "service": "dialogflow",
            "operationName": format!("projects/{NAMESPACE}/locations/{LOCATION}/operations/{name}"),
        },
    })
}
