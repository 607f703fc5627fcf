//! Objects with metadata as large as the API server accepts: every tenant can create them.

use std::time::Duration;

use futures::{StreamExt, stream};
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use operations_emulator::{Scenario, Script};
use serde_json::{Map, json};

use crate::support::{
    cluster::{Namespace, client_config, cluster, runtime},
    world::{World, operation},
};

/// What the controller may have resident at most, ever. The Deployment's limit is 256 MiB.
const MOST_RESIDENT: usize = 128 << 20;

/// About 1.4 MB in etcd: the API server notes each label once more among the managed fields.
fn labels() -> Map<String, serde_json::Value> {
    let label = |n: usize| {
        let key = format!("{}.example.com/{n:0>63}", "p".repeat(180));
        (key, json!("v".repeat(63)))
    };
    (0..2300).map(label).collect()
}

async fn api(namespace: &str) -> Api<DynamicObject> {
    let config = client_config(&cluster().control_plane.kubeconfig()).await;
    let kind = GroupVersionKind::gvk("opcancel.github.io", "v1alpha1", "OperationCancellation");
    let resource = ApiResource::from_gvk(&kind);
    Api::namespaced_with(Client::try_from(config).unwrap(), namespace, &resource)
}

/// Creates the cancellation of [`operation`]`(name)`; how many bytes the API server answers.
async fn create(
    api: &Api<DynamicObject>,
    name: &str,
    labels: &Map<String, serde_json::Value>,
) -> usize {
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
        "metadata": {"name": name, "labels": labels},
        "spec": {"service": "dialogflow", "operationName": operation(name)},
    }))
    .unwrap();
    let created = api.create(&PostParams::default(), &object).await.unwrap();
    serde_json::to_vec(&created).unwrap().len()
}

/// So many large objects that no grant allows, and so many small ones beside them.
fn the_small_ones_end_as_ever(large: usize, small: usize) {
    let names: Vec<String> = (0..small).map(|n| format!("small-{n}")).collect();
    let scenario = names.iter().fold(Scenario::default(), |scenario, name| {
        scenario.with_operation(operation(name), Script::cancelled_after(Duration::ZERO))
    });
    // Another tenant's, to whom nothing is granted.
    let neighbour = Namespace::new("large-objects-of-a-neighbour");
    let watch = format!("--watch-namespace={}", neighbour.name);
    let mut world = World::stopped("large-objects", scenario, &[&watch], &[]);
    let bytes = runtime().block_on(async {
        let (theirs, ours) = (api(&neighbour.name).await, api(&world.namespace.name).await);
        let (labels, none) = (labels(), Map::new());
        let all = (0..large + small).map(|n| match n.checked_sub(large) {
            Some(n) => (&ours, format!("small-{n}"), &none),
            None => (&theirs, format!("large-{n}"), &labels),
        });
        let all = stream::iter(all)
            .map(|(api, name, labels)| async move { create(api, &name, labels).await });
        all.buffer_unordered(4)
            .fold(0, async |most: usize, bytes| most.max(bytes))
            .await
    });
    assert!((1_300_000..1_500_000).contains(&bytes), "{bytes}");
    world.grant();
    world.start();
    // The API server takes seconds for each write to a large one; of 500 it has enough for minutes.
    let wait = [
        "wait",
        "opcancel",
        "--all",
        "--timeout=600s",
        "--for=jsonpath={.status.outcome}=Cancelled",
    ];
    world.namespace.kubectl(&wait, "").unwrap();
    let most = world.controller().most_resident();
    eprintln!("{large} large objects: at most {} MiB resident", most >> 20);
    assert!(most < MOST_RESIDENT, "{} MiB", most >> 20);
}

#[test]
fn forty_large_objects_take_no_more_memory_than_one() {
    the_small_ones_end_as_ever(40, 100);
}

/// The API server needs some gigabytes for that, and minutes.
#[test]
#[ignore = "cargo xtask test --long"]
fn five_hundred_large_objects_take_no_more_memory_than_one() {
    the_small_ones_end_as_ever(500, 1000);
}
