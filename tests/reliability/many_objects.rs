//! Creates many objects quickly, and waits for them: kubectl would take a minute to create a thousand, and `kubectl wait` lists each
//! object by itself, for which the API server looks at all of them.

use std::{collections::BTreeSet, path::Path, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams, PostParams, WatchEvent, WatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    cluster::{client_config, cluster, runtime},
    world::operation,
};

/// Requests to the API server at a time.
const IN_FLIGHT: usize = 8;

/// Cancellations of a namespace, as the user of a kubeconfig.
pub async fn api(kubeconfig: &Path, namespace: &str) -> Api<DynamicObject> {
    let mut config = client_config(kubeconfig).await;
    config.default_retry = false;
    let kind = GroupVersionKind::gvk("opcancel.github.io", "v1alpha1", "OperationCancellation");
    let resource = ApiResource::from_gvk(&kind);
    Api::namespaced_with(Client::try_from(config).unwrap(), namespace, &resource)
}

/// Creates so many cancellations on the shared API server: PREFIX-0, PREFIX-1 and so on, each of [`operation`] of its own name.
pub fn create_numbered(namespace: &str, prefix: &str, count: usize) {
    let objects = (0..count).map(|n| {
        let name = format!("{prefix}-{n}");
        let operation = operation(&name);
        (name, operation)
    });
    let admin = cluster().control_plane.kubeconfig();
    create(&admin, namespace, objects);
}

/// Creates a cancellation for each pair of an object's and an operation's name.
pub fn create(
    kubeconfig: &Path,
    namespace: &str,
    objects: impl IntoIterator<Item = (String, String)>,
) {
    runtime().block_on(async {
        let api = api(kubeconfig, namespace).await;
        let each = stream::iter(objects).map(|(name, operation)| {
            let object = json!({
                "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
                "metadata": {"name": name},
                "spec": {"service": "dialogflow", "operationName": operation},
            });
            let api = &api;
            async move {
                let object: DynamicObject = serde_json::from_value(object).unwrap();
                api.create(&PostParams::default(), &object).await.map(drop)
            }
        });
        each.buffer_unordered(IN_FLIGHT)
            .try_collect::<Vec<()>>()
            .await
            .unwrap();
    });
}

/// All objects, in pages, and the version of the list.
async fn list(api: &Api<DynamicObject>) -> kube::Result<(Vec<DynamicObject>, String)> {
    let mut objects = Vec::new();
    let mut parameters = ListParams::default().limit(500);
    loop {
        let page = api.list(&parameters).await?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok((objects, page.metadata.resource_version.unwrap_or_default())),
        }
    }
}

/// Waits until a condition of all cancellations of a namespace has this status.
pub fn wait_for_all(namespace: &str, condition: &str, status: &str, limit: Duration) {
    let admin = cluster().control_plane.kubeconfig();
    let is_met = |object: &DynamicObject| {
        let conditions = object.data.pointer("/status/conditions");
        let mut conditions = conditions.and_then(Value::as_array).into_iter().flatten();
        conditions.any(|of| of["type"] == *condition && of["status"] == *status)
    };
    runtime().block_on(async {
        let api = api(&admin, namespace).await;
        let mut unmet = BTreeSet::new();
        let met = timeout(limit, async {
            loop {
                // A busy API server may end a list. Then another one follows.
                let Ok((objects, version)) = list(&api).await else {
                    continue;
                };
                let objects = objects.iter().filter(|object| !is_met(object));
                unmet = objects.map(ResourceExt::name_any).collect();
                let parameters = WatchParams::default();
                let Ok(events) = api.watch(&parameters, &version).await else {
                    continue;
                };
                let mut events = events.boxed();
                while !unmet.is_empty() {
                    // When the watch ends, another list follows.
                    let Ok(Some(event)) = events.try_next().await else {
                        break;
                    };
                    if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                        let name = object.name_any();
                        if is_met(&object) {
                            unmet.remove(&name);
                        } else {
                            unmet.insert(name);
                        }
                    }
                }
                if unmet.is_empty() {
                    return;
                }
            }
        });
        let is_met = met.await.is_ok();
        let (count, first) = (unmet.len(), unmet.first());
        assert!(
            is_met,
            "{condition} is not {status} after {limit:?} for {count} objects, such as {first:?}"
        );
    });
}
