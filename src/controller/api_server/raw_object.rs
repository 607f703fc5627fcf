//! An object as the API server sends it, parsed only as far as necessary.
//!
//! `metadata.managedFields` alone is larger than the rest and is skipped. Spec and status stay text until they are needed, which for
//! the echo of this process's own write is never.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::{
    Resource,
    core::{ApiResource, DynamicResourceScope},
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// An object of any resource; the [`ApiResource`] of the request tells which.
#[derive(Clone, Debug, Deserialize)]
pub struct RawObject {
    /// Only the identity, the version, the times of creation and deletion, and the labels of namespaces.
    #[serde(deserialize_with = "identity")]
    pub metadata: ObjectMeta,
    /// The spec as JSON text.
    pub spec: Option<Box<RawValue>>,
    /// The status as JSON text.
    pub status: Option<Box<RawValue>>,
}

/// The part of `metadata` that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    uid: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
}

fn identity<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    let read = Identity::deserialize(from)?;
    Ok(ObjectMeta {
        uid: read.uid,
        namespace: read.namespace,
        name: read.name,
        resource_version: read.resource_version,
        generation: read.generation,
        creation_timestamp: read.creation_timestamp,
        deletion_timestamp: read.deletion_timestamp,
        labels: read.labels,
        ..ObjectMeta::default()
    })
}

impl Resource for RawObject {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::core::{WatchEvent, object::ObjectList};

    use super::*;

    const OBJECT: &str = r#"{"apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
        "metadata": {"name": "stop", "namespace": "team", "uid": "u", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"a": "b"},
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]},
        "spec": {"operationName": "projects/p/operations/o"}, "status": null}"#;

    fn check(object: &RawObject) {
        let metadata = &object.metadata;
        assert_eq!(
            (
                metadata.uid.as_deref(),
                metadata.name.as_deref(),
                metadata.namespace.as_deref(),
                metadata.resource_version.as_deref(),
                metadata.generation,
                metadata.creation_timestamp.is_some(),
                metadata.deletion_timestamp.is_some(),
            ),
            (
                Some("u"),
                Some("stop"),
                Some("team"),
                Some("7"),
                Some(2),
                true,
                false
            )
        );
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        assert_eq!(metadata.labels, Some(labels));
        assert_eq!(metadata.managed_fields, None);
        let spec = object.spec.as_ref().map(|spec| spec.get());
        assert_eq!(
            spec,
            Some(r#"{"operationName": "projects/p/operations/o"}"#)
        );
        assert!(object.status.is_none());
    }

    #[test]
    fn events_lists_and_answers_are_read_alike() {
        check(&serde_json::from_str(OBJECT).unwrap());
        let event = format!(r#"{{"type": "MODIFIED", "object": {OBJECT}}}"#);
        let WatchEvent::Modified(object) = serde_json::from_str(&event).unwrap() else {
            panic!("{event}");
        };
        check(&object);
        let list = format!(
            r#"{{"kind": "List", "apiVersion": "v1", "metadata": {{"resourceVersion": "9"}}, "items": [{OBJECT}]}}"#
        );
        let list: ObjectList<RawObject> = serde_json::from_str(&list).unwrap();
        check(&list.items[0]);
    }
}
