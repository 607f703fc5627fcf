//! The client of the API server: one layer of retries, and that is not this one; every wait is bounded.

use std::{
    error::Error,
    path::Path,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{TryFutureExt, future::BoxFuture};
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

use super::clock::Clock;
use crate::telemetry::metrics::Metrics;

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
    let builder = ClientBuilder::try_from(config).map_err(|error| {
        format!(
            "the API server's address or certificates cannot be used: {}",
            innermost(&error)
        )
    })?;
    let noting = layer_fn(|inner| Noting {
        inner,
        metrics: metrics.clone(),
        clock: clock.clone(),
    });
    Ok(builder.with_layer(&noting).build())
}

/// Notes the path of each request that was answered well, and the date of each answer.
struct Noting<S> {
    inner: S,
    metrics: Arc<Metrics>,
    clock: Clock,
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
        let sent = clock.mono();
        let path = request.uri().path().to_owned();
        let noted = self.inner.call(request).inspect_ok(move |answer| {
            let date = answer.headers().get(DATE);
            if let Some(date) = date.and_then(|date| date.to_str().ok()) {
                clock.learn(date, sent);
            }
            if answer.status().is_success() {
                metrics.answered(&path);
            }
        });
        Box::pin(noted)
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
