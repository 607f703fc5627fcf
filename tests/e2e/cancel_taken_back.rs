//! A cancel request that waits for a connection is not sent any more once a GET has said that the operation is done, or once the
//! controller stops.

use std::time::{Duration, Instant};

use futures::FutureExt;
use operations_emulator::Scenario;
use tokio::sync::watch;

use crate::support::{
    cluster::runtime,
    served_metrics::Served,
    tls_server::{Rules, Seen, TlsServer, is_request},
    world::{PATIENCE, World, operation},
};

/// Google's place is taken by a server that lets the controller warm up, lets no further connection in, and holds the answer to the
/// GET back.
struct Stuck {
    world: World,
    server: TlsServer,
    let_in: watch::Sender<bool>,
    done: watch::Sender<bool>,
    _ca: tempfile::NamedTempFile,
}

/// Connections that the warm-up opens.
const WARM: usize = 2;

async fn holds(value: watch::Receiver<bool>) {
    let mut value = value;
    let _ = value.wait_for(|value| *value).await;
}

impl Stuck {
    /// Returns when the cancel request waits for a connection.
    fn new(prefix: &str) -> Self {
        let ((let_in, may_enter), (done, is_done)) = (watch::channel(false), watch::channel(false));
        let rules = Rules {
            let_in: Box::new(move |connection| {
                let may_enter = may_enter.clone();
                async move {
                    if connection > WARM {
                        holds(may_enter).await;
                    }
                }
                .boxed()
            }),
            answer: Box::new(move |_, method, id| {
                let text = match method {
                    "GET" => format!(
                        r#"{{"name":"{}","done":true,"response":{{}}}}"#,
                        operation(id)
                    ),
                    _ => "{}".to_owned(),
                };
                let waits = (method == "GET").then(|| holds(is_done.clone()));
                async move {
                    if let Some(waits) = waits {
                        waits.await;
                    }
                    text
                }
                .boxed()
            }),
            ..Rules::default()
        };
        let server = runtime().block_on(TlsServer::start(rules));
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), &server.ca).unwrap();
        let arguments = [
            format!("--endpoint-override=dialogflow={}", server.url()),
            format!("--ca-file={}", ca.path().display()),
            "--observe-budget=500ms".to_owned(),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut world = World::stopped(prefix, Scenario::default(), &arguments, &[]);
        world.grant();
        world.start();
        let stuck = Self {
            world,
            server,
            let_in,
            done,
            _ca: ca,
        };
        stuck.world.cancel("late", &[]);
        let server = &stuck.server;
        runtime().block_on(async {
            server.wait_for(1, |seen| is_request(seen, "GET")).await;
            // The GET is under way on one of them; the other one goes, so that the cancel needs a new one.
            server.send_away(WARM);
            server
                .wait_for(1, |seen| matches!(seen, Seen::Connected(n) if *n > WARM))
                .await;
        });
        let intended = || stuck.world.object("late").0["status"]["cancelAttempts"] == 1;
        until("an intent is recorded", intended);
        stuck
    }
}

fn until(what: &str, met: impl Fn() -> bool) {
    let begun = Instant::now();
    while !met() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_get_that_says_done_takes_it_back() {
    let mut stuck = Stuck::new("taken-back");
    stuck.done.send_replace(true);
    // The GET is answered, well before the connection is given up.
    let controller = stuck.world.controller();
    until("the GET is answered", || {
        let served = Served::read(&controller.admin("/metrics").1);
        served.value(r#"opcancel_google_requests_total{method="Get",status="OK"}"#) >= 1.0
    });
    stuck.let_in.send_replace(true);
    let object = stuck.world.finished("late");
    assert_eq!(object.0["status"]["outcome"], "Completed", "{object:?}");
    // Whatever was to be sent on the new connection would be there before this.
    stuck.world.cancel("next", &[]);
    stuck.world.finished("next");
    assert_eq!(stuck.server.requests("POST"), [0; 0]);
}

#[test]
fn a_signal_to_stop_takes_it_back() {
    let mut stuck = Stuck::new("taken-back-at-stop");
    let controller = stuck.world.controller();
    controller.terminate();
    controller.wait_for_log(|line| line.contains("stopping: waiting for requests in flight"));
    stuck.let_in.send_replace(true);
    assert!(stuck.world.controller().wait().success());
    stuck.done.send_replace(true);
    stuck.world.start();
    let object = stuck.world.finished("late");
    assert_eq!(object.0["status"]["outcome"], "Completed", "{object:?}");
    assert_eq!(stuck.server.requests("POST"), [0; 0]);
}
