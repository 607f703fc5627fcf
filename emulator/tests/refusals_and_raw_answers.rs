//! Answers other than the usual ones: Google's errors with their details, raw HTTP, broken connections, silence.

mod support;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use operations_emulator::{
    Answer, Call, ErrorInfo, Fault, FaultAnswer, FaultCall, Latency, RawAnswer, Refusal, RpcCode,
    Script,
};
use serde_json::json;
use support::{NAME, PATIENCE, raw, rpc_status, start};

fn on_get(answer: FaultAnswer) -> Script {
    Script::default().with_fault(Fault::new(FaultCall::Get, answer))
}

#[tokio::test]
async fn refuses_as_often_as_told_with_all_details() {
    let refusal = Refusal {
        message: Some("slow down".into()),
        error_info: Some(ErrorInfo {
            reason: "RATE_LIMIT_EXCEEDED".into(),
            domain: "googleapis.com".into(),
            metadata: BTreeMap::from([("consumer".into(), "projects/1".into())]),
        }),
        retry_info: Some(Duration::from_millis(1500)),
        retry_after: Some("2".into()),
        details: vec![json!({"@type": "type.googleapis.com/google.rpc.Help", "links": []})],
        ..Refusal::new(RpcCode::ResourceExhausted)
    };
    let setup = start(
        Script::default()
            .with_fault(Fault::new(FaultCall::Cancel, FaultAnswer::Refuse(refusal)).times(2)),
    )
    .await;
    for _ in 0..2 {
        let answer = setup.try_cancel().await.unwrap();
        assert_eq!(answer.headers()["retry-after"], "2");
        let (status, json) = support::json(answer).await;
        assert_eq!(status, 429);
        assert_eq!(
            json,
            json!({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED",
                 "domain": "googleapis.com", "metadata": {"consumer": "projects/1"}},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.500s"},
                {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
            ]}})
        );
    }
    assert_eq!(
        setup.get().await.1,
        json!({"name": NAME}),
        "a refused cancel has no effect"
    );
    assert_eq!(setup.cancel().await, (200, json!({})));
}

#[tokio::test]
async fn every_code_answers_with_its_http_status() {
    for number in 1..=17 {
        let code = RpcCode::from_number(number).unwrap();
        let setup = start(Script::default().with_fault(Fault::refuse(FaultCall::Any, code))).await;
        for (status, json) in [setup.get().await, setup.cancel().await] {
            assert_eq!(
                (status, rpc_status(&json)),
                (code.http_status(), code.name().as_str())
            );
        }
    }
}

#[tokio::test]
async fn faults_of_the_endpoint_meet_every_operation() {
    let setup = start(Script::default()).await;
    setup
        .emulator
        .set_faults(vec![
            Fault::refuse(FaultCall::Get, RpcCode::Unavailable).times(2),
        ])
        .unwrap();
    assert_eq!(setup.get().await.0, 503);
    assert_eq!(setup.get_name("projects/p/operations/other").await.0, 503);
    assert_eq!(setup.get().await.0, 200);
}

#[tokio::test]
async fn a_raw_answer_comes_as_it_is() {
    let moved = RawAnswer::new(302, "moved")
        .with_header("location", "http://127.0.0.1:1/")
        .with_header("x-a", "b");
    let setup = start(on_get(FaultAnswer::Raw(moved))).await;
    let answer = setup.try_get(NAME).await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(
        (&answer.headers()["location"], &answer.headers()["x-a"]),
        (
            &"http://127.0.0.1:1/".parse().unwrap(),
            &"b".parse().unwrap()
        )
    );
    assert_eq!(answer.text().await.unwrap(), "moved");
}

#[tokio::test]
async fn an_answer_can_be_oversized() {
    let oversized = RawAnswer {
        body_bytes: Some(3_000_000),
        ..RawAnswer::new(200, "ab")
    };
    let setup = start(on_get(FaultAnswer::Raw(oversized))).await;
    let body = setup.try_get(NAME).await.unwrap().text().await.unwrap();
    assert_eq!(body.len(), 3_000_000);
    assert!(body.starts_with("abab"));
}

#[tokio::test]
async fn an_answer_can_break_off() {
    let truncated = RawAnswer {
        content_length: Some(100),
        ..RawAnswer::new(200, "{\"done\": tr")
    };
    let setup = start(on_get(FaultAnswer::Raw(truncated))).await;
    let request = format!(
        "GET /v2/{NAME} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        setup.token
    );
    let answer = raw(setup.emulator.url(), &request).await.to_lowercase();
    assert!(answer.contains("content-length: 100\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{\"done\": tr"), "{answer}");
    let error = setup
        .try_get(NAME)
        .await
        .unwrap()
        .text()
        .await
        .expect_err("a body that breaks off");
    assert!(error.is_body() || error.is_decode(), "{error:?}");
}

#[tokio::test]
async fn a_connection_can_close_before_or_after_the_effect() {
    for (applied, expected) in [(false, json!({"name": NAME})), (true, json!(1))] {
        let fault = Fault {
            applied,
            ..Fault::new(FaultCall::Cancel, FaultAnswer::Close)
        };
        let setup = start(Script::default().with_fault(fault.times(1))).await;
        assert!(
            setup
                .try_cancel()
                .await
                .expect_err("no answer")
                .is_request()
        );
        let operation = setup.get().await.1;
        assert_eq!(
            if applied {
                &operation["error"]["code"]
            } else {
                &operation
            },
            &expected
        );
        assert_eq!(setup.emulator.requests()[0].answer, Answer::Closed);
    }
}

#[tokio::test]
async fn a_hang_answers_nothing() {
    let hang = Fault::new(
        FaultCall::Cancel,
        FaultAnswer::Hang(Duration::from_secs(3600)),
    )
    .applied();
    let setup = start(Script::default().with_fault(hang)).await;
    let arrived = |requests: &[operations_emulator::RequestRecord]| {
        requests.iter().any(|r| r.call == Some(Call::Cancel))
    };
    tokio::select! {
        answer = setup.try_cancel() => panic!("answered: {answer:?}"),
        seen = setup.emulator.wait_for(arrived, PATIENCE) => assert_eq!(seen.unwrap()[0].answer, Answer::Pending),
    }
    // The caller is gone now; the record says so, and the cancel had taken effect.
    let abandoned =
        |requests: &[operations_emulator::RequestRecord]| requests[0].answer == Answer::Abandoned;
    setup.emulator.wait_for(abandoned, PATIENCE).await.unwrap();
    assert_eq!(setup.get().await.1["error"]["code"], 1);
}

#[tokio::test]
async fn a_hang_ends_with_a_closed_connection() {
    let setup = start(on_get(FaultAnswer::Hang(Duration::from_millis(50)))).await;
    let asked = Instant::now();
    assert!(setup.try_get(NAME).await.is_err());
    assert!(asked.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn latency_is_by_operation_and_method() {
    let latency = Some(Latency {
        get: Duration::from_millis(80),
        cancel: Duration::ZERO,
    });
    let setup = start(Script {
        latency,
        ..Script::default()
    })
    .await;
    let asked = Instant::now();
    assert_eq!(setup.get().await.0, 200);
    assert!(
        asked.elapsed() >= Duration::from_millis(80),
        "{:?}",
        asked.elapsed()
    );
}
