//! The client of the API server: one layer of retries, and that is not this one; every wait is bounded.

use std::{
    error::Error,
    path::Path,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use http::{
    HeaderValue, Request, Response,
    header::{DATE, USER_AGENT},
};
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use tower::{Service, layer::layer_fn};

use crate::{
    controller::{clock::Clock, watches::watch_pace::WatchPace},
    telemetry::metrics::Metrics,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A watch gives a sign of life earlier than this; everything else has shorter limits of its own.
const READ_TIMEOUT: Duration = Duration::from_secs(75);

/// Makes the client from `--kubeconfig`; without it from `KUBECONFIG`, `~/.kube/config` or the pod's ServiceAccount.
///
/// It notes each answer in `metrics`, because kube's watches keep the signs of life of a quiet one to themselves, and its date in
/// `clock`.
///
/// # Errors
/// If there is no usable configuration; the message says which, and what is wrong with it.
pub async fn client(
    kubeconfig: Option<&Path>,
    metrics: Arc<Metrics>,
    clock: Clock,
) -> Result<Client, String> {
    let mut config = match kubeconfig {
        Some(path) => {
            let of_file = |error: &dyn Error| format!("--kubeconfig {}: {}", path.display(), innermost(error));
            let file = Kubeconfig::read_from(path).map_err(|error| of_file(&error))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(|error| of_file(&error))?
        }
        None => Config::infer().await.map_err(|error| {
            format!(
                "no way to the API server: neither --kubeconfig nor KUBECONFIG nor ~/.kube/config can be used, and this is no pod ({})",
                innermost(&error)
            )
        })?,
    };
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    config.headers.push((
        USER_AGENT,
        HeaderValue::from_static(concat!("opcancel-controller/", env!("CARGO_PKG_VERSION"))),
    ));
    build(config, metrics, clock)
}

/// The client of a configuration, with what is noted and paced of its requests.
fn build(config: Config, metrics: Arc<Metrics>, clock: Clock) -> Result<Client, String> {
    let builder = ClientBuilder::try_from(config).map_err(|error| {
        format!(
            "the API server's address or certificates cannot be used: {}",
            innermost(&error)
        )
    })?;
    let pace = Arc::<WatchPace>::default();
    let noting = layer_fn(|inner| Noting {
        inner,
        metrics: metrics.clone(),
        clock: clock.clone(),
        pace: pace.clone(),
    });
    Ok(builder.with_layer(&noting).build())
}

/// Notes the path of each request that was answered well, and the date of each answer; paces watches that end at once.
struct Noting<S> {
    inner: S,
    metrics: Arc<Metrics>,
    clock: Clock,
    pace: Arc<WatchPace>,
}

impl<S, B, A> Service<Request<B>> for Noting<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    A: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let metrics = self.metrics.clone();
        let clock = self.clock.clone();
        let path = request.uri().path().to_owned();
        let pause = match request.uri().query() {
            Some(query) if query.split('&').any(|part| part.starts_with("watch=")) => {
                let begin = self.pace.begin(&path, Instant::now());
                if begin.after_short {
                    metrics.watch_was_short(&path);
                }
                begin.pause
            }
            _ => Duration::ZERO,
        };
        // Nothing is sent before it is polled.
        let answer = self.inner.call(request);
        Box::pin(async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let sent = clock.mono();
            let answer = answer.await?;
            let date = answer.headers().get(DATE);
            if let Some(date) = date.and_then(|date| date.to_str().ok()) {
                clock.learn(date, sent);
            }
            if answer.status().is_success() {
                metrics.answered(&path);
            }
            Ok(answer)
        })
    }
}

/// What is really wrong, without the chain of layers that it went through.
fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::{Json, Router, extract::RawQuery, response::IntoResponse, routing::get};
    use futures::StreamExt;
    use kube::{Api, core::ApiResource};
    use serde_json::json;

    use super::*;
    use crate::{
        api::CancellationGrant,
        controller::{api_server::raw_object::RawObject, watches::watch_stream},
        telemetry::exposition::Format,
    };

    #[tokio::test]
    async fn a_watch_that_ends_at_once_is_paced_and_counted() {
        crate::google::tls::install_provider();
        let watches = Arc::new(AtomicUsize::new(0));
        let counted = watches.clone();
        let answer = move |RawQuery(query): RawQuery| {
            let counted = counted.clone();
            async move {
                if query.is_some_and(|query| query.contains("watch=")) {
                    counted.fetch_add(1, Ordering::SeqCst);
                    return "".into_response();
                }
                let list = json!({"kind": "List", "apiVersion": "v1",
                    "metadata": {"resourceVersion": "5"}, "items": []});
                Json(list).into_response()
            }
        };
        let router = Router::new().fallback(get(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        let metrics = Arc::<Metrics>::default();
        let client = build(
            Config::new(url.parse().unwrap()),
            metrics.clone(),
            Clock::start(),
        )
        .unwrap();
        let resource = ApiResource::erase::<CancellationGrant>(&());
        let api: Api<RawObject> = Api::all_with(client.clone(), &resource);
        metrics.watch_began("cancellationgrants", api.resource_url());
        let path = api.resource_url().to_owned();
        let watching = tokio::spawn(async move {
            loop {
                let version = "5".to_owned();
                watch_stream::watch(client.clone(), path.clone(), None, version)
                    .count()
                    .await;
            }
        });
        let fourth = "opcancel_short_watches_total{resource=\"cancellationgrants\"} 3\n";
        while !metrics.text(Format::Text).unwrap().contains(fourth) {
            tokio::task::yield_now().await;
        }
        // The fourth waits before it is sent.
        assert_eq!(watches.load(Ordering::SeqCst), 3);
        watching.abort();
    }
}
