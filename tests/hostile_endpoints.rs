//! Every server that the controller talks to for a call, with every kind of misbehaviour: the metadata server, the API server (reading a
//! ServiceAccount, TokenRequest), the Security Token Service, IAM Credentials, the Operations API and the proxy.
//!
//! In each cell of the matrix the call fails with a text that shows no secret, nothing is sent anywhere else, every wait ends, and the
//! next good answer heals it. The cells are the product of two enums, so none can be missing. tests/e2e/hostile_answers.rs has the same
//! cells with a whole controller.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

#[path = "support/hostile_hop.rs"]
mod hostile_hop;
#[path = "support/misbehaviour.rs"]
mod misbehaviour;
#[path = "support/raw_http.rs"]
mod raw_http;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::future::join_all;
use hostile_hop::{Hop, cells, is_harmless};
use kube::{Client, Config};
use misbehaviour::{Misbehaviour, ok};
use opcancel::{
    controller::{
        clock::Clock,
        tenant_tokens::{AtHand, TenantTokens},
    },
    google::{
        catalogue::{Target, resolve},
        client::{ClientConfig, OperationsClient},
        endpoint::EndpointOverrides,
        identity::{
            CacheLimits, Environment, IdentityConfig, OperatorIdentity, WorkloadIdentity,
            WorkloadIdentityConfig,
        },
        operation_name::OperationName,
        proxy::{HttpsProxy, ProxyUrl},
        request_reason::RequestReason,
        tls,
        token::{FetchObserver, Token, TokenSource},
    },
    telemetry::metrics::Metrics,
};
use raw_http::{RawHttp, Reply, answer};
use serde_json::json;
use strum::VariantArray;
use tokio::sync::Mutex;

/// What nobody may see: parts of the tokens at each hop.
const SECRETS: [&str; 5] = [
    "canary-of-the-subject",
    "canary-of-sts",
    "canary-of-iam",
    "canary-of-the-call",
    "canary-of-the-operator",
];

/// The token of a ServiceAccount with this uid, as far as the controller reads it.
fn subject_token() -> String {
    let claims = json!({"kubernetes.io": {"serviceaccount": {"uid": "uid-1"}}});
    let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("eyJhbGciOiJub25lIn0.{claims}.{}", SECRETS[0])
}

/// The answer of an OAuth server with a token that has this part.
fn oauth(secret: &str) -> String {
    let token = format!("ya29.{secret}");
    json!({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}).to_string()
}

/// The good answer to a request of any hop.
fn good(request: &str) -> Reply {
    let hop = Hop::of(request).unwrap_or_else(|| panic!("an unexpected request: {request}"));
    let body = match hop {
        Hop::OperatorEmail => "operator@acme.iam.gserviceaccount.com".to_owned(),
        Hop::OperatorUniverse => "googleapis.com".to_owned(),
        Hop::OperatorToken => oauth(SECRETS[4]),
        Hop::ClusterName => "value".to_owned(),
        Hop::ServiceAccount => json!({"metadata": {
            "namespace": "team", "name": "deployer", "uid": "uid-1",
            "annotations": {"iam.gke.io/gcp-service-account": "deployer@acme.iam.gserviceaccount.com"},
        }})
        .to_string(),
        Hop::TokenRequest => json!({"status": {"token": subject_token()}}).to_string(),
        Hop::Sts => oauth(SECRETS[1]),
        Hop::IamCredentials => json!({
            "accessToken": format!("ya29.{}", SECRETS[2]), "expireTime": "2100-01-01T00:00:00Z",
        })
        .to_string(),
        Hop::Get => json!({"name": NAME, "done": false}).to_string(),
        Hop::Cancel => "{}".to_owned(),
        // There is nothing behind it that could answer.
        Hop::Proxy => return Reply::Close(answer("503 Service Unavailable", "")),
    };
    ok(&body)
}

const NAME: &str = "projects/acme/locations/eu/operations/o-1";

/// The limit for one request to Google, and for the whole answer.
const LIMIT: Duration = Duration::from_millis(700);

/// Longer than every limit: those for the API server are 5 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// All servers of one cell: one listener, which behaves at every hop but one.
struct Servers {
    server: RawHttp,
    misbehaves: Arc<AtomicBool>,
    elsewhere: RawHttp,
}

async fn servers(hop: Hop, misbehaviour: Misbehaviour) -> Servers {
    let elsewhere = RawHttp::start(|request, _| good(request)).await;
    let misbehaves = Arc::new(AtomicBool::new(true));
    let (url, bad) = (elsewhere.url(), misbehaves.clone());
    let server = RawHttp::start(move |request, _| {
        if hop.is_asked(request) && bad.load(Ordering::SeqCst) {
            misbehaviour.reply(request, &url)
        } else {
            good(request)
        }
    })
    .await;
    Servers {
        server,
        misbehaves,
        elsewhere,
    }
}

/// Makes the call of a hop. `Err` has all that people would see.
enum Caller {
    Operator(Box<OperatorIdentity>),
    Tenants(TenantTokens, Clock),
    Operations(Box<(OperationsClient, Target)>, Hop),
}

impl Caller {
    fn new(hop: Hop, server: &RawHttp) -> Self {
        tls::install_provider();
        if hop.is_of_operator() {
            let environment = Environment {
                metadata_host: Some(server.address.to_string()),
                ..Environment::default()
            };
            let config = IdentityConfig {
                environment,
                request_timeout: LIMIT,
                min_pause: Duration::from_millis(1),
                max_pause: Duration::from_millis(1),
                ..IdentityConfig::default()
            };
            let identity = OperatorIdentity::new(config, FetchObserver::new(|_| ()));
            return Self::Operator(Box::new(identity.unwrap()));
        }
        if matches!(hop, Hop::Get | Hop::Cancel) {
            let name = OperationName::parse(NAME).unwrap();
            let overriding = format!("dialogflow={}", server.url()).parse().unwrap();
            let overrides = EndpointOverrides::new([overriding]);
            let client = OperationsClient::new(ClientConfig {
                call_timeout: LIMIT,
                idle_timeout: LIMIT,
                read_timeout: LIMIT,
                ..ClientConfig::default()
            });
            let target = resolve("dialogflow", None, &name, &overrides).unwrap();
            return Self::Operations(Box::new((client.unwrap(), target)), hop);
        }
        let through = matches!(hop, Hop::Proxy);
        let sts = match through {
            true => "https://sts.googleapis.com".to_owned(),
            false => server.url(),
        };
        let proxy = HttpsProxy::new(&ProxyUrl::from(server.url().as_str())).unwrap();
        let identity = WorkloadIdentity::new(&WorkloadIdentityConfig {
            provider: "gke".parse().unwrap(),
            metadata_host: Some(server.address.to_string()),
            sts: sts.parse().unwrap(),
            iam_credentials: server.url().parse().unwrap(),
            scopes: vec!["scope".to_owned()],
            request_timeout: LIMIT,
            https_proxy: through.then_some(proxy),
        });
        let mut config = Config::new(server.url().parse().unwrap());
        config.default_retry = false;
        let clock = Clock::start();
        let limits = CacheLimits {
            min_pause: Duration::from_millis(1),
            max_pause: Duration::from_millis(1),
            ..CacheLimits::default()
        };
        let client = Client::try_from(config).unwrap();
        let metrics = Arc::<Metrics>::default();
        let tenants = TenantTokens::new(client, identity.unwrap(), clock.clone(), metrics, limits);
        Self::Tenants(tenants, clock)
    }

    async fn call(&self) -> Result<(), String> {
        match self {
            Self::Operator(identity) => {
                let token = identity.token().await.map(drop);
                token.map_err(|error| format!("{error} {error:?}"))
            }
            Self::Tenants(tenants, clock) => {
                let since = clock.mono();
                tenants
                    .obtain("team", "deployer", since)
                    .await
                    .map_err(|error| format!("{error} {error:?}"))?;
                match tenants.at_hand("team", "deployer", since) {
                    AtHand::Token(_) => Ok(()),
                    AtHand::Failed(error) => Err(format!("{error} {error:?}")),
                    // The failure was remembered for a millisecond only.
                    AtHand::Nothing => Err("nothing is at hand".to_owned()),
                }
            }
            Self::Operations(of, hop) => {
                let (client, target) = of.as_ref();
                let token = Token::new(&format!("ya29.{}", SECRETS[3])).unwrap();
                let reason = RequestReason::new("prod", "team", "stop", "uid");
                let now = SystemTime::now();
                let answered = match hop {
                    Hop::Cancel => client.cancel(target, &reason, &token, now).await,
                    _ => client.get(target, &reason, &token, now).await.map(drop),
                };
                answered.map_err(|error| format!("{} {error:?}", error.message))
            }
        }
    }
}

async fn cell(hop: Hop, misbehaviour: Misbehaviour) -> Result<(), String> {
    let servers = servers(hop, misbehaviour).await;
    let caller = Caller::new(hop, &servers.server);
    let asked = || {
        let requests = servers.server.requests();
        requests
            .iter()
            .filter(|request| hop.is_asked(request))
            .count()
    };
    let mut calls = 0;
    let first = async {
        loop {
            calls += 1;
            let answered = caller.call().await;
            // On a busy machine the limit may pass at a hop before this one.
            if asked() > 0 {
                return answered;
            }
        }
    };
    let answered = tokio::time::timeout(PATIENCE, first).await;
    let answered = answered.map_err(|_| "it waits for ever".to_owned())?;
    let harmless = is_harmless(hop, misbehaviour);
    match &answered {
        Ok(()) if !harmless => return Err("it is taken for an answer".to_owned()),
        Err(error) if harmless => return Err(format!("it is harmless: {error}")),
        _ => {}
    }
    let text = answered.err().unwrap_or_default();
    for secret in SECRETS {
        if text.contains(secret) {
            return Err(format!("{secret} is shown: {text}"));
        }
    }
    if text.len() > 4096 {
        return Err(format!("a text of {} bytes", text.len()));
    }
    let elsewhere = servers.elsewhere.requests();
    if !elsewhere.is_empty() {
        return Err(format!("it was followed: {elsewhere:?}"));
    }
    // The name of a cluster is three values; a call sends each other request once.
    let most = if hop == Hop::ClusterName { 3 } else { 1 };
    let asked = asked();
    if asked > most * calls {
        return Err(format!("it was asked {asked} times in {calls} calls"));
    }
    if hop == Hop::Proxy {
        // Behind the proxy is nothing here that could heal it: tests/google_proxy.rs has whole tunnels.
        return Ok(());
    }
    servers.misbehaves.store(false, Ordering::SeqCst);
    let heals = async {
        loop {
            if caller.call().await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let healed = tokio::time::timeout(PATIENCE, heals).await;
    healed.map_err(|_| format!("it never heals after: {text}"))
}

/// Both tests need a processor.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_hop_survives_every_misbehaviour() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let cells: Vec<_> = cells().collect();
    assert_eq!(
        cells.len(),
        Hop::VARIANTS.len() * Misbehaviour::VARIANTS.len()
    );
    // Those that wait for a limit wait together.
    let outcomes = join_all(cells.iter().map(|(hop, bad)| cell(*hop, *bad))).await;
    let wrong: Vec<_> = cells
        .iter()
        .zip(outcomes)
        .filter_map(|((hop, bad), outcome)| Some(format!("{hop:?} x {bad:?}: {}", outcome.err()?)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The variable that says that the process is for the memory test alone: other tests need memory, too.
const ALONE: &str = "OPCANCEL_TEST_ALONE";

/// Answers of one kind at one hop, and the first ones, after which the allocator has what it keeps. Fewer than a namespace's budget of
/// tokens in a minute.
const ROUNDS: usize = 40;
const FIRST_ROUNDS: usize = 10;

/// The most that memory may grow in all these rounds, and the most that one answer may need, in KiB. Of most bodies 64 KiB are read, so two
/// of three exceed the first. One body of a GET, of which megabytes are read, exceeds both.
const MOST_GROWTH: u64 = 1536;
const MOST_AT_A_TIME: u64 = 8 * 1024;

/// A body of 1 GiB, of a form that is read for as long as possible.
fn gigabyte() -> Reply {
    Reply::Flood("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n{\"name\":\"".to_owned())
}

/// A value of /proc/self/status, in KiB.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let value = line.split_whitespace().nth(1).unwrap();
    value.parse().unwrap()
}

#[test]
fn bodies_of_a_gigabyte_leave_memory_flat() {
    if std::env::var_os(ALONE).is_some() {
        // One thread, so one arena of the allocator.
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        for hop in Hop::VARIANTS {
            runtime.block_on(memory_stays_flat(*hop));
        }
        return;
    }
    let _turn = ONE_AT_A_TIME.blocking_lock();
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again
        .args(["--exact", "bodies_of_a_gigabyte_leave_memory_flat"])
        .arg("--nocapture")
        .env(ALONE, "1");
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{errors}"
    );
}

async fn memory_stays_flat(hop: Hop) {
    let server = RawHttp::start(move |request, _| match hop.is_asked(request) {
        true => gigabyte(),
        false => good(request),
    })
    .await;
    let mut caller = Caller::new(hop, &server);
    // Each is read for as long as its limit.
    let (first, rounds) = match hop {
        Hop::Get => (1, 2),
        _ => (FIRST_ROUNDS, ROUNDS),
    };
    let mut before = 0;
    for round in 0..first + rounds {
        if round == first {
            before = memory("VmRSS");
            // The highest value counts from now.
            std::fs::write("/proc/self/clear_refs", "5").unwrap();
        }
        let answered = tokio::time::timeout(PATIENCE, caller.call()).await;
        assert!(answered.unwrap().is_err(), "{hop:?} accepts it");
        if hop == Hop::ClusterName {
            // It remembers a failure for seconds.
            caller = Caller::new(hop, &server);
        }
        // The others remember it for a millisecond.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let requests = server.requests();
    let asked = requests.iter().filter(|text| hop.is_asked(text)).count();
    let (after, highest) = (memory("VmRSS"), memory("VmHWM"));
    println!("{hop:?}: {asked} bodies, {before} KiB, then {after} KiB, at most {highest} KiB");
    assert!(asked >= rounds, "{hop:?}: {asked}");
    assert!(after < before + MOST_GROWTH, "{hop:?}: {before}, {after}");
    let most = before + MOST_AT_A_TIME;
    assert!(highest < most, "{hop:?}: {before}, {highest}");
}
