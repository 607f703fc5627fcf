//! The client of the API server. It does not retry: the callers do. Every wait is bounded.

use std::{
    env,
    error::Error,
    path::Path,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{
    HeaderValue, Request, Response, Uri,
    header::{DATE, USER_AGENT},
};
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use tower::{Service, layer::layer_fn};

use crate::{controller::clock::Clock, telemetry::metrics::Metrics};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A watch sends something earlier than this; everything else has shorter limits of its own.
const READ_TIMEOUT: Duration = Duration::from_secs(75);

/// Makes the client from `--kubeconfig`; without it from `KUBECONFIG`, `~/.kube/config` or the pod's ServiceAccount.
///
/// The client notes each answer in `metrics`, because a quiet watch shows its callers nothing, and the answer's date in `clock`.
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
                "cannot find the API server: --kubeconfig, KUBECONFIG and ~/.kube/config cannot be used, and this is not a pod ({})",
                innermost(&error)
            )
        })?,
    };
    // With a kubeconfig, kube takes a proxy from the environment too. It was built without proxies, and would refuse to start.
    config.proxy_url.take_if(|proxy| is_from_environment(proxy));
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

/// Whether a proxy comes from the environment, and not from the kubeconfig.
fn is_from_environment(proxy: &Uri) -> bool {
    let of_variable = |name| env::var(name).ok()?.parse::<Uri>().ok();
    ["HTTPS_PROXY", "https_proxy"]
        .into_iter()
        .filter_map(of_variable)
        .any(|uri| uri == *proxy)
}

/// The client of a configuration, with a layer that notes each answer.
fn build(config: Config, metrics: Arc<Metrics>, clock: Clock) -> Result<Client, String> {
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

/// Notes the path of each request with a successful answer, and the date of each answer.
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
        let path = request.uri().path().to_owned();
        let answer = self.inner.call(request);
        Box::pin(async move {
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

/// The innermost cause, without the layers around it.
fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
