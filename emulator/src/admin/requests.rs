//! The recorded requests, for other processes.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    admin::refusal::QueryParams,
    duration_text,
    record::{RequestRecord, Surface},
    shared::Shared,
};

/// Longest time that a request may wait for others.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Which requests.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RequestsQuery {
    /// Only those that name this operation.
    operation: Option<String>,
    /// `operations` (the default), `metadata` or `credentials`.
    surface: Option<SurfaceName>,
    /// Only those of this number and above.
    #[serde(default)]
    since: u64,
    /// How long to wait until there is one.
    #[serde(default, with = "duration_text::option")]
    wait: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum SurfaceName {
    Operations,
    Metadata,
    Credentials,
}

/// Those that are asked for, at once or when there is one.
pub(super) async fn show(
    State(shared): State<Shared>,
    QueryParams(query): QueryParams<RequestsQuery>,
) -> Json<Value> {
    let record = match query.surface.map_or(Surface::Operations, Surface::from) {
        Surface::Operations => &shared.requests,
        Surface::Metadata => &shared.metadata_requests,
        Surface::Credentials => &shared.credentials_requests,
    };
    let asked_for = |request: &&RequestRecord| {
        request.sequence >= query.since
            && query
                .operation
                .as_ref()
                .is_none_or(|name| request.operation.as_ref() == Some(name))
    };
    if let Some(wait) = query.wait {
        // Met, timed out or stopping: what there is is the answer.
        tokio::select! {
            () = record.wait_until(|requests| requests.iter().any(|request| asked_for(&request))) => {}
            () = tokio::time::sleep(wait.min(LONGEST_WAIT)) => {}
            () = shared.stop.cancelled() => {}
        }
    }
    // Read first: what arrives in between is then shown twice rather than never.
    let next = shared.timeline.next_sequence();
    let found = record.with(|requests| {
        requests
            .iter()
            .filter(asked_for)
            .cloned()
            .collect::<Vec<_>>()
    });
    Json(json!({"requests": found, "next": next}))
}

impl From<SurfaceName> for Surface {
    fn from(name: SurfaceName) -> Self {
        match name {
            SurfaceName::Operations => Self::Operations,
            SurfaceName::Metadata => Self::Metadata,
            SurfaceName::Credentials => Self::Credentials,
        }
    }
}
