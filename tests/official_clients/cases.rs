//! What the clients are asked to do, in this order.

use serde::Serialize;

const GLOBAL: &str = "dialogflow.googleapis.com";
const REGIONAL: &str = "europe-west1-dialogflow.googleapis.com";

/// One thing to ask, as the programs read it.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// What it is called in expectations.
    pub id: &'static str,
    /// Google's name of the host.
    pub host: &'static str,
    /// The API's version.
    pub version: &'static str,
    /// `get`, `cancel`, `list` or `wait`: until it is done.
    pub call: &'static str,
    /// The operation, or the parent of a list.
    pub name: &'static str,
    /// Of a list.
    pub filter: &'static str,
    /// Of a list; small, so that there are pages.
    #[serde(rename = "pageSize")]
    pub page_size: i32,
}

const fn case(id: &'static str, call: &'static str, name: &'static str) -> Case {
    Case {
        id,
        host: GLOBAL,
        version: "v2",
        call,
        name,
        filter: "",
        page_size: 3,
    }
}

/// All cases. `other` is another version than v2, which the client has.
pub fn cases(other: &'static str) -> Vec<Case> {
    let regional = |id, call, name| Case {
        host: REGIONAL,
        version: other,
        ..case(id, call, name)
    };
    let stopped = "projects/acme-prod/operations/stopped";
    let completed = "projects/acme-prod/locations/europe-west1/operations/completed-1";
    let domain = "projects/example.com:acme/operations/of-a-domain";
    let project = "projects/acme-prod";
    vec![
        case("running", "get", stopped),
        case("cancel", "cancel", stopped),
        case("wait: cancelled", "wait", stopped),
        case("cancelled", "get", stopped),
        regional("regional, other version", "get", completed),
        regional("cancel without effect", "cancel", completed),
        regional("wait: completed", "wait", completed),
        regional("completed", "get", completed),
        case(
            "wait: failed",
            "wait",
            "projects/acme-prod/operations/failed-1",
        ),
        case(
            "wait: no result",
            "wait",
            "projects/acme-prod/operations/no-result",
        ),
        case(
            "wait: empty error",
            "wait",
            "projects/acme-prod/operations/empty-error",
        ),
        case(
            "cancel when done",
            "cancel",
            "projects/acme-prod/operations/done",
        ),
        case("not found", "get", "projects/acme-prod/operations/missing"),
        case(
            "cancel: not found",
            "cancel",
            "projects/acme-prod/operations/missing",
        ),
        case("denied", "get", "projects/secret-prod/operations/o"),
        case(
            "throttled",
            "get",
            "projects/acme-prod/operations/throttled",
        ),
        case(
            "cancel: throttled",
            "cancel",
            "projects/acme-prod/operations/throttled",
        ),
        case(
            "cancel: not offered",
            "cancel",
            "projects/acme-prod/operations/not-offered",
        ),
        case(
            "unauthenticated",
            "get",
            "projects/acme-prod/operations/never-authenticated",
        ),
        case(
            "authenticated anew",
            "get",
            "projects/acme-prod/operations/authenticated-anew",
        ),
        case(
            "unavailable once",
            "get",
            "projects/acme-prod/operations/unavailable-once",
        ),
        case(
            "HTML",
            "get",
            "projects/acme-prod/operations/behind-a-proxy",
        ),
        case("wrong host", "get", completed),
        case(
            "unheard",
            "get",
            "projects/acme-prod/locations/global/operations/unheard",
        ),
        case("domain", "get", domain),
        case("cancel: domain", "cancel", domain),
        case("list", "list", project),
        Case {
            filter: "done=true",
            ..case("list: done", "list", project)
        },
        regional(
            "list: regional",
            "list",
            "projects/acme-prod/locations/europe-west1",
        ),
    ]
}
