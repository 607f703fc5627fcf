//! Status writes and live reads at the API server, and which of them goes first.
//!
//! A write is a JSON merge patch of `/status` with uid and resourceVersion in it, so a compare-and-set, and with
//! `fieldValidation=Strict`, so that an outdated CRD refuses what it would otherwise drop in silence.

use std::time::{Duration, Instant};

use http::Request;
use kube::{
    Api, Client, Error,
    api::{GetParams, Patch, PatchParams, ValidationDirective},
    core::{ApiResource, Request as Requests},
};
use tokio::time::timeout;

use super::{
    api_answer::{self, Refused},
    calls::milliseconds,
    kube_error, object_view,
    raw_object::RawObject,
    turns::Turns,
};
use crate::{
    google::endpoint::EndpointOverrides,
    lifecycle::{Event, ObjectView, StatusWrite, WriteAnswer},
};

/// Limit for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The name under which the API server notes who wrote what.
pub const FIELD_MANAGER: &str = "opcancel-controller";

/// Reads and writes single objects.
#[derive(Clone)]
pub struct StatusWriter {
    client: Client,
    resource: ApiResource,
    overrides: EndpointOverrides,
}

/// Which object, by all that identifies it.
#[derive(Clone, Debug)]
pub struct ObjectId {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
}

/// What came of a write.
#[derive(Debug)]
pub struct Answered {
    /// For the life cycle.
    pub answer: WriteAnswer,
    /// For people, if it went wrong in a way that they should know.
    pub complaint: Option<String>,
}

/// What was found instead of the object that was asked for.
enum NotRead {
    Gone,
    Unknown,
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

    /// Writes, and finds out how the object looks now if somebody else wrote first. To be called in the object's span.
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
        match self.object(request).await.map_err(|refused| refused.error) {
            Ok(object) => match object_view::read(object, &self.overrides) {
                Some(view) => WriteAnswer::Written(Box::new(view)).into(),
                None => unsure("the answer is not the object"),
            },
            Err(error) => match kube_error::code(&error) {
                Some(409) => self.conflict(id).await,
                _ if kube_error::is_gone(&error, &id.name) => WriteAnswer::Gone.into(),
                Some(_) => Answered {
                    answer: WriteAnswer::Failed,
                    complaint: Some(format!(
                        "the API server does not take the status, tried again later: {}",
                        kube_error::describe(&error)
                    )),
                },
                None => unsure(&kube_error::describe(&error)),
            },
        }
    }

    /// Reads the object from the API server itself.
    pub async fn reread(&self, id: &ObjectId) -> Event {
        match self.read(id).await {
            Ok(view) => Event::Reread(Some(Box::new(view))),
            Err(NotRead::Gone) => Event::Gone,
            Err(NotRead::Unknown) => Event::Reread(None),
        }
    }

    async fn conflict(&self, id: &ObjectId) -> Answered {
        match self.read(id).await {
            Ok(view) => WriteAnswer::Conflict(Box::new(view)).into(),
            Err(NotRead::Gone) => WriteAnswer::Gone.into(),
            Err(NotRead::Unknown) => unsure("lost a race, and the object cannot be read"),
        }
    }

    /// The object as stored, if it still is this one.
    async fn read(&self, id: &ObjectId) -> Result<ObjectView, NotRead> {
        let unknown = |why: &str| {
            tracing::debug!("the object cannot be read: {why}");
            NotRead::Unknown
        };
        let request = self
            .requests(&id.namespace)
            .get(&id.name, &GetParams::default());
        match self.object(request).await.map_err(|refused| refused.error) {
            Err(error) if kube_error::is_gone(&error, &id.name) => Err(NotRead::Gone),
            Err(error) => Err(unknown(&kube_error::describe(&error))),
            Ok(object) => match object_view::read(object, &self.overrides) {
                Some(view) if view.uid == id.uid => Ok(view),
                Some(_) => Err(NotRead::Gone),
                None => Err(unknown("the answer is not the object")),
            },
        }
    }

    /// The object that a request is answered with.
    async fn object(
        &self,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<RawObject, Refused> {
        let request = request.map_err(Error::BuildRequest)?;
        let asked = api_answer::object(&self.client, request);
        timeout(REQUEST_TIMEOUT, asked)
            .await
            .unwrap_or_else(|_| Err(api_answer::silent()))
    }

    fn requests(&self, namespace: &str) -> Requests {
        let api: Api<RawObject> =
            Api::namespaced_with(self.client.clone(), namespace, &self.resource);
        Requests::new(api.resource_url())
    }
}

/// Nobody knows what came of a write.
fn unsure(why: &str) -> Answered {
    Answered {
        answer: WriteAnswer::Unsure,
        complaint: Some(format!(
            "whether the status was written is not known, it is read again: {why}"
        )),
    }
}

impl From<WriteAnswer> for Answered {
    /// Nothing to complain of.
    fn from(answer: WriteAnswer) -> Self {
        Self {
            answer,
            complaint: None,
        }
    }
}

/// The requests that wait for their turn at the API server: at most one of each object, which bounds it.
///
/// Beyond 16 in flight the API server writes no faster, and its watches fall behind by half a second.
#[derive(Debug)]
pub struct WriteQueue<T> {
    urgent: Turns<T>,
    others: Turns<T>,
    under_way: usize,
    /// Urgent ones that went ahead of others in a row.
    ahead: usize,
}

impl<T> Default for WriteQueue<T> {
    fn default() -> Self {
        Self {
            urgent: Turns::default(),
            others: Turns::default(),
            under_way: 0,
            ahead: 0,
        }
    }
}

impl<T> WriteQueue<T> {
    /// How many requests may be under way at once.
    pub const AT_ONCE: usize = 16;

    /// So many urgent ones may go ahead of the others: what waits among them may turn urgent, and must not wait for ever.
    const MOST_AHEAD: usize = 7;

    /// Intents, outcomes and the reads that they wait for are urgent: a cancel, or somebody's `kubectl wait`, waits for them.
    pub fn push(&mut self, urgent: bool, namespace: &str, request: T) {
        let queue = if urgent {
            &mut self.urgent
        } else {
            &mut self.others
        };
        queue.push(namespace, request);
    }

    /// Whether a request may be sent that did not wait for its turn.
    pub const fn is_free(&self) -> bool {
        self.under_way < Self::AT_ONCE && self.urgent.count() == 0 && self.others.count() == 0
    }

    /// Whether no request waits or is under way.
    pub const fn is_idle(&self) -> bool {
        self.under_way == 0 && self.urgent.count() == 0 && self.others.count() == 0
    }

    /// Whose turn it is, if a request may be sent now. Only [`WriteQueue::begin`] makes one of it.
    pub fn take(&mut self) -> Option<T> {
        if self.under_way >= Self::AT_ONCE {
            return None;
        }
        let others_first = self.ahead >= Self::MOST_AHEAD;
        let urgent = if others_first {
            None
        } else {
            self.urgent.pop()
        };
        self.ahead = match urgent {
            Some(_) if self.others.count() > 0 => self.ahead + 1,
            _ => 0,
        };
        urgent
            .or_else(|| self.others.pop())
            .or_else(|| self.urgent.pop())
    }

    /// Whether it is somebody's turn now.
    pub const fn has_turn(&self) -> bool {
        self.under_way < Self::AT_ONCE && (self.urgent.count() > 0 || self.others.count() > 0)
    }

    /// A request is sent; [`WriteQueue::done`] has to be told when it was answered.
    pub const fn begin(&mut self) {
        self.under_way += 1;
    }

    /// How many requests wait, by the queue's name in metrics.
    pub const fn waiting(&self) -> [(&'static str, usize); 2] {
        [
            ("urgent_write", self.urgent.count()),
            ("other_write", self.others.count()),
        ]
    }

    /// A request was answered.
    pub const fn done(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_have_every_eighth_turn() {
        let mut queue = WriteQueue::default();
        for request in 0..20 {
            queue.push(true, "team", request);
        }
        for request in 100..102 {
            queue.push(false, "team", request);
        }
        let taken: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
        let others: Vec<_> = (0..taken.len()).filter(|at| taken[*at] >= 100).collect();
        assert_eq!((taken.len(), others), (22, vec![7, 15]), "{taken:?}");
        assert!(!queue.has_turn());
    }

    #[test]
    fn sixteen_at_once_and_the_urgent_ones_first() {
        let mut queue = WriteQueue::default();
        assert!(queue.is_free());
        for request in 0..20 {
            queue.push(request >= 15, "team", request);
        }
        assert!(!queue.is_free(), "nobody goes ahead of those who wait");
        let first: Vec<_> =
            std::iter::from_fn(|| queue.take().inspect(|_| queue.begin())).collect();
        assert_eq!(first.len(), 16);
        assert_eq!(first[..6], [15, 16, 17, 18, 19, 0]);
        queue.done();
        // Whoever has nothing to send any more costs nobody a place.
        assert_eq!((queue.take(), queue.take()), (Some(11), Some(12)));
        queue.begin();
        assert_eq!(queue.take(), None);
        assert_eq!(queue.waiting(), [("urgent_write", 0), ("other_write", 2)]);
    }
}
