//! The watch of CancellationGrants, which keeps the grant book up to date.

use std::{collections::BTreeMap, time::Duration};

use kube::{Api, core::ApiResource};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    label_target::LabelKeys,
    resilient_watch::{LIST_OVERDUE, Limits, ResilientWatch, Selection, WatchClient, WatchEvent},
};
use crate::controller::{
    api_server::{json_sieve::LabelsAre, raw_object::RawObject, versions::Newest},
    grants::{
        book::{GrantBook, Grants},
        grant_reading::GrantReading,
    },
};

/// Watches the grants for ever, keeps the book up to date, and signals `changed` after each change. `keys` get the keys of the
/// labels that selectors depend on. A grant that cannot be read grants nothing.
///
/// Each full list marks `step` of the readiness as done. If the next list is overdue, the step is not done any more: from then
/// on it is not known what is granted.
pub async fn watch_grants(
    client: WatchClient,
    resource: ApiResource,
    book: GrantBook,
    keys: watch::Sender<LabelKeys>,
    changed: watch::Sender<u64>,
    step: &'static str,
) {
    watch_grants_overdue_after(LIST_OVERDUE, client, resource, book, keys, changed, step).await;
}

async fn watch_grants_overdue_after(
    overdue_after: Duration,
    client: WatchClient,
    resource: ApiResource,
    book: GrantBook,
    keys: watch::Sender<LabelKeys>,
    changed: watch::Sender<u64>,
    step: &'static str,
) {
    let api: Api<RawObject> = Api::all_with(client.kubernetes.clone(), &resource);
    let selection = Selection {
        path: api.resource_url().to_owned(),
        fields: None,
        labels: LabelsAre::Dropped,
        resource: "cancellationgrants",
    };
    let (metrics, health) = (client.metrics.clone(), client.health.clone());
    // Only this watch reads grants.
    let newest = Newest::default();
    let mut grant_watch = ResilientWatch::new(client, selection, newest, Limits::default(), step);
    let mut grants = GrantsByUid::new();
    let mut is_listed = false;
    let mut overdue: Option<Instant> = None;
    loop {
        let event = tokio::select! {
            event = grant_watch.next() => event,
            () = at(overdue) => {
                overdue = None;
                is_listed = false;
                book.replace(&Grants::unknown());
                changed.send_modify(|version| *version += 1);
                let why = "the CancellationGrants could not be listed for 20 minutes: no call is made until they are";
                health.not_yet(step, why);
                tracing::warn!("not ready: {step}: {why}");
                continue;
            }
        };
        match event {
            WatchEvent::Watched(object) => read_grant(&mut grants, *object),
            WatchEvent::Listed { object, .. } => {
                read_grant(&mut grants, *object);
                // The book is replaced once, at the end of the list.
                continue;
            }
            WatchEvent::Gone(object) => {
                grants.remove(&object.metadata.uid.unwrap_or_default());
            }
            WatchEvent::AllListed(uids) => {
                grants.retain(|uid, _| uids.contains(uid));
                is_listed = true;
                overdue = Some(Instant::now() + overdue_after);
                health.done(step);
            }
        }
        if !is_listed {
            // Other grants may be missing; nothing is decided before all are there.
            continue;
        }
        let readings = || grants.values().filter_map(|grant| grant.reading.as_ref());
        let specs = readings().filter_map(|reading| reading.spec.as_ref());
        let new = Grants::new(specs);
        book.replace(&new);
        keys.send_if_modified(|keys| {
            let new = Some(new.label_keys());
            let is_changed = *keys != new;
            *keys = new;
            is_changed
        });
        metrics.grants(readings().map(|reading| reading.state));
        changed.send_modify(|version| *version += 1);
    }
}

/// Waits until a time; for ever without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// A grant at the version at which it was read.
struct ReadGrant {
    version: Option<String>,
    /// `None` while it is being deleted.
    reading: Option<GrantReading>,
}

type GrantsByUid = BTreeMap<String, ReadGrant>;

/// Reads a grant. A problem with it is logged when it begins and when it changes.
fn read_grant(grants: &mut GrantsByUid, object: RawObject) {
    let metadata = &object.metadata;
    let uid = metadata.uid.clone().unwrap_or_default();
    let version = metadata.resource_version.clone();
    let before = grants.get(&uid);
    if before.is_some_and(|before| version.is_some() && before.version == version) {
        return;
    }
    let reading = GrantReading::of(&object);
    let problem = |reading: &GrantReading| reading.problem.clone();
    let logged = before
        .and_then(|before| before.reading.as_ref())
        .and_then(problem);
    if let Some(problem) = reading.as_ref().and_then(problem)
        && logged.as_ref() != Some(&problem)
    {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        tracing::warn!(grant = name, "about CancellationGrant {name}: {problem}");
    }
    grants.insert(uid, ReadGrant { version, reading });
}

#[cfg(test)]
#[path = "grant_watch_tests.rs"]
mod tests;
