//! What the API server shows: unfinished cancellations and grants.
//!
//! The first are handed to the dispatcher one by one, the second kept here as a whole. How a watch goes on in spite of
//! faults is the affair of `watching`.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kube::{
    Api, Client,
    core::ApiResource,
    runtime::watcher::{self, Event},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    grant_reading::GrantReading,
    grants::{GrantBook, Grants},
    raw_object::RawObject,
    watching::{RELIST_AFTER, Watching},
};
use crate::telemetry::{health::Health, metrics::Metrics};

/// One watch request lasts this many seconds, then the next goes on from there. Five more without a sign of life, and the
/// connection is taken for dead.
const WATCH_SECONDS: u32 = 60;

/// When the next full list of grants is overdue: two of them were missed.
const LIST_OVERDUE: Duration = RELIST_AFTER.saturating_mul(2);

/// A page of a list is held in memory as a whole, and twice while it is read. An object may have 1.5 MB, whoever made it: with
/// 20 of them a page takes up to 60 MB.
const PAGE: u32 = 20;

/// The objects that are not finished: the watch says DELETED when an outcome is recorded.
const UNFINISHED: &str = "status.outcome=";

/// What a watch of cancellations says.
#[derive(Debug)]
pub enum Sighting {
    /// An unfinished object, new or changed.
    Seen(Box<RawObject>),
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
    /// Watches the unfinished cancellations of one namespace or of all, until the receiver is gone. The last of several
    /// watches to read its first list, counted by `unlisted`, reports `step` of the readiness as done.
    pub async fn cancellations(
        self,
        resource: ApiResource,
        namespace: Option<String>,
        sightings: mpsc::Sender<Sighting>,
        unlisted: Arc<AtomicUsize>,
        step: &'static str,
    ) {
        let api: Api<RawObject> = match &namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let config = watcher::Config::default()
            .fields(UNFINISHED)
            .page_size(PAGE)
            .timeout(WATCH_SECONDS);
        let mut watching = Watching::new(&self, api, config, "operationcancellations", step);
        let mut listed = HashSet::new();
        let mut first_list = true;
        loop {
            let sighting = match watching.next().await {
                Event::Init => {
                    listed.clear();
                    continue;
                }
                Event::InitApply(object) => {
                    listed.extend(object.metadata.uid.clone());
                    Some(seen(object))
                }
                Event::Apply(object) => Some(seen(object)),
                Event::InitDone => Some(Sighting::Listed {
                    namespace: namespace.clone(),
                    uids: std::mem::take(&mut listed),
                }),
                Event::Delete(object) => object.metadata.uid.map(Sighting::Gone),
            };
            let was_list = matches!(sighting, Some(Sighting::Listed { .. }));
            if let Some(sighting) = sighting
                && sightings.send(sighting).await.is_err()
            {
                return;
            }
            if was_list
                && std::mem::take(&mut first_list)
                && unlisted.fetch_sub(1, Ordering::Relaxed) == 1
            {
                self.health.done(step);
            }
        }
    }

    /// Watches the grants for ever, keeps the book, and says `changed` at each change. What cannot be read grants nothing.
    /// `step` of the readiness is done at each full list, and not done any more when the next one is overdue.
    pub async fn grants(
        self,
        resource: ApiResource,
        book: GrantBook,
        changed: watch::Sender<u64>,
        step: &'static str,
    ) {
        self.grants_overdue_after(LIST_OVERDUE, resource, book, changed, step)
            .await;
    }

    async fn grants_overdue_after(
        self,
        overdue_after: Duration,
        resource: ApiResource,
        book: GrantBook,
        changed: watch::Sender<u64>,
        step: &'static str,
    ) {
        let api: Api<RawObject> = Api::all_with(self.client.clone(), &resource);
        let config = watcher::Config::default()
            .page_size(PAGE)
            .timeout(WATCH_SECONDS);
        let mut watching = Watching::new(&self, api, config, "cancellationgrants", step);
        let mut known = ByName::new();
        let mut listing = ByName::new();
        let mut overdue: Option<Instant> = None;
        loop {
            let event = tokio::select! {
                event = watching.next() => event,
                () = at(overdue) => {
                    overdue = None;
                    let why = "the CancellationGrants could not be listed for long: what was revoked meanwhile may still allow calls";
                    self.health.not_yet(step, why);
                    tracing::warn!("not ready: {step}: {why}");
                    continue;
                }
            };
            match event {
                Event::Init => {
                    listing.clear();
                    continue;
                }
                Event::InitApply(object) => {
                    let (name, reading) = read(&known, object);
                    listing.extend(reading.map(|reading| (name, reading)));
                    continue;
                }
                Event::InitDone => {
                    known = std::mem::take(&mut listing);
                    overdue = Some(Instant::now() + overdue_after);
                    self.health.done(step);
                }
                Event::Apply(object) => {
                    let (name, reading) = read(&known, object);
                    known.remove(&name);
                    known.extend(reading.map(|reading| (name, reading)));
                }
                Event::Delete(object) => {
                    known.remove(&object.metadata.name.unwrap_or_default());
                }
            }
            let specs = known.values().filter_map(|reading| reading.spec.as_ref());
            book.replace(Grants::new(specs));
            let states = known.values().map(|reading| reading.state);
            self.metrics.grants(states);
            changed.send_modify(|version| *version += 1);
        }
    }
}

/// Waits until then; for ever if there is no such time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn seen(object: RawObject) -> Sighting {
    Sighting::Seen(Box::new(object))
}

/// The grants that are not being deleted.
type ByName = BTreeMap<String, GrantReading>;

/// Its name and what it says. What is wrong with it is told when it begins and when it changes.
fn read(known: &ByName, object: RawObject) -> (String, Option<GrantReading>) {
    let reading = GrantReading::of(&object);
    let name = object.metadata.name.unwrap_or_default();
    let problem = |reading: &GrantReading| reading.problem.clone();
    let before = known.get(&name).and_then(problem);
    if let Some(problem) = reading.as_ref().and_then(problem)
        && before.as_ref() != Some(&problem)
    {
        tracing::warn!(grant = name, "about CancellationGrant {name}: {problem}");
    }
    (name, reading)
}

#[cfg(test)]
#[path = "watches_tests.rs"]
mod tests;
