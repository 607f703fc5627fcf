//! The admin server: `/livez`, `/readyz` and `/metrics`. Plain HTTP, nothing secret, nothing to change.

use std::{future::Future, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use super::{exposition::Format, health::Health, metrics::Metrics};

#[derive(Clone, Debug)]
struct Shown {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

/// Binds the address of `--admin-address`.
///
/// # Errors
/// If the address cannot be had; the message names the flag.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        format!(
            "--admin-address: cannot listen on {address}: {error}; choose another address, or off"
        )
    })
}

/// Serves until `stop` is there.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(Shown { health, metrics });
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
        .map_err(|error| format!("the admin server failed: {error}"))
}

async fn livez(State(shown): State<Shown>) -> Response {
    if shown.health.is_alive() {
        "ok\n".into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the dispatcher has stopped\n",
        )
            .into_response()
    }
}

async fn readyz(State(shown): State<Shown>) -> Response {
    match shown.health.missing() {
        None => "ok\n".into_response(),
        Some(missing) => (StatusCode::SERVICE_UNAVAILABLE, missing).into_response(),
    }
}

async fn metrics_text(State(shown): State<Shown>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(header::ACCEPT).iter();
    let accept: Vec<_> = accept.filter_map(|value| value.to_str().ok()).collect();
    let format = Format::wanted(&accept.join(","));
    match shown.metrics.text(format) {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
