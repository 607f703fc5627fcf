//! The web page on the admin address: it shows the operations, and can end them or make them vanish. The server renders the
//! whole page, also for browsers without JavaScript. With JavaScript, the live part is replaced whenever it changes.

mod detail;
mod links;
mod list;
mod requests;

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use crate::{
    admin::{
        error_page::error_page,
        html::{self, answer},
        refusal::{Body, QueryParams},
    },
    operations::store::Selection,
    protocol::{form::Form, rpc_code::RpcCode},
    scenario::script::{EndResult, Failure},
    shared::{ChangeError, Shared},
};

/// How long a browser waits for a change before it asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(25);

/// How often to check for changes that only time causes.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long to collect changes: many requests per second are shown together.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// The routes of the page.
pub(crate) fn routes() -> Router<Shared> {
    let file =
        |kind, text: &'static str| get(move || async move { answer(StatusCode::OK, kind, text) });
    Router::new()
        .route("/", get(index))
        .route("/operation", get(operation))
        .route("/live", get(live_index))
        .route("/live/operation", get(live_operation))
        .route("/change", post(change))
        .route(
            "/page.css",
            file("text/css; charset=utf-8", include_str!("page/style.css")),
        )
        .route(
            "/page.js",
            file(
                "text/javascript; charset=utf-8",
                include_str!("page/live.js"),
            ),
        )
}

/// The message after a change. The URL has only a keyword, so that a link cannot put any other text on the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Notice {
    notice: String,
}

impl Notice {
    fn sentence(&self) -> Option<&'static str> {
        Some(match self.notice.as_str() {
            "complete" => "The operation has completed.",
            "fail" => "The operation has failed.",
            "cancelledElsewhere" => "The operation was cancelled by another client.",
            "noResult" => "The operation is done, without a result.",
            "vanish" => "The operation is gone and now returns NOT_FOUND.",
            _ => return None,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OperationParam {
    name: String,
}

async fn index(
    State(shared): State<Shared>,
    QueryParams(selection): QueryParams<Selection>,
    QueryParams(notice): QueryParams<Notice>,
) -> Response {
    let part = list::live(&shared, &selection);
    let contents = list::contents(&selection, &part, &tag(&part));
    html::page(
        StatusCode::OK,
        "Operations",
        notice.sentence(),
        &contents,
        Some(&links::address("/", &selection, "")),
    )
}

async fn operation(
    State(shared): State<Shared>,
    QueryParams(OperationParam { name }): QueryParams<OperationParam>,
    QueryParams(notice): QueryParams<Notice>,
) -> Response {
    let Some(part) = detail::live(&shared, &name) else {
        let error = ChangeError::NoOperation(name);
        return error_page(error.http_status(), &error.to_string());
    };
    let contents = detail::contents(&name, &part, &tag(&part));
    html::page(
        StatusCode::OK,
        "Operation",
        notice.sentence(),
        &contents,
        Some(&format!("/operation?name={}", links::encoded(&name))),
    )
}

async fn live_index(
    State(shared): State<Shared>,
    QueryParams(selection): QueryParams<Selection>,
    headers: HeaderMap,
) -> Response {
    changed(&shared, &headers, || list::live(&shared, &selection)).await
}

async fn live_operation(
    State(shared): State<Shared>,
    QueryParams(OperationParam { name }): QueryParams<OperationParam>,
    headers: HeaderMap,
) -> Response {
    let gone = "<p>This operation no longer exists.</p>";
    let write = || detail::live(&shared, &name).unwrap_or_else(|| gone.to_owned());
    changed(&shared, &headers, write).await
}

/// The live part, as soon as it differs from the one that the browser has; 304 after [`LONGEST_WAIT`].
async fn changed(shared: &Shared, headers: &HeaderMap, write: impl Fn() -> String) -> Response {
    let known_tag = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|tag| tag.to_str().ok());
    let deadline = tokio::time::Instant::now() + LONGEST_WAIT;
    let mut by_admins = shared.store.changes();
    let mut by_clients = shared.requests.changes();
    loop {
        by_admins.mark_unchanged();
        by_clients.mark_unchanged();
        let part = write();
        let tag = tag(&part);
        if known_tag != Some(tag.as_str()) {
            let response = answer(StatusCode::OK, "text/html; charset=utf-8", part);
            return ([(header::ETAG, tag)], response).into_response();
        }
        tokio::select! {
            _ = by_admins.changed() => {}
            _ = by_clients.changed() => tokio::time::sleep(DEBOUNCE).await,
            () = tokio::time::sleep(CHECK_EVERY) => {}
            () = tokio::time::sleep_until(deadline) => return StatusCode::NOT_MODIFIED.into_response(),
            () = shared.stop.cancelled() => return StatusCode::NOT_MODIFIED.into_response(),
        }
        if tokio::time::Instant::now() >= deadline {
            return StatusCode::NOT_MODIFIED.into_response();
        }
    }
}

fn tag(part: &str) -> String {
    let mut hasher = DefaultHasher::new();
    part.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Handles a form of the page: the `name` of the operation, what to `do` with it, and the page to go `back` to.
async fn change(State(shared): State<Shared>, headers: HeaderMap, Body(body): Body) -> Response {
    let Some(form) = Form::of(&headers, &body) else {
        return error_page(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The request is not a form of this page.",
        );
    };
    let (name, wanted) = (form.get("name"), form.get("do"));
    let done = match wanted {
        "vanish" => shared.vanish_operation(name),
        "complete" => shared.finish_operation(name, EndResult::completed()),
        "cancelledElsewhere" => shared.finish_operation(name, EndResult::CancelledElsewhere),
        "noResult" => shared.finish_operation(name, EndResult::NoResult),
        "fail" => {
            let code = if form.get("code").is_empty() {
                "INTERNAL"
            } else {
                form.get("code")
            };
            let Some(code) = RpcCode::from_name(code) else {
                return error_page(StatusCode::BAD_REQUEST, "This is not a google.rpc code.");
            };
            let message = match form.get("message") {
                "" => "Failed on the web page.",
                message => message,
            };
            let failure = Failure {
                code,
                message: message.to_owned(),
                details: Vec::new(),
            };
            shared.finish_operation(name, EndResult::Failed(failure))
        }
        _ => {
            return error_page(StatusCode::BAD_REQUEST, "Unknown action.");
        }
    };
    match done {
        Ok(()) => {
            let back = match form.get("back") {
                "operation" => format!("/operation?name={}&notice={wanted}", links::encoded(name)),
                _ => links::address("/", &links::selection(&form), &format!("notice={wanted}")),
            };
            Redirect::to(&back).into_response()
        }
        Err(error) => error_page(error.http_status(), &error.to_string()),
    }
}
