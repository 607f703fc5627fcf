//! Kubernetes events, which `kubectl describe` shows: at most two for each object. Their reasons are reasons of conditions.
//!
//! Best effort: a bounded queue drops and counts what is too much. There is no retry and no aggregation, and nothing waits for it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event as KubernetesEvent},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
    core::ApiResource,
};
use tokio::sync::mpsc;
use tracing::Span;

use super::status_writer::ObjectId;
use crate::{
    controller::api_server::{api_answer::within, kube_error},
    google::clean::cut,
    lifecycle::Notice,
    telemetry::metrics::Metrics,
};

/// The capacity of the queue.
const MOST_WAITING: usize = 256;

/// The time limit for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest note that the API server accepts, in bytes.
const LONGEST_NOTE: usize = 1024;

/// `reportingController` of the events.
const REPORTER: &str = "opcancel.github.io/controller";

/// An event that waits, and the span of its object.
type Waiting = (ObjectId, Notice, Span);

/// The sending end of the queue.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<Waiting>,
    metrics: Arc<Metrics>,
}

/// The receiving end of the queue.
pub struct Publisher {
    queue: mpsc::Receiver<Waiting>,
    client: Client,
    resource: ApiResource,
    instance: String,
    metrics: Arc<Metrics>,
}

/// Makes the queue. `instance` is the name of this process in events, such as that of the pod.
pub fn queue(
    client: Client,
    resource: ApiResource,
    instance: String,
    metrics: Arc<Metrics>,
) -> (Events, Publisher) {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    (
        Events {
            queue: sender,
            metrics: metrics.clone(),
        },
        Publisher {
            queue: receiver,
            client,
            resource,
            instance,
            metrics,
        },
    )
}

impl Events {
    /// Queues an event, or drops and counts it if the queue is full. To be called in the object's span.
    pub fn publish(&self, about: ObjectId, notice: Notice) {
        if self
            .queue
            .try_send((about, notice, Span::current()))
            .is_err()
        {
            self.metrics.event_dropped();
        }
    }
}

impl Publisher {
    /// Publishes events until the sending end is gone and the queue is empty.
    pub async fn run(mut self) {
        while let Some((about, notice, span)) = self.queue.recv().await {
            let api: Api<KubernetesEvent> = Api::namespaced(self.client.clone(), &about.namespace);
            let event = self.event(&about, notice);
            let params = PostParams::default();
            if let Err(refused) = within(REQUEST_TIMEOUT, api.create(&params, &event)).await {
                let why = kube_error::describe(&refused.error);
                self.metrics.event_dropped();
                span.in_scope(|| tracing::debug!("an event was not published: {why}"));
            }
        }
    }

    fn event(&self, about: &ObjectId, notice: Notice) -> KubernetesEvent {
        let (normal, reason, message) = match notice {
            Notice::Finished {
                reason,
                accepted,
                message,
                ..
            } => (accepted, reason, message),
            Notice::Stalled { reason, message } => (false, reason, message),
        };
        let prefix: String = about.name.chars().take(200).collect();
        KubernetesEvent {
            action: Some("Cancel".to_owned()),
            event_time: Some(MicroTime(Timestamp::now())),
            metadata: ObjectMeta {
                name: Some(format!(
                    "{}.{:016x}",
                    prefix.trim_end_matches(['.', '-']),
                    fastrand::u64(..)
                )),
                namespace: Some(about.namespace.clone()),
                ..ObjectMeta::default()
            },
            note: Some(cut(&message, LONGEST_NOTE)),
            reason: Some(reason.to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some(self.resource.api_version.clone()),
                kind: Some(self.resource.kind.clone()),
                name: Some(about.name.clone()),
                namespace: Some(about.namespace.clone()),
                uid: Some(about.uid.clone()),
                ..ObjectReference::default()
            }),
            reporting_controller: Some(REPORTER.to_owned()),
            reporting_instance: Some(cut(&self.instance, 128)),
            type_: Some(if normal { "Normal" } else { "Warning" }.to_owned()),
            ..KubernetesEvent::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::Config;

    use super::*;
    use crate::{
        api::{OperationCancellation, Outcome},
        telemetry::exposition::Format,
    };

    fn dropped(metrics: &Metrics) -> String {
        let text = metrics.text(Format::Text).unwrap();
        let mut lines = text.lines();
        let count = lines.find_map(|line| line.strip_prefix("opcancel_events_dropped_total "));
        count.unwrap().to_owned()
    }

    #[tokio::test]
    async fn what_is_too_much_and_what_is_not_taken_is_dropped_and_counted() {
        crate::google::tls::install_provider();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", closed.local_addr().unwrap());
        drop(closed);
        let mut config = Config::new(url.parse().unwrap());
        config.default_retry = false;
        let metrics = Arc::<Metrics>::default();
        let (events, publisher) = queue(
            Client::try_from(config).unwrap(),
            ApiResource::erase::<OperationCancellation>(&()),
            "pod".to_owned(),
            metrics.clone(),
        );
        for n in 0..MOST_WAITING + 3 {
            let about = ObjectId {
                namespace: "team".to_owned(),
                name: format!("op-{n}"),
                uid: n.to_string(),
            };
            let notice = Notice::Finished {
                outcome: Outcome::Cancelled,
                reason: Outcome::Cancelled.name(),
                accepted: true,
                message: String::new(),
            };
            events.publish(about, notice);
        }
        assert_eq!(dropped(&metrics), "3");
        drop(events);
        publisher.run().await;
        assert_eq!(dropped(&metrics), (MOST_WAITING + 3).to_string());
    }
}
