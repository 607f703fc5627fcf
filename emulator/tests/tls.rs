//! TLS under the emulator's own authority, with both versions of HTTP on one listener, and the certificates that a client
//! must not take.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::error::Error as _;

use operations_emulator::{Config, ConnectionAnswer, ConnectionFault, Emulator, Scenario, Script};
use reqwest::Version;
use serde_json::json;
use support::{NAME, start_tls, tls_client};

fn one() -> Scenario {
    Scenario::default().with_operation(NAME, Script::default())
}

#[tokio::test]
async fn speaks_http2_to_those_who_can_and_http1_to_the_others() {
    let mut setup = start_tls(one()).await;
    assert!(setup.emulator.url().starts_with("https://"));
    let answer = setup.try_get(NAME).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, Version::HTTP_2)
    );
    setup.client = tls_client(setup.emulator.authority_pem().unwrap())
        .http1_only()
        .build()
        .unwrap();
    let answer = setup.try_get(NAME).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, Version::HTTP_11)
    );
    assert_eq!(setup.cancel().await, (200, json!({})));
}

#[tokio::test]
async fn google_s_own_names_lead_to_it() {
    let setup = start_tls(one()).await;
    let address = setup
        .emulator
        .url()
        .trim_start_matches("https://")
        .parse()
        .unwrap();
    let host = "europe-west1-dialogflow.googleapis.com";
    let client = tls_client(setup.emulator.authority_pem().unwrap())
        .resolve(host, address)
        .build()
        .unwrap();
    let url = format!("https://{host}:{}/v2/{NAME}", address.port());
    let answer = client
        .get(url)
        .bearer_auth(&setup.token)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn wrong_certificates_are_shown_as_often_as_told() {
    let setup = start_tls(one()).await;
    for (shown, complaint) in [
        ("expired", "expired"),
        ("otherHost", "not valid for name"),
        ("unknownAuthority", "UnknownIssuer"),
    ] {
        let answer = serde_json::from_value(json!({"certificate": shown})).unwrap();
        let fault = ConnectionFault {
            from: 1,
            times: Some(1),
            answer,
        };
        assert!(matches!(answer, ConnectionAnswer::Certificate(_)));
        setup.emulator.set_connection_faults(vec![fault]).unwrap();
        // A client of its own: a connection of the round before would be used again.
        let fresh = tls_client(setup.emulator.authority_pem().unwrap())
            .build()
            .unwrap();
        let get = || fresh.get(setup.emulator.url()).send();
        let error = get().await.unwrap_err();
        let mut reasons = error.to_string();
        let mut cause = error.source();
        while let Some(reason) = cause {
            reasons += &format!(": {reason}");
            cause = reason.source();
        }
        assert!(reasons.contains(complaint), "{shown}: {reasons}");
        assert_eq!(get().await.unwrap().status(), 404, "the next one is sound");
    }
    assert!(
        setup
            .emulator
            .requests()
            .iter()
            .all(|request| request.path == "/")
    );
}

#[tokio::test]
async fn a_stranger_s_authority_is_not_taken() {
    let (one, other) = (start_tls(one()).await, start_tls(Scenario::default()).await);
    let answer = one.client.get(other.emulator.url()).send().await;
    assert!(answer.unwrap_err().is_connect());
}

#[tokio::test]
async fn a_host_that_no_certificate_can_carry_is_refused() {
    let config = Config {
        tls: true,
        tls_hosts: vec!["kein Höst".to_owned()],
        ..Config::default()
    };
    let error = Emulator::start(config).await.unwrap_err().to_string();
    assert!(error.contains("TLS"), "{error}");
}

#[tokio::test]
async fn the_certificate_does_not_look_self_signed() {
    let setup = start_tls(one()).await;
    let client = tls_client(setup.emulator.authority_pem().unwrap())
        .tls_info(true)
        .build()
        .unwrap();
    let answer = client.get(setup.emulator.url()).send().await.unwrap();
    let info: &reqwest::tls::TlsInfo = answer.extensions().get().unwrap();
    let certificate = info.peer_certificate().unwrap();
    // After each object identifier of a common name (2.5.4.3): the kind of text, its length, the text.
    let names: Vec<&[u8]> = certificate
        .windows(3)
        .enumerate()
        .filter(|(_, bytes)| *bytes == [0x55, 4, 3])
        .map(|(at, _)| {
            let length = usize::from(certificate[at + 4]);
            &certificate[at + 5..at + 5 + length]
        })
        .collect();
    let [issuer, subject] = names[..] else {
        panic!("{names:?}")
    };
    assert_eq!(subject, b"operations-emulator");
    assert_ne!(issuer, subject);
}

#[tokio::test]
async fn the_admin_address_hands_out_the_authority_if_there_is_one() {
    let setup = start_tls(one()).await;
    let get = |setup: &support::Setup| {
        let url = format!("{}/admin/authority", setup.emulator.admin_url());
        support::client().get(url).send()
    };
    let answer = get(&setup).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/x-pem-file");
    let pem = answer.text().await.unwrap();
    assert_eq!(Some(pem.as_str()), setup.emulator.authority_pem());
    let plain = support::start_scenario(one()).await;
    let (status, json) = support::json(get(&plain).await.unwrap()).await;
    assert_eq!(status, 404);
    assert!(json["error"].as_str().unwrap().contains("--tls"), "{json}");
}
