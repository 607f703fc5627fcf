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
