//! The web page on the admin address: the operations as they are, and a person's way to end one, fail one or have one vanish.
//! Written here, whole, for a browser without JavaScript; with it the changing part is exchanged as things happen.

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

/// What time alone changes is looked for this often.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long changes are gathered: many requests a second are shown together.
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

/// What the page says after a change: a keyword, so that a link from elsewhere cannot make it say anything else.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Notice {
    notice: String,
}

impl Notice {
    fn sentence(&self) -> Option<&'static str> {
        Some(match self.notice.as_str() {
            "complete" => "The operation ended: completed.",
            "fail" => "The operation ended: failed.",
            "cancelledElsewhere" => "The operation ended: cancelled by somebody else.",
            "noResult" => "The operation ended with neither response nor error.",
            "vanish" => "The operation has vanished: NOT_FOUND from now on.",
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
    let gone = "<p>There is no such operation any more.</p>";
    let write = || detail::live(&shared, &name).unwrap_or_else(|| gone.to_owned());
    changed(&shared, &headers, write).await
}

/// The part as soon as it is another one than the browser has; 304 if it stays the same for long.
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

/// A form of the page: `name`, what to `do` with the operation, and where to go on.
async fn change(State(shared): State<Shared>, headers: HeaderMap, Body(body): Body) -> Response {
    let Some(form) = Form::of(&headers, &body) else {
        return error_page(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Expected a form of the page.",
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
                return error_page(StatusCode::BAD_REQUEST, "That is no code of google.rpc.");
            };
            let message = match form.get("message") {
                "" => "Failed by hand.",
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
            return error_page(
                StatusCode::BAD_REQUEST,
                "That cannot be done with an operation.",
            );
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
