//! The load: requests to the API server as a ServiceAccount, over connections that are kept.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::figures::{Micros, Spread, now};
use crate::tasks::load_client;

/// Where the objects of a benchmark are; the project of their operations too.
pub(super) const NAMESPACE: &str = "bench";

/// Where a bad neighbour's objects are; the project of its operations too.
pub(super) const NEIGHBOUR: &str = "neighbour";

/// What the load shows to the emulator.
pub(super) const TOKEN: &str = "bench";

/// A kind of objects that the load writes.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) plural: &'static str,
}

/// The cancellations.
const CANCELLATIONS: Kind = Kind {
    name: "OperationCancellation",
    plural: "operationcancellations",
};

/// A kind with the same schema that no controller watches: a write costs the API server the same, and the controller nothing.
pub(super) const UNWATCHED: Kind = Kind {
    name: "UnwatchedCancellation",
    plural: "unwatchedcancellations",
};

/// A client of the API server. Clones share its connections.
#[derive(Clone)]
pub(super) struct Load {
    client: Client,
    server: Arc<str>,
    kind: Kind,
}

impl Load {
    /// With a ServiceAccount's token; `authorities` in PEM.
    pub(super) fn new(server: &str, authorities: &[u8], token: &str) -> Result<Self> {
        let client = load_client::builder(authorities, token)?
            .user_agent("opcancel-bench")
            .build()?;
        Ok(Self {
            client,
            server: server.into(),
            kind: CANCELLATIONS,
        })
    }

    /// The same client for objects of another kind.
    pub(super) fn of(&self, kind: Kind) -> Self {
        Self {
            kind,
            ..self.clone()
        }
    }

    /// The path of a namespace's objects.
    fn objects(&self, namespace: &str) -> String {
        let plural = self.kind.plural;
        format!("/apis/opcancel.github.io/v1alpha1/namespaces/{namespace}/{plural}")
    }

    /// Creates an object for the operation of the same name.
    pub(super) async fn create(&self, name: &str) -> Result<Value> {
        let object = json!({
            "metadata": {"name": name},
            "spec": {"service": "dialogflow", "operationName": operation(name)},
        });
        self.create_object(NAMESPACE, object).await
    }

    /// Creates an object in any namespace. Its kind need not be given.
    pub(super) async fn create_object(&self, namespace: &str, mut object: Value) -> Result<Value> {
        if let Some(object) = object.as_object_mut() {
            object.insert(
                "apiVersion".to_owned(),
                "opcancel.github.io/v1alpha1".into(),
            );
            object.insert("kind".to_owned(), self.kind.name.into());
        }
        let path = self.objects(namespace);
        self.send(Method::POST, &path, "application/json", &object)
            .await
    }

    /// Changes an object, and nothing that anybody reads.
    pub(super) async fn annotate(&self, namespace: &str, name: &str, n: u64) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {"bench": n.to_string()}}});
        self.merge(namespace, name, &patch).await
    }

    /// Merges a patch into an object in any namespace; `name` may end with `/status`.
    pub(super) async fn merge(&self, namespace: &str, name: &str, patch: &Value) -> Result<()> {
        let path = format!("{}/{name}", self.objects(namespace));
        self.send(Method::PATCH, &path, "application/merge-patch+json", patch)
            .await
            .map(drop)
    }

    /// Deletes an object in any namespace.
    pub(super) async fn delete(&self, namespace: &str, name: &str) -> Result<()> {
        let path = format!("{}/{name}", self.objects(namespace));
        self.send(Method::DELETE, &path, "application/json", &Value::Null)
            .await
            .map(drop)
    }

    /// Grants the neighbour its project with these services, or takes the grant away.
    pub(super) async fn allow_neighbour(&self, allowed: bool, services: &[&str]) -> Result<()> {
        let grants = "/apis/opcancel.github.io/v1alpha1/cancellationgrants";
        let path = format!("{grants}/{NEIGHBOUR}?fieldManager=bench&force=true");
        let grant = json!({
            "apiVersion": "opcancel.github.io/v1alpha1", "kind": "CancellationGrant",
            "metadata": {"name": NEIGHBOUR},
            "spec": {
                "namespaces": [NEIGHBOUR], "services": services, "identities": ["Operator"],
                // Without its own project it is allowed nothing that it asks for.
                "projects": [if allowed { NEIGHBOUR } else { "nothing" }],
            },
        });
        self.send(Method::PATCH, &path, "application/apply-patch+yaml", &grant)
            .await
            .map(drop)
    }

    /// How many objects a namespace has.
    pub(super) async fn count(&self, namespace: &str) -> Result<usize> {
        // One is enough: the list says how many more there are.
        let path = format!("{}?limit=1", self.objects(namespace));
        let list = self
            .send(Method::GET, &path, "application/json", &Value::Null)
            .await?;
        let items = list.get("items").and_then(Value::as_array);
        let more = list.pointer("/metadata/remainingItemCount");
        let more = more.and_then(Value::as_u64).unwrap_or(0);
        Ok(items.map_or(0, Vec::len) + usize::try_from(more)?)
    }

    /// Deletes all objects of a namespace.
    pub(super) async fn delete_all(&self, namespace: &str) -> Result<()> {
        self.send(
            Method::DELETE,
            &self.objects(namespace),
            "application/json",
            &Value::Null,
        )
        .await
        .map(drop)
    }

    /// Changes a status by a merge patch.
    pub(super) async fn patch_status(&self, name: &str, status: &Value) -> Result<Value> {
        self.patch_object_status(name, &json!({ "status": status }))
            .await
    }

    /// The same, of the object that is written.
    pub(super) async fn patch_object_status(&self, name: &str, object: &Value) -> Result<Value> {
        let path = format!("{}/{name}/status", self.objects(NAMESPACE));
        self.send(Method::PATCH, &path, "application/merge-patch+json", object)
            .await
    }

    /// Replaces a status; the object has the resourceVersion that it is based on.
    pub(super) async fn put_status(&self, name: &str, object: &Value) -> Result<Value> {
        let path = format!("{}/{name}/status", self.objects(NAMESPACE));
        self.send(Method::PUT, &path, "application/json", object)
            .await
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: &Value) -> Result<Value> {
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.server));
        if !body.is_null() {
            request = request.header(CONTENT_TYPE, kind).body(body.to_string());
        }
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if !status.is_success() {
            bail!(
                "{method} {path}: {status}: {}",
                String::from_utf8_lossy(&body)
            );
        }
        Ok(serde_json::from_slice(&body)?)
    }

    /// How long the emulator takes to answer a GET of this operation, in milliseconds: the median of 20.
    pub(super) async fn answer_of_google(&self, url: &str, name: &str) -> Result<f64> {
        let mut times = Vec::new();
        for _ in 0..20 {
            // Not ours, but the one that the scenario knows.
            let request = self.client.get(format!("{url}/v2/{}", operation(name)));
            let begun = Instant::now();
            let answer = request
                .header(AUTHORIZATION, format!("Bearer {TOKEN}"))
                .send()
                .await?;
            answer.error_for_status()?.bytes().await?;
            times.push(Micros::try_from(begun.elapsed().as_micros())?);
        }
        Ok(Spread::of(times).p50())
    }

    /// Watches the unfinished objects from now on as the controller does, and notes when each was first seen.
    pub(super) async fn witness(&self) -> Result<Witness> {
        let objects = format!("{}{}", self.server, self.objects(NAMESPACE));
        // From now on: without a version it would first show all that there are.
        let list = self.client.get(format!("{objects}?limit=1")).send().await?;
        let list: Value = serde_json::from_slice(&list.error_for_status()?.bytes().await?)?;
        let version = list.pointer("/metadata/resourceVersion");
        let version = version
            .and_then(Value::as_str)
            .context("a list without version")?;
        let url = format!(
            "{objects}?watch=true&fieldSelector=status.outcome%3D&resourceVersion={version}"
        );
        let mut answer = self.client.get(&url).send().await?.error_for_status()?;
        let seen = Arc::<Mutex<BTreeMap<String, Micros>>>::default();
        let noted = seen.clone();
        let task = tokio::spawn(async move {
            let mut buffer = Vec::new();
            while let Ok(Some(chunk)) = answer.chunk().await {
                let at = now();
                buffer.extend_from_slice(&chunk);
                while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=end).collect();
                    if let Ok(event) = serde_json::from_slice::<WatchEvent>(&line) {
                        let mut seen = noted.lock().unwrap_or_else(PoisonError::into_inner);
                        seen.entry(event.object.metadata.name).or_insert(at);
                    }
                }
            }
        });
        Ok(Witness { seen, task })
    }
}

/// The name of the operation that an object of this name cancels.
pub(super) fn operation(name: &str) -> String {
    format!("projects/{NAMESPACE}/locations/europe-west1/operations/{name}")
}

#[derive(Deserialize)]
struct WatchEvent {
    object: Seen,
}

#[derive(Deserialize)]
struct Seen {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

/// A watch beside the controller's own.
pub(super) struct Witness {
    seen: Arc<Mutex<BTreeMap<String, Micros>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Witness {
    /// Ends it: when each object was first seen.
    pub(super) fn end(self) -> BTreeMap<String, Micros> {
        self.task.abort();
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Does something once for each of the names, so many a second, however long each takes.
pub(super) async fn paced<T, F>(
    names: Vec<String>,
    per_second: u32,
    each: impl Fn(String) -> F,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut ticks = interval(Duration::from_secs(1) / per_second.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut tasks = JoinSet::new();
    for name in names {
        ticks.tick().await;
        tasks.spawn(each(name));
    }
    all(tasks).await
}

/// Does something once for each item, so many at a time; how long it took from the first to the last.
pub(super) async fn at_once<I, T, F>(
    items: Vec<I>,
    in_flight: usize,
    each: impl Fn(I) -> F,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut done = Vec::with_capacity(items.len());
    for item in items {
        if tasks.len() >= in_flight {
            let next = tasks.join_next().await.context("no task")?;
            done.push(next.context("a request's task died")??);
        }
        tasks.spawn(each(item));
    }
    done.extend(all(tasks).await?);
    Ok(done)
}

async fn all<T: Send + 'static>(mut tasks: JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut done = Vec::new();
    while let Some(next) = tasks.join_next().await {
        done.push(next.context("a request's task died")??);
    }
    Ok(done)
}
