//! What tests read afterwards: who asked for what, with what, and how it was answered.

mod support;

use std::time::Duration;

use operations_emulator::{Answer, Authorization, Call, Emulator, Scenario, Script};
use support::{NAME, PATIENCE, start};

#[tokio::test]
async fn each_request_is_recorded_with_what_it_carried() {
    let setup = start(Script::default()).await;
    let url = format!(
        "{}/v3beta1/{NAME}:cancel?access_token=s3cret&alt=json",
        setup.emulator.url()
    );
    let answer = setup
        .client
        .post(url)
        .bearer_auth(&setup.token)
        .header("content-length", "0");
    let answer = answer
        .header("user-agent", "opcancel/1")
        .header("x-goog-request-reason", "because")
        .header("x-goog-user-project", "payer");
    assert_eq!(answer.send().await.unwrap().status(), 200);

    let requests = setup.emulator.requests_for(NAME);
    let [request] = requests.as_slice() else {
        panic!("{requests:?}")
    };
    assert_eq!(
        (request.method.as_str(), request.version.as_deref()),
        ("POST", Some("v3beta1"))
    );
    assert_eq!(request.path, format!("/v3beta1/{NAME}:cancel"));
    assert_eq!(request.call, Some(Call::Cancel));
    assert_eq!(
        request.authorization,
        Authorization::Token("token-1".into())
    );
    assert_eq!(request.user_agent.as_deref(), Some("opcancel/1"));
    assert_eq!(request.request_reason.as_deref(), Some("because"));
    assert_eq!(request.user_project.as_deref(), Some("payer"));
    assert_eq!(request.content_length.as_deref(), Some("0"));
    assert_eq!(
        request.query.as_deref(),
        Some("access_token=(hidden)&alt=json")
    );
    assert_eq!(request.http_version, "HTTP/1.1");
    assert_eq!(
        request.host.as_deref(),
        setup.emulator.url().strip_prefix("http://")
    );
    assert_eq!(request.headers.get("authorization"), Some("Bearer token-1"));
    assert_eq!(request.headers.get("user-agent"), Some("opcancel/1"));
    assert_eq!(request.body, None);
    assert_eq!(request.answer, Answer::Status(200));
    let shown = format!("{requests:?} {}", serde_json::to_string(&requests).unwrap());
    assert!(
        !shown.contains(&setup.token) && !shown.contains("s3cret"),
        "{shown}"
    );
    assert_eq!(setup.emulator.count(NAME, Call::Cancel), 1);
    assert_eq!(setup.emulator.count(NAME, Call::Get), 0);
}

#[tokio::test]
async fn waiting_ends_with_the_event_and_not_before() {
    let setup = start(Script::default()).await;
    let answered = |wanted: usize| {
        move |requests: &[operations_emulator::RequestRecord]| {
            requests
                .iter()
                .filter(|request| request.answer == Answer::Status(200))
                .count()
                == wanted
        }
    };
    let (seen, _) = tokio::join!(setup.emulator.wait_for(answered(2), PATIENCE), async {
        setup.get().await;
        setup.cancel().await
    });
    assert_eq!(seen.unwrap().len(), 2);
    let error = setup
        .emulator
        .wait_for(answered(3), Duration::from_millis(20))
        .await
        .expect_err("a third never comes");
    assert_eq!(error.requests.len(), 2);
    assert!(error.to_string().contains(":cancel"), "{error}");
}

#[tokio::test]
async fn the_oldest_go_first_and_all_can_be_forgotten() {
    let scenario = Scenario {
        record_limit: Some(2),
        ..Scenario::default()
    }
    .with_operation(NAME, Script::default());
    let setup = support::start_scenario(scenario).await;
    for _ in 0..3 {
        setup.get().await;
    }
    let kept: Vec<u64> = setup
        .emulator
        .requests()
        .iter()
        .map(|request| request.sequence)
        .collect();
    assert_eq!(
        kept,
        [2, 3],
        "the token was number 0, the first GET number 1"
    );
    setup.emulator.clear_requests();
    assert!(setup.emulator.requests().is_empty());
}

#[tokio::test]
async fn a_request_that_is_too_large_is_recorded_with_its_refusal() {
    let setup = start(Script::default()).await;
    let large = "x".repeat(70_000);
    let urls = [
        setup.emulator.url().to_owned(),
        format!("http://{}", setup.emulator.metadata_address()),
        setup.emulator.credentials_url().to_owned(),
    ];
    for url in urls {
        let answer = setup
            .client
            .post(format!("{url}/v2/{NAME}:cancel"))
            .bearer_auth(&setup.token)
            .body(large.clone());
        assert_eq!(answer.send().await.unwrap().status(), 413);
    }
    let [request] = &setup.emulator.requests_for(NAME)[..] else {
        panic!("{:?}", setup.emulator.requests())
    };
    assert_eq!(request.answer, Answer::Status(413));
    assert_eq!(request.content_length.as_deref(), Some("70000"));
    let known = Authorization::Token("token-1".into());
    assert_eq!(
        (request.call, &request.authorization),
        (Some(Call::Cancel), &known)
    );
    for requests in [
        setup.emulator.metadata_requests(),
        setup.emulator.credentials_requests(),
    ] {
        let last = requests.last().unwrap();
        assert_eq!(
            (last.method.as_str(), last.answer),
            ("POST", Answer::Status(413))
        );
    }
    assert_eq!(setup.get().await.1.get("done"), None, "it had no effect");
}

#[tokio::test]
async fn shutdown_does_not_wait_for_the_rest_of_a_request() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let setup = start(Script::default()).await;
    let admin = setup.emulator.admin_url().to_owned();
    let address = admin.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: local")
        .await
        .unwrap();
    // Connections are taken in their order: once this one is answered, the other is taken too.
    let health = setup.client.get(format!("{admin}/healthz")).send();
    assert_eq!(health.await.unwrap().status(), 200);
    tokio::time::timeout(PATIENCE, setup.emulator.shutdown())
        .await
        .expect("ends in spite of the half request");
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    // A reset is as good.
    assert!(closed.is_ok(), "the connection is closed too");
}

#[tokio::test]
async fn shutdown_frees_the_ports_and_cuts_what_hangs() {
    use operations_emulator::{Fault, FaultAnswer, FaultCall};
    let hang = Fault::new(FaultCall::Get, FaultAnswer::Hang(Duration::from_secs(3600)));
    let setup = start(Script::default().with_fault(hang)).await;
    let (url, client, token) = (
        setup.emulator.url().to_owned(),
        setup.client.clone(),
        setup.token.clone(),
    );
    let request = tokio::spawn(
        client
            .get(format!("{url}/v2/{NAME}"))
            .bearer_auth(token)
            .send(),
    );
    setup
        .emulator
        .wait_for(|requests| !requests.is_empty(), PATIENCE)
        .await
        .unwrap();
    tokio::time::timeout(PATIENCE, setup.emulator.shutdown())
        .await
        .expect("ends in spite of the hanging request");
    assert!(request.await.unwrap().is_err());
    let address: std::net::SocketAddr = url.trim_start_matches("http://").parse().unwrap();
    let again = operations_emulator::Config {
        listen: address,
        ..Default::default()
    };
    Emulator::start(again)
        .await
        .expect("the port is free again");
}
