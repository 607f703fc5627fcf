//! Reads, writes and watches one Lease. Every request names the Lease, so a role for this one Lease is enough.

use std::time::Duration;

use futures::stream::BoxStream;
use kube::{
    Client, Error,
    api::{GetParams, Patch, PatchParams, PostParams},
    core::{Request as Requests, request},
};
use serde_json::json;

use super::election::{Known, LeaseSpec, Stored};
use crate::controller::{
    api_server::{
        api_answer::{self, Refused},
        json_sieve::LabelsAre,
        kube_error,
        raw_object::RawObject,
    },
    watches::watch_stream::{self, SILENCE, WatchLine},
};

/// The field manager of the Lease.
const FIELD_MANAGER: &str = "opcancel-controller";

/// A watch from here begins with the object as it is.
const ANY_VERSION: &str = "0";

/// The requests about one Lease.
pub struct LeaseClient {
    client: Client,
    path: String,
    name: String,
}

impl LeaseClient {
    /// For the Lease of this name in a namespace.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            client,
            path: format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"),
            name: name.to_owned(),
        }
    }

    /// Reads the Lease from the API server, not from a cache.
    pub async fn read(&self, limit: Duration) -> Result<Known, Refused> {
        let request = self.requests().get(&self.name, &GetParams::default());
        match self.send(request, limit).await {
            Ok(stored) => Ok(Known::Lease(stored)),
            Err(refused) if kube_error::is_gone(&refused.error, &self.name) => Ok(Known::Missing),
            Err(refused) => Err(refused),
        }
    }

    /// Creates the Lease.
    pub async fn create(&self, spec: &LeaseSpec, limit: Duration) -> Result<Stored, Refused> {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name},
            "spec": spec,
        });
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let body = lease.to_string().into_bytes();
        self.send(self.requests().create(&params, body), limit)
            .await
    }

    /// Writes the fields of the Lease, if it still has this version. Other people's labels and fields stay.
    pub async fn update(
        &self,
        version: &str,
        spec: &LeaseSpec,
        limit: Duration,
    ) -> Result<Stored, Refused> {
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": spec});
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        self.send(self.requests().patch(&self.name, &params, &patch), limit)
            .await
    }

    /// Watches the Lease from a version on, or from now on.
    pub fn watch(&self, version: Option<&str>) -> BoxStream<'static, Result<WatchLine, Refused>> {
        watch_stream::watch(
            self.client.clone(),
            self.path.clone(),
            Some(format!("metadata.name={}", self.name).into()),
            LabelsAre::Dropped,
            version.unwrap_or(ANY_VERSION).to_owned(),
            SILENCE,
        )
    }

    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, request::Error>,
        limit: Duration,
    ) -> Result<Stored, Refused> {
        let request = request.map_err(Error::BuildRequest)?;
        let object = api_answer::within(limit, api_answer::object(&self.client, request)).await?;
        stored(&object)
    }

    fn requests(&self) -> Requests {
        Requests::new(&self.path)
    }
}

/// The Lease in an answer or an event.
///
/// # Errors
/// If it cannot be read.
pub fn stored(object: &RawObject) -> Result<Stored, Refused> {
    let spec = object.spec.as_ref().map_or("{}", |spec| spec.get());
    Ok(Stored {
        version: object.metadata.resource_version.clone().unwrap_or_default(),
        spec: serde_json::from_str(spec).map_err(api_answer::no_json)?,
    })
}
