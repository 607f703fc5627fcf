use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::google::catalogue::{self, endpoint::EndpointOverrides};

/// A tenant makes up a thousand locations, each of which is asked again and again.
#[tokio::test]
async fn a_made_up_location_is_looked_up_once_a_while_and_costs_nothing_else() {
    crate::google::connections::tls::install_provider();
    let asked = Arc::new(AtomicUsize::new(0));
    let mut client = OperationsClient::new(ClientConfig::default()).unwrap();
    client.connector = Arc::new(Connector::without_addresses(asked.clone()));
    let quiet = client.connections("https://quiet.example", false, Some("quiet"));
    let quiet = quiet.unwrap();
    let token = Token::new("a-token-of-the-test").unwrap();
    let reason = RequestReason::new("", "noisy", "n", "u");
    for _ in 0..3 {
        for n in 0..1000 {
            let name = format!("projects/p/locations/made-up-{n}/operations/o");
            let overrides = EndpointOverrides::default();
            let target = catalogue::read("dialogflow", None, &name, &overrides).unwrap();
            let now = SystemTime::now();
            let got = client.get(&target, &reason, &token, now).await;
            let error = got.unwrap_err();
            assert!(
                error.not_sent && error.message.contains("(DNS)"),
                "{error:?}"
            );
        }
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1000);
    assert_eq!(client.connector.configurations(), 0);
    let still = client.connections("https://quiet.example", false, Some("quiet"));
    assert!(Arc::ptr_eq(&quiet, &still.unwrap()));
}

/// Before, all calls failed for half a minute after DNS did not know the host once, those on open connections too.
#[tokio::test]
async fn a_host_that_has_answered_before_is_looked_up_at_every_call() {
    crate::google::connections::tls::install_provider();
    let asked = Arc::new(AtomicUsize::new(0));
    let mut client = OperationsClient::new(ClientConfig::default()).unwrap();
    client.connector = Arc::new(Connector::without_addresses(asked.clone()));
    let name = "projects/p/locations/europe-west1/operations/o";
    let target = catalogue::read("dialogflow", None, name, &EndpointOverrides::default()).unwrap();
    let known = client.connections(&target.endpoint, target.overridden, None);
    known.unwrap().mark_answered();
    let token = Token::new("a-token-of-the-test").unwrap();
    let reason = RequestReason::new("", "ns", "n", "u");
    for calls in 1..4 {
        let got = client
            .get(&target, &reason, &token, SystemTime::now())
            .await;
        assert!(got.unwrap_err().message.contains("(DNS)"));
        assert_eq!(asked.load(Ordering::Relaxed), calls);
    }
}
