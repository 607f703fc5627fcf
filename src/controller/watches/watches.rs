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

use kube::{Api, Client, core::ApiResource};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::watching::{RELIST_AFTER, Selection, Told, Watching};
use crate::{
    controller::{
        api_server::{raw_object::RawObject, versions::Newest},
        grants::{
            book::{GrantBook, Grants},
            grant_reading::GrantReading,
        },
    },
    telemetry::{health::Health, metrics::Metrics},
};

/// When the next full list of grants is overdue: two of them were missed.
const LIST_OVERDUE: Duration = RELIST_AFTER.saturating_mul(2);

/// The objects that are not finished: the watch says DELETED when an outcome is recorded.
const UNFINISHED: &str = "status.outcome=";

/// What a watch of cancellations says.
#[derive(Debug)]
pub enum Sighting {
    /// An unfinished object, new or changed, as a watch shows it.
    Seen(Box<RawObject>),
    /// One in a full list. All versions up to `known_before` are older than the list, so an object that is known at one of them
    /// cannot be older in the list, unless what the API server stores has gone back.
    Listed {
        /// It.
        object: Box<RawObject>,
        /// See there.
        known_before: Option<u64>,
    },
    /// The object with this uid is finished or gone.
    Gone(String),
    /// A full list was read: of this namespace, or of all, no other objects are unfinished.
    AllListed {
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
        newest: Newest,
        unlisted: Arc<AtomicUsize>,
        step: &'static str,
    ) {
        let api: Api<RawObject> = match &namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let selection = Selection {
            path: api.resource_url().to_owned(),
            fields: Some(UNFINISHED),
            resource: "operationcancellations",
        };
        let mut watching = Watching::new(&self, selection, newest, RELIST_AFTER, step);
        let mut first_list = true;
        loop {
            let sighting = match watching.next().await {
                Told::Watched(object) => Some(Sighting::Seen(object)),
                Told::Listed {
                    object,
                    known_before,
                } => Some(Sighting::Listed {
                    object,
                    known_before,
                }),
                Told::Gone(object) => object.metadata.uid.map(Sighting::Gone),
                Told::AllListed(uids) => Some(Sighting::AllListed {
                    namespace: namespace.clone(),
                    uids,
                }),
            };
            let was_list = matches!(sighting, Some(Sighting::AllListed { .. }));
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
    /// `step` of the readiness is done at each full list, and not done any more when the next one is overdue: from then on
    /// nobody knows what is granted.
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
        let selection = Selection {
            path: api.resource_url().to_owned(),
            fields: None,
            resource: "cancellationgrants",
        };
        // Nobody but this watch reads grants.
        let newest = Newest::default();
        let mut watching = Watching::new(&self, selection, newest, RELIST_AFTER, step);
        let mut known = KnownGrants::new();
        let mut is_listed = false;
        let mut overdue: Option<Instant> = None;
        loop {
            let told = tokio::select! {
                told = watching.next() => told,
                () = at(overdue) => {
                    overdue = None;
                    is_listed = false;
                    book.replace(Grants::unknown());
                    changed.send_modify(|version| *version += 1);
                    let why = "the CancellationGrants could not be listed for 20 minutes: no call is made until they can";
                    self.health.not_yet(step, why);
                    tracing::warn!("not ready: {step}: {why}");
                    continue;
                }
            };
            match told {
                Told::Watched(object) => take_in(&mut known, *object),
                Told::Listed { object, .. } => {
                    take_in(&mut known, *object);
                    // The book is written once, at the end of the list.
                    continue;
                }
                Told::Gone(object) => {
                    known.remove(&object.metadata.uid.unwrap_or_default());
                }
                Told::AllListed(uids) => {
                    known.retain(|uid, _| uids.contains(uid));
                    is_listed = true;
                    overdue = Some(Instant::now() + overdue_after);
                    self.health.done(step);
                }
            }
            if !is_listed {
                // Others may still be missing; nothing is decided before.
                continue;
            }
            let readings = || known.values().filter_map(|grant| grant.reading.as_ref());
            let specs = readings().filter_map(|reading| reading.spec.as_ref());
            book.replace(Grants::new(specs));
            self.metrics.grants(readings().map(|reading| reading.state));
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

/// A grant, at the version at which it was read.
struct KnownGrant {
    version: Option<String>,
    /// None while it is being deleted.
    reading: Option<GrantReading>,
}

/// The grants by their uids.
type KnownGrants = BTreeMap<String, KnownGrant>;

/// Reads a grant. What is wrong with it is told when it begins and when it changes.
fn take_in(known: &mut KnownGrants, object: RawObject) {
    let metadata = &object.metadata;
    let uid = metadata.uid.clone().unwrap_or_default();
    let version = metadata.resource_version.clone();
    let before = known.get(&uid);
    if before.is_some_and(|before| version.is_some() && before.version == version) {
        return;
    }
    let reading = GrantReading::of(&object);
    let problem = |reading: &GrantReading| reading.problem.clone();
    let told = before
        .and_then(|before| before.reading.as_ref())
        .and_then(problem);
    if let Some(problem) = reading.as_ref().and_then(problem)
        && told.as_ref() != Some(&problem)
    {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        tracing::warn!(grant = name, "about CancellationGrant {name}: {problem}");
    }
    known.insert(uid, KnownGrant { version, reading });
}

#[cfg(test)]
#[path = "watches_tests.rs"]
mod tests;
