//! The watch of unfinished cancellations, which sends every event to the dispatcher.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use kube::{Api, core::ApiResource};
use tokio::sync::mpsc;

use super::resilient_watch::{Limits, ResilientWatch, Selection, WatchClient, WatchEvent};
use crate::controller::api_server::{
    json_sieve::LabelsAre, raw_object::RawObject, versions::Newest,
};

/// Selects unfinished objects: the API server sends DELETED when an outcome is recorded.
const UNFINISHED: &str = "status.outcome=";

/// A [`WatchEvent`] of cancellations, and of which watch.
#[derive(Debug)]
pub struct CancellationEvent {
    /// The namespace that is watched; `None` means all.
    pub namespace: Option<Arc<str>>,
    /// The event.
    pub event: WatchEvent,
}

/// Watches the unfinished cancellations of one namespace or of all, until the receiver is gone.
///
/// `unlisted` counts the watches without a first list. The last of them to read it marks `step` of the readiness as done.
pub async fn watch_cancellations(
    client: WatchClient,
    resource: ApiResource,
    namespace: Option<String>,
    events: mpsc::Sender<CancellationEvent>,
    newest: Newest,
    unlisted: Arc<AtomicUsize>,
    step: &'static str,
) {
    let api: Api<RawObject> = match &namespace {
        Some(namespace) => Api::namespaced_with(client.kubernetes.clone(), namespace, &resource),
        None => Api::all_with(client.kubernetes.clone(), &resource),
    };
    let selection = Selection {
        path: api.resource_url().to_owned(),
        fields: Some(UNFINISHED),
        labels: LabelsAre::Dropped,
        resource: "operationcancellations",
    };
    let health = client.health.clone();
    let namespace: Option<Arc<str>> = namespace.map(Into::into);
    let mut watch = ResilientWatch::new(client, selection, newest, Limits::default(), step);
    let mut is_first_list = true;
    loop {
        let event = watch.next().await;
        let is_end_of_list = matches!(event, WatchEvent::AllListed(_));
        let event = CancellationEvent {
            namespace: namespace.clone(),
            event,
        };
        if events.send(event).await.is_err() {
            return;
        }
        if is_end_of_list
            && std::mem::take(&mut is_first_list)
            && unlisted.fetch_sub(1, Ordering::Relaxed) == 1
        {
            health.done(step);
        }
    }
}
