//! The admin API: offers the methods of [`crate::Emulator`] to other processes. It has no authentication, so it listens on
//! loopback only.

mod error_page;
pub(crate) mod guard;
mod html;
mod page;
mod refusal;
mod requests;

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use http::{StatusCode, header};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{
        guard::{AdminGuard, guard},
        refusal::{BODY_LIMIT, Body, QueryParams, method_not_allowed, not_found, refusal},
    },
    scenario::{
        connection_fault::ConnectionFault,
        consumer::Consumer,
        error::ScenarioError,
        fault::Fault,
        permission::Permission,
        script::{EndResult, Script},
        yaml::parse_yaml,
    },
    shared::{ChangeError, Shared},
    transport,
};

/// Serves the admin API until the emulator stops.
pub(crate) async fn serve(listener: TcpListener, admin_guard: AdminGuard, shared: Shared) {
    let stop = shared.stop.clone();
    let service = TowerToHyperService::new(router(admin_guard, shared));
    let until = stop.clone();
    transport::accept(listener, until, |stream| {
        connection(stream, service.clone(), stop.clone())
    })
    .await;
}

async fn connection(
    stream: TcpStream,
    service: TowerToHyperService<Router>,
    stop: CancellationToken,
) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().header_read_timeout(None);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    if let Some(Err(error)) = transport::until_stopped(connection, stop).await {
        tracing::debug!(%error, "connection to the admin address ended");
    }
}

fn router(admin_guard: AdminGuard, shared: Shared) -> Router {
    Router::new()
        .route(
            "/admin/requests",
            get(requests::show).delete(clear_requests),
        )
        .route(
            "/admin/operations",
            get(operations).put(set_operation).delete(remove_operation),
        )
        .route("/admin/operations/finish", post(finish_operation))
        .route("/admin/operations/vanish", post(vanish_operation))
        .route("/admin/permissions", put(set_permissions))
        .route("/admin/consumers", put(set_consumers))
        .route("/admin/federated-tokens", put(set_federated_tokens))
        .route("/admin/latency", put(set_latency))
        .route("/admin/faults", put(set_faults))
        .route("/admin/connections", put(set_connection_faults))
        .route("/admin/tokens", get(tokens))
        .route("/admin/tokens/revoke", post(revoke_tokens))
        .route("/admin/authority", get(authority))
        .merge(page::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(admin_guard, guard))
        // For health checks, which may use any host name.
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(shared)
}

async fn clear_requests(State(shared): State<Shared>) -> Json<Value> {
    shared.clear_requests();
    Json(json!({}))
}

async fn operations(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({"operations": shared.store.views()}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SetOperation {
    name: String,
    #[serde(default)]
    script: Script,
}

async fn set_operation(
    State(shared): State<Shared>,
    Body(body): Body,
) -> Result<Json<Value>, Refused> {
    let SetOperation { name, script } = read(&body)?;
    shared.set_operation(&name, script)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

async fn remove_operation(
    State(shared): State<Shared>,
    QueryParams(Named { name }): QueryParams<Named>,
) -> Result<Json<Value>, Refused> {
    if shared.store.remove(&name) {
        Ok(Json(json!({})))
    } else {
        Err(ChangeError::NoOperation(name).into())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Finish {
    name: String,
    result: EndResult,
}

async fn finish_operation(
    State(shared): State<Shared>,
    Body(body): Body,
) -> Result<Json<Value>, Refused> {
    let Finish { name, result } = read(&body)?;
    shared.finish_operation(&name, result)?;
    Ok(Json(json!({})))
}

async fn vanish_operation(
    State(shared): State<Shared>,
    Body(body): Body,
) -> Result<Json<Value>, Refused> {
    let Named { name } = read(&body)?;
    shared.vanish_operation(&name)?;
    Ok(Json(json!({})))
}

async fn set_permissions(
    State(shared): State<Shared>,
    Body(body): Body,
) -> Result<Json<Value>, Refused> {
    let permissions: Option<Vec<Permission>> = read(&body)?;
    shared.set_permissions(permissions)?;
    Ok(Json(json!({})))
}

async fn set_consumers(
    State(shared): State<Shared>,
    Body(body): Body,
) -> Result<Json<Value>, Refused> {
    let consumers: BTreeMap<String, Consumer> = read(&body)?;
    shared.set_consumers(consumers)?;
    Ok(Json(json!({})))
}

async fn set_federated_tokens(
    State(shared): State<Shared>,
    Body(body): Body,
) -> Result<Json<Value>, Refused> {
    shared.set_federated_tokens(read(&body)?);
    Ok(Json(json!({})))
}

async fn set_latency(
    State(shared): State<Shared>,
    Body(body): Body,
) -> Result<Json<Value>, Refused> {
    shared.set_latency(read(&body)?);
    Ok(Json(json!({})))
}

async fn set_faults(
    State(shared): State<Shared>,
    Body(body): Body,
) -> Result<Json<Value>, Refused> {
    let faults: Vec<Fault> = read(&body)?;
    shared.set_faults(faults)?;
    Ok(Json(json!({})))
}

async fn set_connection_faults(
    State(shared): State<Shared>,
    Body(body): Body,
) -> Result<Json<Value>, Refused> {
    let faults: Vec<ConnectionFault> = read(&body)?;
    shared.set_connection_faults(faults)?;
    Ok(Json(json!({})))
}

async fn tokens(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({"tokens": shared.tokens.issued()}))
}

async fn revoke_tokens(State(shared): State<Shared>) -> Json<Value> {
    shared.tokens.revoke_all();
    Json(json!({}))
}

/// The certificate of the emulator's authority (PEM), for clients that cannot read its file.
async fn authority(State(shared): State<Shared>) -> Response {
    match shared.authority {
        Some(pem) => ([(header::CONTENT_TYPE, "application/x-pem-file")], pem).into_response(),
        None => {
            let why = "TLS is off; start the emulator with --tls";
            refusal("/admin/authority", StatusCode::NOT_FOUND, why)
        }
    }
}

/// Reads JSON or YAML with the reader of scenarios, whose errors name the line and the field.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ChangeError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| ScenarioError::Shape(format!("it is not UTF-8: {error}")))?;
    Ok(parse_yaml(text)?)
}

/// A change that was refused, as JSON with the reason in `error`.
struct Refused(ChangeError);

impl From<ChangeError> for Refused {
    fn from(error: ChangeError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        refusal("/admin/", self.0.http_status(), &self.0.to_string())
    }
}
