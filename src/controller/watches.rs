//! What the API server shows: unfinished cancellations and grants.
//!
//! kube's watcher recovers from most faults by itself, but not from all (an HTTP 410 at a watch's start never lists again,
//! and events that an etcd restore swallowed are never noticed). So every watch is begun anew with a full list every
//! 10 minutes, at once after a 410, and after errors in a row.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::{Stream, StreamExt, future::Either, stream, stream::BoxStream};
use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject},
    runtime::watcher::{self, Event, watcher},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    complaint::Complaint,
    grants::{GrantBook, Grants},
    kube_error, object_view,
};
use crate::{
    api::CancellationGrantSpec,
    google::endpoint::EndpointOverrides,
    lifecycle::ObjectView,
    telemetry::{health::Health, metrics::Metrics},
};

/// A full list is taken this often, give or take a tenth.
const RELIST_AFTER: Duration = Duration::from_secs(600);

/// One watch request lasts this many seconds, then the next goes on from there. Five more without a sign of life, and the
/// connection is taken for dead.
const WATCH_SECONDS: u32 = 60;

/// Errors in a row after which a watch is begun anew.
const ERRORS_IN_A_ROW: u32 = 4;

/// The delays between tries that fail.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The objects that are not finished: the watch says DELETED when an outcome is recorded.
const UNFINISHED: &str = "status.outcome=";

/// What a watch of cancellations says.
#[derive(Debug)]
pub enum Sighting {
    /// An unfinished object, new or changed.
    Seen(Box<ObjectView>),
    /// The object with this uid is finished or gone.
    Gone(String),
    /// A full list was read: of this namespace, or of all, no other objects are unfinished.
    Listed {
        /// `None` means all namespaces.
        namespace: Option<String>,
        /// The uids.
        uids: HashSet<String>,
    },
}

/// What every watch needs.
#[derive(Clone)]
pub struct Watches {
    /// The Kubernetes client.
    pub client: Client,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Readiness.
    pub health: Arc<Health>,
}

impl Watches {
    /// Watches the unfinished cancellations of one namespace or of all, until the receiver is gone. Reports the first list
    /// as `step` of the readiness.
    pub async fn cancellations(
        self,
        resource: ApiResource,
        namespace: Option<String>,
        overrides: EndpointOverrides,
        sightings: mpsc::Sender<Sighting>,
        step: &'static str,
    ) {
        let api: Api<DynamicObject> = match &namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let config = watcher::Config::default().fields(UNFINISHED).timeout(WATCH_SECONDS);
        let mut events = Box::pin(self.clone().events(api, config, "operationcancellations", step));
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            let sighting = match event {
                Event::Init => {
                    listed.clear();
                    continue;
                }
                Event::InitApply(object) => {
                    listed.extend(object.metadata.uid.clone());
                    read(object, &overrides)
                }
                Event::Apply(object) => read(object, &overrides),
                Event::InitDone => {
                    Some(Sighting::Listed { namespace: namespace.clone(), uids: std::mem::take(&mut listed) })
                }
                Event::Delete(object) => object.metadata.uid.map(Sighting::Gone),
            };
            let was_list = matches!(sighting, Some(Sighting::Listed { .. }));
            if let Some(sighting) = sighting
                && sightings.send(sighting).await.is_err()
            {
                return;
            }
            if was_list {
                self.health.done(step);
            }
        }
    }

    /// Watches the grants for ever, keeps the book, and says `changed` at each change. What cannot be read grants nothing.
    pub async fn grants(self, resource: ApiResource, book: GrantBook, changed: watch::Sender<u64>, step: &'static str) {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        let mut events = Box::pin(self.clone().events(api, config, "cancellationgrants", step));
        let mut known: HashMap<String, CancellationGrantSpec> = HashMap::new();
        let mut listing: HashMap<String, CancellationGrantSpec> = HashMap::new();
        while let Some(event) = events.next().await {
            match event {
                Event::Init => {
                    listing.clear();
                    continue;
                }
                Event::InitApply(object) => {
                    apply(&mut listing, object);
                    continue;
                }
                Event::InitDone => known = std::mem::take(&mut listing),
                Event::Apply(object) => apply(&mut known, object),
                Event::Delete(object) => {
                    known.remove(&object.metadata.name.unwrap_or_default());
                }
            }
            book.replace(Grants::new(known.values()));
            self.health.done(step);
            changed.send_modify(|version| *version += 1);
        }
    }

    /// The events of a watch that goes on whatever happens.
    fn events(
        self,
        api: Api<DynamicObject>,
        config: watcher::Config,
        resource: &'static str,
        step: &'static str,
    ) -> impl Stream<Item = Event<DynamicObject>> + Send {
        let state = Watching { watches: self, api, config, resource, step, current: None, failures: 0, complaint: Complaint::default() };
        stream::unfold(state, |mut state| async move { Some((state.next().await, state)) })
    }
}

/// A watch and its troubles.
struct Watching {
    watches: Watches,
    api: Api<DynamicObject>,
    config: watcher::Config,
    resource: &'static str,
    step: &'static str,
    current: Option<Current>,
    /// In a row.
    failures: u32,
    complaint: Complaint,
}

struct Current {
    stream: BoxStream<'static, watcher::Result<Event<DynamicObject>>>,
    until: Instant,
}

impl Watching {
    async fn next(&mut self) -> Event<DynamicObject> {
        loop {
            let current = self.current.get_or_insert_with(|| Current {
                stream: watcher(self.api.clone(), self.config.clone()).boxed(),
                until: Instant::now() + RELIST_AFTER.mul_f64(0.9 + 0.2 * fastrand::f64()),
            });
            let relist = std::pin::pin!(sleep_until(current.until));
            match futures::future::select(current.stream.next(), relist).await {
                Either::Left((Some(Ok(event)), _)) => {
                    // The first event comes before anything was asked.
                    if !matches!(event, Event::Init) {
                        self.failures = 0;
                        self.complaint.cured(&format!("watching {} again", self.resource));
                    }
                    return event;
                }
                Either::Left((Some(Err(error)), _)) => self.failed(&error).await,
                Either::Left((None, _)) | Either::Right(_) => self.begin_anew(),
            }
        }
    }

    async fn failed(&mut self, error: &watcher::Error) {
        self.failures = self.failures.saturating_add(1);
        let message = self.message(error);
        // The API server ends watches as it likes: the first failure is everyday life.
        if self.failures > 1 || is_refusal(error) {
            self.complaint.say(&message);
            self.watches.health.explain(self.step, message);
        }
        if is_gone(error) || self.failures.is_multiple_of(ERRORS_IN_A_ROW) {
            self.begin_anew();
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
        sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
    }

    fn begin_anew(&mut self) {
        self.current = None;
        self.watches.metrics.watch_restarted(self.resource);
    }

    /// What is wrong and what to do.
    fn message(&self, error: &watcher::Error) -> String {
        let resource = self.resource;
        let what = match error {
            watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
                kube_error::describe(error)
            }
            watcher::Error::WatchError(status) => format!("HTTP {}: {}", status.code, status.message),
            watcher::Error::NoResourceVersion => "the answer has no resourceVersion".to_owned(),
        };
        let advice = match status_code(error) {
            Some(403) => "the controller's ServiceAccount needs list and watch: apply deploy/rbac.yaml",
            Some(404) => "the CRDs are missing: kubectl apply -f crds/",
            Some(400) => "the CRDs may be outdated: kubectl apply -f crds/",
            Some(401) => "the controller's credentials are not accepted",
            _ => "tried again",
        };
        format!("cannot watch {resource}: {what}; {advice}")
    }
}

fn status_code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            kube_error::code(error)
        }
        watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::NoResourceVersion => None,
    }
}

fn is_gone(error: &watcher::Error) -> bool {
    status_code(error) == Some(410)
}

fn is_refusal(error: &watcher::Error) -> bool {
    matches!(status_code(error), Some(400 | 401 | 403 | 404))
}

fn read(object: DynamicObject, overrides: &EndpointOverrides) -> Option<Sighting> {
    object_view::read(object, overrides).map(|view| Sighting::Seen(Box::new(view)))
}

/// A grant that is being deleted, or cannot be read, grants nothing.
fn apply(grants: &mut HashMap<String, CancellationGrantSpec>, object: DynamicObject) {
    let name = object.metadata.name.unwrap_or_default();
    grants.remove(&name);
    if object.metadata.deletion_timestamp.is_some() {
        return;
    }
    match object.data.get("spec").map(|spec| serde_json::from_value(spec.clone())) {
        Some(Ok(spec)) => {
            grants.insert(name, spec);
        }
        Some(Err(error)) => tracing::warn!(grant = name, "this CancellationGrant cannot be read and grants nothing: {error}"),
        None => tracing::warn!(grant = name, "this CancellationGrant has no spec and grants nothing"),
    }
}
