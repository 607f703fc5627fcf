//! One watch that goes on whatever happens.
//!
//! kube's watcher recovers from most faults by itself, but not from all (an HTTP 410 at a watch's start never lists again,
//! and events that an etcd restore swallowed are never noticed). So every watch is begun anew with a full list every
//! 10 minutes, at once after a 410, and after errors in a row.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::Either, stream::BoxStream};
use kube::{
    Api,
    runtime::watcher::{self, Event, watcher},
};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    complaint::Complaint,
    kube_error::{self, APPLY_CRDS},
    raw_object::RawObject,
    watches::Watches,
};
use crate::telemetry::{health::Health, metrics::Metrics};

/// A full list is taken this often, give or take a tenth.
pub(super) const RELIST_AFTER: Duration = Duration::from_secs(600);

/// Errors in a row after which a watch is begun anew.
const ERRORS_IN_A_ROW: u32 = 4;

/// The delays between tries that fail.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A watch and its troubles.
pub(super) struct Watching {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    api: Api<RawObject>,
    config: watcher::Config,
    resource: &'static str,
    step: &'static str,
    current: Option<Current>,
    /// In a row.
    failures: u32,
    complaint: Complaint,
}

struct Current {
    stream: BoxStream<'static, watcher::Result<Event<RawObject>>>,
    until: Instant,
}

impl Watching {
    /// Begins nothing yet. Until `step` of the readiness is done, it says what keeps the watch from working.
    pub fn new(
        watches: &Watches,
        api: Api<RawObject>,
        config: watcher::Config,
        resource: &'static str,
        step: &'static str,
    ) -> Self {
        watches.metrics.watch_began(resource, api.resource_url());
        Self {
            metrics: watches.metrics.clone(),
            health: watches.health.clone(),
            api,
            config,
            resource,
            step,
            current: None,
            failures: 0,
            complaint: Complaint::default(),
        }
    }

    /// The next event, however long it takes.
    pub async fn next(&mut self) -> Event<RawObject> {
        loop {
            let current = self.current.get_or_insert_with(|| Current {
                stream: watcher(self.api.clone(), self.config.clone()).boxed(),
                until: Instant::now() + RELIST_AFTER.mul_f64(0.9 + 0.2 * fastrand::f64()),
            });
            let relist = std::pin::pin!(sleep_until(current.until));
            match futures::future::select(current.stream.next(), relist).await {
                Either::Left((Some(Ok(event)), _)) => {
                    // The first event comes before anything was asked.
                    if !matches!(event, Event::Init) {
                        self.failures = 0;
                        self.complaint
                            .cured(&format!("watching {} again", self.resource));
                    }
                    return event;
                }
                Either::Left((Some(Err(error)), _)) => self.failed(&error).await,
                Either::Left((None, _)) | Either::Right(_) => self.begin_anew(),
            }
        }
    }

    async fn failed(&mut self, error: &watcher::Error) {
        self.failures = self.failures.saturating_add(1);
        let message = self.message(error);
        // The API server ends watches as it likes: the first failure is everyday life.
        if self.failures > 1 || is_refusal(error) {
            self.health.explain(self.step, message.as_str());
            self.complaint.say(&message);
        }
        if is_gone(error) || self.failures.is_multiple_of(ERRORS_IN_A_ROW) {
            self.begin_anew();
        }
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.failures.saturating_sub(1).min(10))
            .min(LONGEST_PAUSE);
        sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
    }

    fn begin_anew(&mut self) {
        self.current = None;
        self.metrics.watch_restarted(self.resource);
    }

    /// What is wrong and what to do.
    fn message(&self, error: &watcher::Error) -> String {
        let resource = self.resource;
        let what = match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => kube_error::describe(error),
            watcher::Error::WatchError(status) => {
                format!("HTTP {}: {}", status.code, status.message)
            }
            watcher::Error::NoResourceVersion => "the answer has no resourceVersion".to_owned(),
        };
        let advice = match status_code(error) {
            Some(403) => "its ServiceAccount needs list and watch".to_owned(),
            Some(404) => format!("the CRDs are missing: {APPLY_CRDS}"),
            Some(400) => format!("the CRDs may be outdated: {APPLY_CRDS}"),
            Some(401) => "the controller's credentials are not accepted".to_owned(),
            _ => "tried again".to_owned(),
        };
        format!("cannot watch {resource}: {what}; {advice}")
    }
}

fn status_code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => kube_error::code(error),
        watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::NoResourceVersion => None,
    }
}

fn is_gone(error: &watcher::Error) -> bool {
    status_code(error) == Some(410)
}

fn is_refusal(error: &watcher::Error) -> bool {
    matches!(status_code(error), Some(400 | 401 | 403 | 404))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::atomic::{AtomicU32, Ordering},
    };

    use axum::{
        Json, Router, extract::Query, http::StatusCode, response::IntoResponse, routing::get,
    };
    use kube::{Client, Config, core::ApiResource};
    use serde_json::json;

    use super::*;
    use crate::{api::CancellationGrant, telemetry::exposition::Format};

    /// An API server that lists nothing, and whose watches all fail with `code`.
    async fn api_server(code: u16, lists: Arc<AtomicU32>) -> Client {
        crate::google::tls::install_provider();
        let answer = move |Query(query): Query<HashMap<String, String>>| {
            let lists = lists.clone();
            async move {
                if query.contains_key("watch") {
                    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                        "message": "no watch", "reason": "Expired", "metadata": {}});
                    let code = StatusCode::from_u16(code).unwrap();
                    return (code, Json(status)).into_response();
                }
                lists.fetch_add(1, Ordering::Relaxed);
                let list = json!({"kind": "CancellationGrantList", "apiVersion": "opcancel.github.io/v1alpha1",
                    "metadata": {"resourceVersion": "5"}, "items": []});
                Json(list).into_response()
            }
        };
        let router = Router::new().fallback(get(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        Client::try_from(Config::new(url.parse().unwrap())).unwrap()
    }

    async fn lists_until_the_second_is_read(code: u16) -> u32 {
        let lists = Arc::new(AtomicU32::new(0));
        let client = api_server(code, lists.clone()).await;
        let watches = Watches {
            client: client.clone(),
            metrics: Arc::default(),
            health: Arc::new(Health::waiting_for(&["grants"])),
        };
        let api = Api::all_with(client, &ApiResource::erase::<CancellationGrant>(&()));
        let config = watcher::Config::default();
        let mut watching = Watching::new(&watches, api, config, "cancellationgrants", "grants");
        let mut read = 0;
        while read < 2 {
            if matches!(watching.next().await, Event::InitDone) {
                read += 1;
            }
        }
        let metrics = watches.metrics.text(Format::Text).unwrap();
        assert!(
            metrics.contains("opcancel_watch_restarts_total{resource=\"cancellationgrants\"} 1\n"),
            "{metrics}"
        );
        lists.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_watch_that_is_refused_as_too_old_lists_again() {
        assert_eq!(lists_until_the_second_is_read(410).await, 2);
    }

    #[tokio::test]
    async fn errors_in_a_row_make_it_list_again() {
        assert_eq!(lists_until_the_second_is_read(500).await, 2);
    }
}
