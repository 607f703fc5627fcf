//! `bench dead-endpoint`: many operations, half of them at an endpoint that accepts connections and never answers, and what they do to a
//! new cancel of the same tenant at another endpoint.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::baseline::IN_FLIGHT;
use super::environment::Environment;
use super::figures;
use super::load::{self, NAMESPACE};
use super::phases;

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
    let endpoint = Endpoint::start(environment.google())?;
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

    endpoint.fall_silent();
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
    environment.wait(limit(half), |metrics| {
        metrics.sum("opcancel_queue_depth{lane=\"urgent_write\"}") == 0.0
    })?;
    let with = phases::paced(environment, "fast-with", objects, RATE)?;
    let memory = environment.metrics()?.resident();

    let (alone, beside) = (without.to_cancel(), with.to_cancel());
    println!(
        "\n{half} operations that never end, and {half} more at an endpoint that never answers"
    );
    figures::head(&["new cancel", "without the dead half", "with it"]);
    println!("| p50 ms | {:.2} | {:.2} |", alone.p50(), beside.p50());
    println!("| p99 ms | {:.2} | {:.2} |", alone.p99(), beside.p99());
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
    with.print("with the dead half");
    Ok(())
}

/// An endpoint that answers at the start, so that the controller becomes ready.
struct Endpoint {
    address: SocketAddr,
    is_silent: Arc<AtomicBool>,
}

impl Endpoint {
    /// One that passes connections on to this URL. Its threads end with the process.
    fn start(url: &str) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (_, server) = url.split_once("://").context("the emulator has no URL")?;
        let server: SocketAddr = server.parse()?;
        let endpoint = Self {
            address: listener.local_addr()?,
            is_silent: Arc::default(),
        };
        let is_silent = endpoint.is_silent.clone();
        thread::spawn(move || {
            // Later ones wait in the kernel's queue for ever.
            while !is_silent.load(Ordering::Relaxed) {
                let connected = listener.accept().and_then(|(near, _)| {
                    let far = TcpStream::connect(server)?;
                    pass_on(near.try_clone()?, far.try_clone()?, is_silent.clone());
                    pass_on(far, near, is_silent.clone());
                    Ok(())
                });
                if let Err(error) = connected {
                    eprintln!("a connection to the endpoint failed: {error}");
                }
            }
            loop {
                thread::park();
            }
        });
        Ok(endpoint)
    }

    /// From now on nothing passes, and all connections stay open.
    fn fall_silent(&self) {
        self.is_silent.store(true, Ordering::Relaxed);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, is_silent: Arc<AtomicBool>) {
    thread::spawn(move || -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let read = from.read(&mut buffer)?;
            if is_silent.load(Ordering::Relaxed) {
                loop {
                    thread::park();
                }
            }
            match buffer.get(..read) {
                None | Some([]) => return to.shutdown(std::net::Shutdown::Write),
                Some(bytes) => to.write_all(bytes)?,
            }
        }
    });
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
