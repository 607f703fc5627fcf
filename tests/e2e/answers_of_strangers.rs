//! Odd but real answers of Google's APIs, their front ends and gateways: each as it was reported, and what the object says about it.

use operations_emulator::{Fault, FaultAnswer, FaultCall, RawAnswer, Script};

use crate::{
    odd_answers::raw,
    support::world::{World, operation},
};

/// One answer, and what comes of it.
struct Row {
    name: &'static str,
    /// To every GET; none if it says that the operation is running.
    get: Option<FaultAnswer>,
    /// To every cancel; none if it is taken.
    cancel: Option<FaultAnswer>,
    /// When to look: `kubectl wait --for`.
    wait: &'static str,
    /// `lastError.status`, the reason of `Ready`, and `CancelRequested`.
    error: &'static str,
    ready: &'static str,
    cancel_requested: &'static str,
    posts: std::ops::RangeInclusive<usize>,
    /// What the message of `Ready` says.
    says: &'static [&'static str],
}

const ACCEPTED: &str =
    "jsonpath={.status.conditions[?(@.type==\"CancelRequested\")].reason}=Accepted";
const FAILED: &str = "jsonpath={.status.lastError.call}=Cancel";
const GET_FAILED: &str = "jsonpath={.status.lastError.call}=Get";

fn html(status: u16) -> FaultAnswer {
    let page = "<!DOCTYPE html><title>Error</title><p>That\u{2019}s an error.";
    FaultAnswer::Raw(RawAnswer::new(status, page).with_header("content-type", "text/html"))
}

fn to_cancel(
    name: &'static str,
    answer: FaultAnswer,
    error: &'static str,
    ready: &'static str,
) -> Row {
    Row {
        name,
        get: None,
        cancel: Some(answer),
        wait: FAILED,
        error,
        ready,
        cancel_requested: "Unknown/Sending",
        // How many there are by then depends on the machine; that they become rare is tested on a simulated clock.
        posts: 1..=20,
        says: &[],
    }
}

fn to_get(
    name: &'static str,
    answer: FaultAnswer,
    error: &'static str,
    ready: &'static str,
) -> Row {
    Row {
        get: Some(answer),
        cancel: None,
        wait: GET_FAILED,
        cancel_requested: "True/Accepted",
        posts: 0..=1,
        ..to_cancel(name, html(404), error, ready)
    }
}

fn older(status: u16, reason: &str) -> FaultAnswer {
    let body = format!(
        r#"{{"error":{{"code":{status},"message":"As older APIs say it","errors":[{{"domain":"global","reason":"{reason}"}}]}}}}"#
    );
    raw(status, &body)
}

fn rows() -> Vec<Row> {
    let taken = |name, answer| Row {
        wait: ACCEPTED,
        error: "-",
        ready: "Polling",
        cancel_requested: "True/Accepted",
        posts: 1..=1,
        ..to_cancel(name, answer, "", "")
    };
    let not_served = |name, answer| Row {
        cancel_requested: "Unknown/NotServed",
        posts: 0..=0,
        says: &["europe-west1", "v2"],
        ..to_get(name, answer, "NOT_SERVED", "NotServed")
    };
    let quota = r#"{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED","details":["text",{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":{"seconds":"34"}}]}}"#;
    let method = r#"{"error":{"code":404,"message":"Method not found.","status":"NOT_FOUND"}}"#;
    vec![
        taken("cancel-empty", raw(200, "")),
        taken("cancel-204", raw(204, "")),
        taken("cancel-other-json", raw(200, r#"{"cancelled": true}"#)),
        to_cancel(
            "cancel-login-page",
            html(200),
            "UNRECOGNISED",
            "Unrecognised",
        ),
        to_cancel("cancel-html-403", html(403), "UNRECOGNISED", "Unrecognised"),
        to_cancel("cancel-html-405", html(405), "UNRECOGNISED", "Unrecognised"),
        to_cancel("cancel-html-302", html(302), "UNRECOGNISED", "Unrecognised"),
        to_cancel("cancel-html-404", html(404), "NOT_SERVED", "NotServed"),
        Row {
            wait: "condition=Finished",
            ready: "OutcomeNotAccepted",
            cancel_requested: "False/Unsupported",
            posts: 2..=2,
            ..to_cancel("cancel-no-method", raw(404, method), "METHOD_NOT_FOUND", "")
        },
        Row {
            cancel_requested: "Unknown/NotServed",
            cancel: Some(html(404)),
            ..not_served("both-html-404", html(404))
        },
        not_served(
            "get-gateway-404",
            raw(404, r#"{"message":"no Route matched with those values"}"#),
        ),
        Row {
            posts: 0..=0,
            cancel_requested: "Unknown/NotServed",
            ..to_get(
                "get-no-method",
                raw(404, method),
                "METHOD_NOT_FOUND",
                "NotServed",
            )
        },
        to_get(
            "get-forbidden",
            older(403, "forbidden"),
            "PERMISSION_DENIED",
            "PermissionDenied",
        ),
        to_get(
            "get-condition",
            older(412, "conditionNotMet"),
            "FAILED_PRECONDITION",
            "Unavailable",
        ),
        Row {
            posts: 0..=0,
            cancel_requested: "Unknown/Unauthenticated",
            ..to_get(
                "get-auth",
                older(401, "authError"),
                "UNAUTHENTICATED",
                "Unauthenticated",
            )
        },
        to_cancel(
            "cancel-forbidden",
            older(403, "forbidden"),
            "PERMISSION_DENIED",
            "PermissionDenied",
        ),
        Row {
            cancel_requested: "False/Refused",
            ..to_cancel(
                "cancel-condition",
                older(412, "conditionNotMet"),
                "FAILED_PRECONDITION",
                "Refused",
            )
        },
        to_cancel("cancel-html-503", html(503), "UNAVAILABLE", "Unavailable"),
        // The last one: an exhausted quota also holds the requests of the others back.
        to_cancel(
            "cancel-quota-object",
            raw(429, quota),
            "RESOURCE_EXHAUSTED",
            "Throttled",
        ),
    ]
}

#[test]
fn odd_answers_mean_what_they_mean() {
    let rows = rows();
    let script = |row: &Row| {
        let fault = |script: Script, call, answer: &Option<FaultAnswer>| match answer {
            Some(answer) => script.with_fault(Fault::new(call, answer.clone())),
            None => script,
        };
        let script = fault(Script::ignores_cancel(), FaultCall::Get, &row.get);
        fault(script, FaultCall::Cancel, &row.cancel)
    };
    let world = World::new("strangers", rows.iter().map(|row| (row.name, script(row))));
    let (quotas, others): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.ready == "Throttled");
    world.cancel_all(others.iter().map(|row| row.name));
    for row in &others {
        check(&world, row);
    }
    for row in quotas {
        world.cancel(row.name, &[]);
        check(&world, row);
    }
}

fn check(world: &World, row: &Row) {
    let name = row.name;
    world.wait(&[name], row.wait);
    let object = world.object(name);
    let found = [
        object.text("/status/lastError/status"),
        object.condition("CancelRequested"),
    ];
    assert_eq!(found, [row.error, row.cancel_requested], "{name}");
    let ready = object.condition("Ready");
    assert!(
        ready.ends_with(&format!("/{}", row.ready)),
        "{name}: {ready}"
    );
    let posts = world.posts(name);
    assert!(
        row.posts.contains(&posts),
        "{name}: {posts} POSTs to {}",
        operation(name)
    );
    let message = object.message("Ready");
    for part in row.says {
        assert!(message.contains(part), "{name}: {message}");
    }
}
