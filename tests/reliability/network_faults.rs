//! The network between the controller and Google fails in the ways of networks. The next call succeeds within 15 seconds; how soon,
//! `cargo test --test reliability network_faults -- --nocapture` prints.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures::future::BoxFuture;
use opcancel::google::{
    answer::CallError,
    catalogue::{Target, read},
    client::{ClientConfig, OperationsClient},
    endpoint::EndpointOverrides,
    request_reason::RequestReason,
    tls,
    token::Token,
};
use operations_emulator::{
    AcceptedToken, Certificate, Config, ConnectionAnswer, ConnectionFault, Emulator, Fault,
    FaultAnswer, FaultCall, GoAway, Scenario, Script,
};
use tokio::time::{sleep, timeout};

use crate::support::{relay::Relay, world::operation};

/// What the product promises.
const HEALED_WITHIN: Duration = Duration::from_secs(15);

/// Calls that are made one after the other in all of a case.
const PAUSE: Duration = Duration::from_millis(50);

/// One fault: how it begins and how it ends.
struct Case {
    name: &'static str,
    begin: fn(&Network) -> BoxFuture<'_, ()>,
    /// The call that is made after this succeeds at last. Before it, calls may fail.
    end: fn(&Network),
}

/// An emulator behind a relay of TCP.
struct Network {
    emulator: Emulator,
    client: Arc<OperationsClient>,
    target: Target,
    relay: Relay,
}

const CASES: [Case; 6] = [
    Case {
        name: "black-holed connections",
        begin: |network| Box::pin(async { network.relay.silence_open_connections() }),
        end: |_| {},
    },
    Case {
        name: "a black-holed network for five seconds",
        begin: |network| {
            Box::pin(async {
                network.relay.silence_open_connections();
                network.relay.silence_new_connections(true);
                network.fail_for(Duration::from_secs(5)).await;
            })
        },
        end: |network| network.relay.silence_new_connections(false),
    },
    Case {
        name: "GOAWAY",
        begin: |network| {
            Box::pin(async {
                network.answer(FaultAnswer::GoAway(GoAway::default()), 4);
            })
        },
        end: |_| {},
    },
    Case {
        name: "GOAWAY with an error code",
        begin: |network| {
            Box::pin(async {
                network.answer(FaultAnswer::GoAway(GoAway { code: 11 }), 4);
            })
        },
        end: |_| {},
    },
    Case {
        name: "REFUSED_STREAM",
        begin: |network| Box::pin(async { network.answer(FaultAnswer::RefusedStream, 4) }),
        end: |_| {},
    },
    Case {
        name: "a certificate that expired and is renewed",
        begin: |network| {
            Box::pin(async {
                network.relay.close_open_connections();
                let expired = ConnectionAnswer::Certificate(Certificate::Expired);
                network.refuse_connections(expired);
                network.fail_for(Duration::from_secs(1)).await;
            })
        },
        end: Network::accept_connections,
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_call_succeeds_within_fifteen_seconds() {
    let cases = CASES.map(|case| tokio::spawn(healed_after(case)));
    for case in cases {
        let (name, took, failures) = case.await.unwrap();
        println!(
            "{name}: the next call succeeded after {:.1} s; calls that failed before: {failures}",
            took.as_secs_f64()
        );
    }
}

/// How long after the end of the fault a call has succeeded, and how many have failed.
async fn healed_after(case: Case) -> (&'static str, Duration, usize) {
    let network = Network::start().await;
    for _ in 0..4 {
        network.get().await.unwrap();
    }
    (case.begin)(&network).await;
    (case.end)(&network);
    let (begun, mut failures) = (Instant::now(), 0);
    let healed = timeout(HEALED_WITHIN, async {
        // Both connections have to work again.
        let mut row = 0;
        while row < 4 {
            match network.get().await {
                Ok(()) => row += 1,
                Err(_) => {
                    (row, failures) = (0, failures + 1);
                    sleep(PAUSE).await;
                }
            }
        }
    });
    let healed = healed.await.is_ok();
    assert!(healed, "{}: {:?}", case.name, network.get().await);
    (case.name, begun.elapsed(), failures)
}

impl Network {
    async fn start() -> Self {
        tls::install_provider();
        let mut scenario =
            Scenario::default().with_operation(operation("op"), Script::ignores_cancel());
        scenario.tokens.push(AcceptedToken {
            token: "a-token-of-the-test".to_owned(),
            principal: "test".to_owned(),
        });
        let config = Config {
            tls: true,
            ..Config::from(scenario)
        };
        let emulator = Emulator::start(config).await.unwrap();
        let relay = Relay::start().await;
        relay.lead_to(emulator.url());
        let authority = emulator.authority_pem().unwrap().as_bytes();
        let config = ClientConfig {
            override_roots: tls::read_ca_file(authority).unwrap(),
            ..ClientConfig::default()
        };
        let name = operation("op");
        let mut target = read("dialogflow", None, &name, &EndpointOverrides::default()).unwrap();
        target.endpoint = format!("https://localhost:{}", relay.port());
        target.overridden = true;
        let client = Arc::new(OperationsClient::new(config).unwrap());
        let keeping = client.clone();
        tokio::spawn(async move { keeping.keep_warm().await });
        Self {
            emulator,
            client,
            target,
            relay,
        }
    }

    async fn get(&self) -> Result<(), CallError> {
        let reason = RequestReason::new("", "ns", "n", "u");
        let token = Token::new("a-token-of-the-test").unwrap();
        let now = SystemTime::now();
        let get = self.client.get(&self.target, &reason, &token, now);
        get.await.map(drop)
    }

    /// Makes calls, which fail, for so long.
    async fn fail_for(&self, time: Duration) {
        let calls = async {
            loop {
                if self.get().await.is_err() {
                    sleep(PAUSE).await;
                }
            }
        };
        let _ = timeout(time, calls).await;
    }

    fn answer(&self, answer: FaultAnswer, times: u64) {
        let fault = Fault::new(FaultCall::Any, answer).times(times);
        self.emulator.set_faults(vec![fault]).unwrap();
    }

    fn refuse_connections(&self, answer: ConnectionAnswer) {
        let fault = ConnectionFault {
            from: 1,
            times: None,
            answer,
        };
        self.emulator.set_connection_faults(vec![fault]).unwrap();
    }

    fn accept_connections(&self) {
        self.emulator.set_connection_faults(Vec::new()).unwrap();
    }
}
