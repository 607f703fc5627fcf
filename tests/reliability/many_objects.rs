//! Creates many objects quickly: kubectl would take a minute for a thousand.

use std::path::Path;

use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;

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
