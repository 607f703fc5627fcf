//! Answers that say nothing about the operation, and what `lastError` and the conditions make of them.

use operations_emulator::{FaultAnswer, RawAnswer, Refusal, RpcCode};
use serde_json::json;

/// An answer, and what `lastError` and the conditions say of it.
pub struct Row {
    pub name: &'static str,
    pub answer: FaultAnswer,
    pub status: &'static str,
    pub http: &'static str,
    pub reason: &'static str,
}

/// An HTTP answer with this body, which claims to be JSON.
pub fn raw(status: u16, body: &str) -> FaultAnswer {
    FaultAnswer::Raw(json_claimed(status, body))
}

fn json_claimed(status: u16, body: &str) -> RawAnswer {
    RawAnswer::new(status, body).with_header("content-type", "application/json")
}

/// The answers that say nothing about the operation: retried with back-off.
pub fn passing() -> Vec<Row> {
    let rpc = |name, code, status, http| Row {
        name,
        answer: FaultAnswer::Refuse(Refusal::new(code)),
        status,
        http,
        reason: "Unavailable",
    };
    let odd = |name, answer, status, http, reason| Row {
        name,
        answer,
        status,
        http,
        reason,
    };
    let html = "<!DOCTYPE html><title>Error</title><p>That\u{2019}s an error.";
    let truncated = FaultAnswer::Raw(RawAnswer {
        content_length: Some(500),
        ..json_claimed(503, "{\"error\": {")
    });
    let oversized = FaultAnswer::Raw(RawAnswer {
        body_bytes: Some(2 << 20),
        ..json_claimed(503, "x")
    });
    let redirect = FaultAnswer::Raw(
        json_claimed(302, "{}")
            .with_header("location", "/v2/projects/acme-prod/operations/elsewhere"),
    );
    let error = |status: &str| {
        json!({"error": {"code": 400, "message": "m", "status": status}}).to_string()
    };
    vec![
        rpc("unavailable", RpcCode::Unavailable, "UNAVAILABLE", "503"),
        rpc("internal", RpcCode::Internal, "INTERNAL", "500"),
        rpc("unknown", RpcCode::Unknown, "UNKNOWN", "500"),
        rpc("aborted", RpcCode::Aborted, "ABORTED", "409"),
        rpc(
            "deadline-exceeded",
            RpcCode::DeadlineExceeded,
            "DEADLINE_EXCEEDED",
            "504",
        ),
        rpc("rpc-cancelled", RpcCode::Cancelled, "CANCELLED", "499"),
        rpc("data-loss", RpcCode::DataLoss, "DATA_LOSS", "500"),
        rpc(
            "already-exists",
            RpcCode::AlreadyExists,
            "ALREADY_EXISTS",
            "409",
        ),
        rpc("out-of-range", RpcCode::OutOfRange, "OUT_OF_RANGE", "400"),
        // The status decides, never the number.
        odd(
            "unavailable-in-400",
            raw(400, &error("UNAVAILABLE")),
            "UNAVAILABLE",
            "400",
            "Unavailable",
        ),
        odd(
            "novel-status",
            raw(400, &error("NOVEL_STATUS")),
            "UNKNOWN",
            "400",
            "Unavailable",
        ),
        odd(
            "list-of-one",
            raw(400, &format!("[{}]", error("ABORTED"))),
            "ABORTED",
            "400",
            "Unavailable",
        ),
        odd(
            "html-411",
            raw(411, html),
            "UNRECOGNISED",
            "411",
            "Unrecognised",
        ),
        odd(
            "empty-502",
            raw(502, ""),
            "UNAVAILABLE",
            "502",
            "Unavailable",
        ),
        odd(
            "other-json",
            raw(503, r#"{"message": "no healthy upstream"}"#),
            "UNAVAILABLE",
            "503",
            "Unavailable",
        ),
        odd(
            "duplicate-keys",
            raw(
                400,
                r#"{"error": {"status": "ABORTED", "status": "NOT_FOUND"}}"#,
            ),
            "UNRECOGNISED",
            "400",
            "Unrecognised",
        ),
        odd(
            "oversized",
            oversized,
            "UNRECOGNISED",
            "503",
            "Unrecognised",
        ),
        odd("redirect", redirect, "UNRECOGNISED", "302", "Unrecognised"),
        odd("truncated", truncated, "NETWORK", "-", "Unavailable"),
        odd("closed", FaultAnswer::Close, "NETWORK", "-", "Unavailable"),
    ]
}
