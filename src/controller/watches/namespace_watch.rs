//! The labels of namespaces, which keep the grant book up to date. They are read only while a grant has a selector.
//!
//! The controller of all namespaces watches them. The controller of some namespaces (`--watch-namespace`) reads each of them every
//! few seconds (`namespace_reads`).
//!
//! Guarantee: a namespace matches a selector only if its labels were read, and no full list of them is overdue.

use std::{future::pending, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    label_target::{LabelKeys, LabelTarget, PATH, note, wanted},
    namespace_reads::{READ_EVERY, read_namespaces},
    resilient_watch::{LIST_OVERDUE, Limits, ResilientWatch, Selection, WatchClient, WatchEvent},
};
use crate::{
    controller::{
        api_server::{json_sieve::LabelsAre, versions::Newest},
        grants::namespace_labels::{LabelsRead, NamespaceLabels},
    },
    telemetry::series::NAMESPACES,
};

/// Keeps the labels in the grant book up to date for ever. `namespaces` are those of `--watch-namespace`; empty means all.
pub async fn watch_namespaces(
    client: WatchClient,
    namespaces: Vec<String>,
    mut keys: watch::Receiver<LabelKeys>,
    target: LabelTarget,
) {
    loop {
        let wanted = keys.wait_for(Option::is_some).await;
        let Some(wanted) = wanted.ok().and_then(|wanted| wanted.clone()) else {
            // The watch of grants has ended, and so does the process.
            return pending().await;
        };
        if !wanted.is_empty() {
            match namespaces.is_empty() {
                true => watch_all(&client, &mut keys, &target, LIST_OVERDUE).await,
                false => {
                    read_namespaces(&client, &namespaces, &mut keys, &target, READ_EVERY).await;
                }
            }
            continue;
        }
        target.book.replace_labels(NamespaceLabels::default());
        client.health.done(target.step);
        if keys.changed().await.is_err() {
            return pending().await;
        }
    }
}

/// Watches all namespaces until no key is wanted any more.
async fn watch_all(
    client: &WatchClient,
    keys: &mut watch::Receiver<LabelKeys>,
    target: &LabelTarget,
    overdue_after: Duration,
) {
    let selection = Selection {
        path: PATH.to_owned(),
        fields: None,
        labels: LabelsAre::Kept,
        resource: NAMESPACES,
    };
    let health = &client.health;
    // Only this watch reads namespaces.
    let newest = Newest::default();
    let limits = Limits::default();
    let mut watch = ResilientWatch::new(client.clone(), selection, newest, limits, target.step);
    let mut read = LabelsRead::default();
    read.want(wanted(keys));
    let mut is_lost = false;
    let mut overdue = Instant::now() + overdue_after;
    loop {
        let event = tokio::select! {
            event = watch.next() => event,
            Ok(()) = keys.changed() => {
                let wanted = wanted(keys);
                if wanted.is_empty() {
                    return;
                }
                read.want(wanted);
                if !read.is_complete() {
                    watch.list_again();
                }
                continue;
            }
            () = sleep_until(overdue), if !is_lost => {
                is_lost = true;
                target.put(NamespaceLabels::lost());
                let why = "the labels of namespaces could not be listed for 20 minutes: grants with a namespaceSelector allow nothing until they are";
                health.not_yet(target.step, why);
                tracing::warn!("not ready: {}: {why}", target.step);
                continue;
            }
        };
        let is_changed = match event {
            // Also while a list is in progress: a label that is removed must not count until its end.
            WatchEvent::Watched(object) => note(&mut read, *object),
            WatchEvent::Listed { object, .. } => {
                note(&mut read, *object);
                // The labels are replaced once, at the end of the list.
                false
            }
            WatchEvent::Gone(object) => {
                let metadata = object.metadata;
                let (name, uid) = (metadata.name.as_deref(), metadata.uid.as_deref());
                read.forget(name.unwrap_or_default(), uid.unwrap_or_default())
            }
            WatchEvent::AllListed(uids) => {
                read.retain(&uids);
                read.set_complete();
                is_lost = false;
                overdue = Instant::now() + overdue_after;
                target.put(read.known());
                health.done(target.step);
                false
            }
        };
        if is_changed && !is_lost {
            target.put(read.known());
        }
    }
}

#[cfg(test)]
#[path = "namespace_watch_tests.rs"]
pub mod tests;
