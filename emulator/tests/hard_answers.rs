//! Answers that a network or a proxy spoils: slow, cut, huge, deep, and connections that die in each way.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use operations_emulator::{
    Answer, Call, ConnectionAnswer, ConnectionFault, Deep, Drip, Fault, FaultAnswer, FaultCall,
    GoAway, RawAnswer, Scenario, Script, Truncated,
};
use serde_json::json;
use support::{NAME, PATIENCE, Setup, raw, start, start_tls, tls_client};

fn on(call: FaultCall, answer: FaultAnswer) -> Script {
    Script::default().with_fault(Fault::new(call, answer).times(1))
}

async fn over_http2(script: Script) -> Setup {
    start_tls(Scenario::default().with_operation(NAME, script)).await
}

fn calls(setup: &Setup, call: Call) -> usize {
    setup.emulator.count(NAME, call)
}

#[tokio::test]
async fn an_answer_can_be_late_after_its_effect() {
    let hour = Duration::from_secs(3600);
    let setup = start(on(FaultCall::Cancel, FaultAnswer::Late(hour))).await;
    let cancelled = |_: &[operations_emulator::RequestRecord]| {
        setup
            .emulator
            .operations()
            .iter()
            .any(|shown| shown.phase == "cancelled")
    };
    tokio::select! {
        answer = setup.try_cancel() => panic!("answered: {answer:?}"),
        seen = setup.emulator.wait_for(cancelled, PATIENCE) => drop(seen.unwrap()),
    }
    let soon = Duration::from_millis(40);
    let setup = start(on(FaultCall::Get, FaultAnswer::Late(soon))).await;
    let asked = Instant::now();
    assert_eq!(setup.get().await.1, json!({"name": NAME}));
    assert!(asked.elapsed() >= soon);
}

#[tokio::test]
async fn an_answer_can_drip() {
    let drip = Drip {
        bytes: 10,
        every: Duration::from_millis(5),
    };
    for setup in [
        start(on(FaultCall::Get, FaultAnswer::Drip(drip.clone()))).await,
        over_http2(on(FaultCall::Get, FaultAnswer::Drip(drip.clone()))).await,
    ] {
        let asked = Instant::now();
        let mut answer = setup.try_get(NAME).await.unwrap();
        let mut pieces = Vec::new();
        while let Some(piece) = answer.chunk().await.unwrap() {
            pieces.push(piece);
        }
        let whole = pieces.concat();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&whole).unwrap(),
            json!({"name": NAME})
        );
        let pauses = (whole.len() as u32).div_ceil(10) - 1;
        assert!(pauses > 3 && asked.elapsed() >= drip.every * pauses);
    }
}

#[tokio::test]
async fn the_usual_answer_can_break_off() {
    let cut = FaultAnswer::Truncated(Truncated { after: 7 });
    let setup = start(on(FaultCall::Get, cut.clone())).await;
    let head = format!(
        "GET /v2/{NAME} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        setup.token
    );
    let answer = raw(setup.emulator.url(), &head).await;
    assert!(answer.ends_with("\r\n\r\n{\n  \"na"), "{answer}");
    for setup in [
        start(on(
            FaultCall::Cancel,
            FaultAnswer::Truncated(Truncated { after: 1 }),
        ))
        .await,
        over_http2(on(
            FaultCall::Cancel,
            FaultAnswer::Truncated(Truncated { after: 1 }),
        ))
        .await,
    ] {
        let answer = setup.try_cancel().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.expect_err("a body that breaks off");
        assert_eq!(setup.get().await.1["done"], true, "it had its effect");
    }
}

#[tokio::test]
async fn a_body_can_be_a_gigabyte_and_costs_nothing_that_is_not_read() {
    let huge = RawAnswer {
        body_bytes: Some(1_000_000_000),
        ..RawAnswer::new(200, "[0,").with_header("content-type", "application/json")
    };
    for setup in [
        start(on(FaultCall::Get, FaultAnswer::Raw(huge.clone()))).await,
        over_http2(on(FaultCall::Get, FaultAnswer::Raw(huge.clone()))).await,
    ] {
        let mut answer = setup.try_get(NAME).await.unwrap();
        assert_eq!(answer.content_length(), Some(1_000_000_000));
        let mut read = 0;
        while read < 4_000_000 {
            read += answer.chunk().await.unwrap().unwrap().len();
        }
        drop(answer);
        assert_eq!(setup.get().await.0, 200);
    }
}

#[tokio::test]
async fn json_can_be_deep() {
    let depth = 300_000;
    let setup = start(on(FaultCall::Get, FaultAnswer::Deep(Deep { depth }))).await;
    let text = setup.try_get(NAME).await.unwrap().text().await.unwrap();
    assert_eq!(text.matches("{\"a\":").count(), depth);
    assert_eq!(text.matches('{').count(), text.matches('}').count());
    assert!(
        text.starts_with(&format!("{{\"name\":\"{NAME}\",\"done\":true")),
        "a prefix of an operation"
    );
}

#[tokio::test]
async fn a_connection_can_be_reset_with_or_without_the_effect() {
    for applied in [false, true] {
        let fault = Fault {
            applied,
            ..Fault::new(FaultCall::Cancel, FaultAnswer::Reset).times(1)
        };
        let script = Script::default().with_fault(fault);
        for setup in [
            start(script.clone()).await,
            over_http2(script.clone()).await,
        ] {
            let error = setup.try_cancel().await.expect_err("no answer");
            assert!(
                format!("{error:?}").contains("ConnectionReset"),
                "{error:?}"
            );
            assert_eq!(calls(&setup, Call::Cancel), 1, "nobody repeats it");
            assert_eq!(setup.emulator.requests()[0].answer, Answer::Closed);
            assert_eq!(setup.get().await.1.get("done").is_some(), applied);
        }
    }
}

#[tokio::test]
async fn a_swallowed_connection_answers_not_even_pings() {
    let script = on(FaultCall::Cancel, FaultAnswer::BlackHole);
    let mut setup = over_http2(script.clone()).await;
    let patience = Duration::from_millis(100);
    setup.client = tls_client(setup.emulator.authority_pem().unwrap())
        .http2_keep_alive_interval(patience)
        .http2_keep_alive_timeout(patience)
        .build()
        .unwrap();
    setup
        .try_cancel()
        .await
        .expect_err("the PING stays without an answer");
    assert_eq!(calls(&setup, Call::Cancel), 1);
    assert_eq!(
        setup.get().await.1,
        json!({"name": NAME}),
        "on a new connection"
    );

    let setup = start(script).await;
    let arrived = |requests: &[operations_emulator::RequestRecord]| !requests.is_empty();
    tokio::select! {
        answer = setup.try_cancel() => panic!("answered: {answer:?}"),
        seen = setup.emulator.wait_for(arrived, PATIENCE) => drop(seen.unwrap()),
    }
    assert_eq!(setup.get().await.0, 200, "on a new connection");
}

#[tokio::test]
async fn a_refused_stream_may_be_sent_again() {
    let setup = over_http2(on(FaultCall::Cancel, FaultAnswer::RefusedStream)).await;
    // The client repeats it by itself, for the frame says that it had no effect.
    assert_eq!(setup.cancel().await, (200, json!({})));
    assert_eq!(calls(&setup, Call::Cancel), 2);
    let setup = start(on(FaultCall::Cancel, FaultAnswer::RefusedStream)).await;
    setup.try_cancel().await.expect_err("closed over HTTP/1.1");
}

#[tokio::test]
async fn goaway_says_whether_the_request_was_looked_at() {
    let go_away =
        |code| Fault::new(FaultCall::Cancel, FaultAnswer::GoAway(GoAway { code })).times(1);
    let setup = over_http2(Script::default().with_fault(go_away(0))).await;
    assert_eq!(setup.cancel().await, (200, json!({})));
    assert_eq!(
        calls(&setup, Call::Cancel),
        2,
        "the client repeats what was not looked at"
    );

    // 11 is ENHANCE_YOUR_CALM.
    let setup = over_http2(Script::default().with_fault(go_away(11))).await;
    let error = setup.try_cancel().await.expect_err("no answer");
    assert!(
        format!("{error:?}").contains("ENHANCE_YOUR_CALM"),
        "{error:?}"
    );
    assert_eq!(calls(&setup, Call::Cancel), 1);

    let setup = over_http2(Script::default().with_fault(go_away(0).applied())).await;
    setup.try_cancel().await.expect_err("no answer");
    assert_eq!(calls(&setup, Call::Cancel), 1, "nobody may repeat it");
    assert_eq!(setup.get().await.1["done"], true);
}

#[tokio::test]
async fn connections_can_be_reset_or_swallowed_before_any_request() {
    let setup = start(Script::default()).await;
    let rule = |answer| ConnectionFault {
        from: 1,
        times: Some(1),
        answer,
    };
    setup
        .emulator
        .set_connection_faults(vec![rule(ConnectionAnswer::Reset)])
        .unwrap();
    let fresh = support::client();
    let ask = || fresh.get(setup.emulator.url()).send();
    ask().await.expect_err("reset");
    assert_eq!(ask().await.unwrap().status(), 404);

    setup
        .emulator
        .set_connection_faults(vec![rule(ConnectionAnswer::BlackHole)])
        .unwrap();
    let impatient = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let error = impatient
        .get(setup.emulator.url())
        .send()
        .await
        .unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(setup.emulator.requests().len(), 1);
}
