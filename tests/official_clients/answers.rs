//! What each client makes of each answer. Where they differ the reason is theirs: how their authors treat Google's answers.

use std::collections::BTreeMap;

use operations_emulator::{Authorization, Call, RequestRecord};
use serde_json::{Value, json};

use crate::{
    cases::cases,
    client::{Client, Run},
};

const STOPPED: &str = "projects/acme-prod/operations/stopped";
const COMPLETED: &str = "projects/acme-prod/locations/europe-west1/operations/completed-1";
const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";

/// What was wrong with the answers of a client; nothing, if it was treated as by Google.
pub fn complaints(client: Client, run: &Run) -> Vec<String> {
    let mut complaints = Vec::new();
    for case in cases(client.other_version()) {
        let found = &run.answers[case.id];
        let expected = expected(client, case.id);
        if !contains(found, &expected) {
            complaints.push(format!("{}: {found}\n    expected {expected}", case.id));
        }
    }
    complaints
}

/// An object must have these fields, or none if there are none; a text `text` must have this in it; everything else must be
/// the same.
fn contains(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) if expected.is_empty() => found.is_empty(),
        (Value::Object(found), Value::Object(expected)) => expected.iter().all(|(key, value)| {
            let found = found.get(key).unwrap_or(&Value::Null);
            match (key.as_str(), found.as_str(), value.as_str()) {
                ("text", Some(found), Some(part)) => found.contains(part),
                // ProtoJSON has 0, 3, 6 or 9 digits after the point; the Rust client drops noughts.
                ("retryDelay", Some(found), Some(delay)) => found.replace("00s", "s") == delay,
                _ => contains(found, value),
            }
        }),
        (Value::Number(found), Value::Number(expected)) => found.as_f64() == expected.as_f64(),
        _ => found == expected,
    }
}

fn expected(client: Client, case: &str) -> Value {
    let operation = |name: &str, done: bool, error: Option<i32>, response: Option<&str>| json!({"value": {"name": name, "done": done, "error": error, "response": response}});
    let denied = || {
        let resource = "//dialogflow.googleapis.com/projects/secret-prod/operations/o";
        json!({"error": {
            "reason": "IAM_PERMISSION_DENIED", "domain": "dialogflow.googleapis.com",
            "metadata": {"permission": "dialogflow.operations.get", "resource": resource},
        }})
    };
    let throttled = || {
        json!({"error": {
            "reason": "RATE_LIMIT_EXCEEDED", "domain": "googleapis.com", "retryDelay": "1.5s",
            "metadata": {"consumer": "projects/123456789012", "quota_metric": "dialogflow.googleapis.com/requests"},
        }})
    };
    let with = |mut refusal: Value, details: Value| {
        let fields = details["error"].as_object().unwrap().clone();
        refusal["error"].as_object_mut().unwrap().extend(fields);
        refusal
    };
    match case {
        "running" => operation(STOPPED, false, None, None),
        "cancelled" => operation(STOPPED, true, Some(1), None),
        "regional, other version" => operation(COMPLETED, false, None, None),
        "completed" => operation(COMPLETED, true, None, Some(STRUCT)),
        "cancel" | "cancel without effect" | "cancel: domain" => json!({"value": {}}),
        "domain" => operation(
            "projects/example.com:acme/operations/of-a-domain",
            false,
            None,
            None,
        ),
        "wait: cancelled" => ended(client, 1, "CANCELLED", "The operation was cancelled."),
        "wait: failed" => ended(client, 8, "RESOURCE_EXHAUSTED", "too many intents"),
        "wait: completed" => match client {
            Client::Rust | Client::Python => json!({"value": {"response": {"entities": 3}}}),
            _ => json!({"value": {"response": {"@type": STRUCT, "value": {"entities": 3}}}}),
        },
        // A dialect of Dialogflow's that the libraries with types do not expect.
        "wait: no result" => match client {
            Client::Rust => {
                json!({"error": {"class": "deserialization", "text": "neither result nor error set"}})
            }
            Client::Python => {
                json!({"error": {"class": "GoogleAPICallError", "text": "had neither response nor error set"}})
            }
            _ => json!({"value": {}}),
        },
        "wait: empty error" => match client {
            Client::Rust => json!({"error": {"class": "service", "code": "OK"}}),
            Client::Python => json!({"error": {"class": "GoogleAPICallError", "code": "OK"}}),
            _ => json!({"value": {"error": {}}}),
        },
        "cancel when done" => refused(
            client,
            400,
            "FAILED_PRECONDITION",
            "The operation is already done and cannot be cancelled.",
        ),
        "not found" | "cancel: not found" => {
            let message =
                "Operation with name \"projects/acme-prod/operations/missing\" was not found.";
            refused(client, 404, "NOT_FOUND", message)
        }
        "denied" => with(
            refused(
                client,
                403,
                "PERMISSION_DENIED",
                "Permission 'dialogflow.operations.get' denied on resource",
            ),
            denied(),
        ),
        "throttled" | "cancel: throttled" => with(
            refused(
                client,
                429,
                "RESOURCE_EXHAUSTED",
                "Quota exceeded for quota metric 'Requests'.",
            ),
            throttled(),
        ),
        "cancel: not offered" => refused(client, 501, "UNIMPLEMENTED", "UNIMPLEMENTED"),
        "unauthenticated" => refused(client, 401, "UNAUTHENTICATED", "UNAUTHENTICATED"),
        "authenticated anew" => match client {
            Client::Python | Client::Discovery => operation(
                "projects/acme-prod/operations/authenticated-anew",
                false,
                None,
                None,
            ),
            // Neither fetches another token for the sake of a refused one.
            Client::Rust | Client::Node => {
                refused(client, 401, "UNAUTHENTICATED", "UNAUTHENTICATED")
            }
        },
        "unavailable once" => match client {
            Client::Rust => operation(
                "projects/acme-prod/operations/unavailable-once",
                false,
                None,
                None,
            ),
            _ => refused(client, 503, "UNAVAILABLE", "UNAVAILABLE"),
        },
        "HTML" => match client {
            Client::Rust => {
                json!({"error": {"class": "transport", "httpStatus": 502, "code": null}})
            }
            Client::Python => {
                json!({"error": {"class": "BadGateway", "httpStatus": 502, "text": "<html>"}})
            }
            Client::Discovery => {
                json!({"error": {"class": "HttpError", "httpStatus": 502, "text": "<html>"}})
            }
            Client::Node => {
                json!({"error": {"class": "GaxiosError", "httpStatus": 502, "text": "<html>"}})
            }
        },
        // A message in an Any that no package on the caller's side knows.
        "unheard" => match client {
            Client::Python => {
                json!({"error": {"class": "ParseError", "text": "Can not find message descriptor"}})
            }
            _ => operation(
                "projects/acme-prod/locations/global/operations/unheard",
                true,
                None,
                Some("type.googleapis.com/acme.v1.Unheard"),
            ),
        },
        "wrong host" => refused(
            client,
            400,
            "INVALID_ARGUMENT",
            "Please find the correct endpoint for the location: europe-west1-dialogflow.googleapis.com.",
        ),
        "list" => names(&[
            "authenticated-anew",
            "behind-a-proxy",
            "done",
            "empty-error",
            "failed-1",
            "never-authenticated",
            "no-result",
            "not-offered",
            "stopped",
            "throttled",
            "unavailable-once",
        ]),
        "list: done" => names(&["done", "empty-error", "failed-1", "no-result", "stopped"]),
        "list: regional" => json!({"value": [COMPLETED]}),
        other => panic!("nothing is expected of {other}"),
    }
}

fn names(short: &[&str]) -> Value {
    let names: Vec<_> = short
        .iter()
        .map(|name| format!("projects/acme-prod/operations/{name}"))
        .collect();
    json!({ "value": names })
}

/// An operation that ended with an error: an exception where the library has a loop, else what the answer says.
fn ended(client: Client, number: i32, code: &str, message: &str) -> Value {
    match client {
        Client::Rust => {
            json!({"error": {"class": "service", "code": code, "message": message, "httpStatus": null}})
        }
        Client::Python => {
            let class = if number == 1 {
                "Cancelled"
            } else {
                "ResourceExhausted"
            };
            json!({"error": {"class": class, "code": code, "message": message, "httpStatus": null}})
        }
        _ => json!({"value": {"error": {"code": number, "message": message}}}),
    }
}

/// A refused request: the library's own exception for it.
fn refused(client: Client, http: u16, code: &str, message: &str) -> Value {
    let mut error = json!({"httpStatus": http, "text": message});
    error["class"] = match client {
        Client::Rust => "service",
        // Over REST it goes by the HTTP status alone.
        Client::Python => match http {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            429 => "TooManyRequests",
            501 => "MethodNotImplemented",
            _ => "ServiceUnavailable",
        },
        Client::Discovery => "HttpError",
        Client::Node => "GaxiosError",
    }
    .into();
    if matches!(client, Client::Rust | Client::Node) {
        error["code"] = code.into();
    }
    json!({ "error": error })
}

/// How often each client asked, and with how many tokens, where they differ: what retries and loops they have.
pub fn effort(run: &Run) -> BTreeMap<&'static str, (usize, usize)> {
    let effort = |name: &'static str| {
        let named = |request: &&RequestRecord| {
            request.call == Some(Call::Get)
                && request
                    .operation
                    .as_deref()
                    .is_some_and(|asked| asked.ends_with(name))
        };
        let requests: Vec<_> = run.requests.iter().filter(named).collect();
        let mut tokens: Vec<_> = requests
            .iter()
            .filter_map(|request| match &request.authorization {
                Authorization::Token(id) => Some(id),
                _ => None,
            })
            .collect();
        tokens.dedup();
        (name, (requests.len(), tokens.len()))
    };
    [
        "never-authenticated",
        "authenticated-anew",
        "unavailable-once",
        "failed-1",
    ]
    .map(effort)
    .into()
}

#[test]
fn nothing_is_expected_exactly() {
    let done = json!({"error": {"code": 1}});
    for (found, expected, fits) in [
        (json!({"value": {}}), json!({"value": {}}), true),
        (json!({"value": done}), json!({"value": {}}), false),
        (
            json!({"value": done}),
            json!({"value": {"error": {}}}),
            false,
        ),
        (json!({"value": done}), json!({"value": done}), true),
        (json!({"id": "cancel"}), json!({"value": {}}), false),
    ] {
        assert_eq!(contains(&found, &expected), fits, "{found} for {expected}");
    }
}
