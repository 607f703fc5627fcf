//! Status writes and live reads at the API server.
//!
//! A write is a JSON merge patch of `/status`. It has uid and resourceVersion, so it is a compare-and-set, and
//! `fieldValidation=Strict`, so that an outdated CRD refuses unknown fields and does not drop them silently.

use std::time::{Duration, Instant};

use http::Request;
use kube::{
    Api, Client, Error,
    api::{GetParams, Patch, PatchParams, ValidationDirective},
    core::{ApiResource, Request as Requests},
};

use crate::{
    controller::{
        api_server::{
            api_answer::{self, Refused},
            kube_error,
            raw_object::RawObject,
        },
        clock::milliseconds,
        objects::object_view,
        queue::outage::Unavailable,
    },
    google::endpoint::EndpointOverrides,
    lifecycle::{Event, ObjectView, StatusWrite, WriteAnswer},
};

/// The time limit for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The field manager of the status writes.
pub const FIELD_MANAGER: &str = "opcancel-controller";

/// Reads and writes single objects.
#[derive(Clone)]
pub struct StatusWriter {
    client: Client,
    resource: ApiResource,
    overrides: EndpointOverrides,
}

/// Identifies an object.
#[derive(Clone, Debug)]
pub struct ObjectId {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
}

/// The result of a write.
#[derive(Debug)]
pub struct Answered {
    /// The answer for the life cycle.
    pub answer: WriteAnswer,
    /// The log line, if people should know of a failure.
    pub warning: Option<String>,
    /// Set if the API server is unavailable.
    pub unavailable: Option<Unavailable>,
}

/// Why there is no object.
enum NotRead {
    Gone,
    /// The API server refuses to show it.
    Refused,
    /// The API server is unavailable.
    NotNow(Unavailable),
}

impl StatusWriter {
    /// For objects of this resource.
    pub const fn new(client: Client, resource: ApiResource, overrides: EndpointOverrides) -> Self {
        Self {
            client,
            resource,
            overrides,
        }
    }

    /// Writes the status. After a conflict it reads the object again. To be called in the object's span.
    pub async fn write(&self, id: &ObjectId, write: &StatusWrite) -> Answered {
        let begun = Instant::now();
        let answered = self.try_to_write(id, write).await;
        tracing::debug!(
            write = write.kind.name(),
            result = answered.answer.name(),
            milliseconds = milliseconds(begun.elapsed()),
            "the status was sent to the API server"
        );
        answered
    }

    async fn try_to_write(&self, id: &ObjectId, write: &StatusWrite) -> Answered {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&write.patch);
        let request = self
            .requests(&id.namespace)
            .patch_subresource("status", &id.name, &params, &patch);
        let refused = match self.object(request).await {
            Ok(object) => {
                return match object_view::read(object, &self.overrides) {
                    Some(view) => WriteAnswer::Written(Box::new(view)).into(),
                    None => unsure("the answer is not the object", None),
                };
            }
            Err(refused) => refused,
        };
        let unavailable = unavailable(&refused);
        let why = || kube_error::describe(&refused.error);
        let not_taken = |answer| Answered {
            answer,
            warning: Some(format!(
                "the API server refused the status write; will try again later: {}",
                why()
            )),
            unavailable,
        };
        match kube_error::code(&refused.error) {
            Some(409) => self.conflict(id).await,
            _ if kube_error::is_gone(&refused.error, &id.name) => WriteAnswer::Gone.into(),
            Some(429 | 500..) => not_taken(WriteAnswer::Busy),
            Some(_) => not_taken(WriteAnswer::Failed),
            None => unsure(&why(), unavailable),
        }
    }

    /// Reads the object from the API server, not from a cache.
    pub async fn reread(&self, id: &ObjectId) -> (Event, Option<Unavailable>) {
        match self.read(id).await {
            Ok(view) => (Event::Reread(Some(Box::new(view))), None),
            Err(NotRead::Gone) => (Event::Gone, None),
            Err(NotRead::Refused) => (Event::Reread(None), None),
            Err(NotRead::NotNow(unavailable)) => (Event::RereadFailed, Some(unavailable)),
        }
    }

    async fn conflict(&self, id: &ObjectId) -> Answered {
        let why = "another writer was first, and the object cannot be read";
        match self.read(id).await {
            Ok(view) => WriteAnswer::Conflict(Box::new(view)).into(),
            Err(NotRead::Gone) => WriteAnswer::Gone.into(),
            Err(NotRead::Refused) => unsure(why, None),
            Err(NotRead::NotNow(unavailable)) => unsure(why, Some(unavailable)),
        }
    }

    /// The stored object, if it still has this uid.
    async fn read(&self, id: &ObjectId) -> Result<ObjectView, NotRead> {
        let request = self
            .requests(&id.namespace)
            .get(&id.name, &GetParams::default());
        let refused = match self.object(request).await {
            Ok(object) => {
                return match object_view::read(object, &self.overrides) {
                    Some(view) if view.uid == id.uid => Ok(view),
                    Some(_) => Err(NotRead::Gone),
                    None => Err(NotRead::Refused),
                };
            }
            Err(refused) => refused,
        };
        if kube_error::is_gone(&refused.error, &id.name) {
            return Err(NotRead::Gone);
        }
        let why = kube_error::describe(&refused.error);
        tracing::debug!("the object cannot be read: {why}");
        Err(unavailable(&refused).map_or(NotRead::Refused, NotRead::NotNow))
    }

    /// Sends a request whose answer is an object.
    async fn object(
        &self,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<RawObject, Refused> {
        let request = request.map_err(Error::BuildRequest)?;
        let asked = api_answer::object(&self.client, request);
        api_answer::within(REQUEST_TIMEOUT, asked).await
    }

    fn requests(&self, namespace: &str) -> Requests {
        let api: Api<RawObject> =
            Api::namespaced_with(self.client.clone(), namespace, &self.resource);
        Requests::new(api.resource_url())
    }
}

/// Whether an error means that the API server is unavailable. A 500 does not: a webhook may fail for one object only.
fn unavailable(refused: &Refused) -> Option<Unavailable> {
    let of_all = matches!(
        kube_error::code(&refused.error),
        None | Some(429 | 502 | 503 | 504)
    );
    of_all.then_some(Unavailable {
        retry_after: refused.retry_after,
    })
}

/// The result of a write that may or may not be stored.
fn unsure(why: &str, unavailable: Option<Unavailable>) -> Answered {
    Answered {
        answer: WriteAnswer::Unconfirmed,
        warning: Some(format!(
            "it is not known whether the status was written; reading the object again: {why}"
        )),
        unavailable,
    }
}

impl From<WriteAnswer> for Answered {
    /// A result without a warning.
    fn from(answer: WriteAnswer) -> Self {
        Self {
            answer,
            warning: None,
            unavailable: None,
        }
    }
}
