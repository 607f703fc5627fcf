//! One case: a life with its faults, from the start of the controller to the end of the object.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use operations_emulator::{Call, Emulator, EndResult, Scenario, Script};
use serde_json::{Value, json};

use super::{
    cluster_access::ClusterAccess,
    faults::Fault,
    lives::{Happening, Life},
    points::Point,
    process::{Launch, Processes},
    proxy::{OBJECT, Proxy, Shared, Upstream, WITNESS},
    record::{Facts, Record},
    server,
    support::{
        cluster::cluster,
        release::{LEASE, LONG_LEASE},
        world::operation,
    },
};

/// The longest that a case waits for its next step: a watch that says nothing is given up after 65 s, a token server after 60 s, and
/// two faults may happen one after the other.
const PATIENCE: Duration = Duration::from_secs(240);

/// How long a fault that has not happened is waited for after the end.
const FAULT_PATIENCE: Duration = Duration::from_secs(10);

/// How an object ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// `status.outcome`.
    pub outcome: String,
    /// `status/reason` of the conditions.
    pub conditions: BTreeMap<String, String>,
    /// `status.operation`.
    pub operation: Value,
    /// `status.lastError`, without its time.
    pub last_error: Value,
    /// `status.cancelAttempts`.
    pub attempts: usize,
    /// The cancel requests that Google got.
    pub posts: usize,
}

/// What became of a case.
pub struct Finished {
    /// The end.
    pub end: End,
    /// Its points.
    pub trace: BTreeSet<Point>,
    /// The faults that did not happen.
    pub left: Vec<(Point, Fault)>,
    /// The record and the log, for people.
    pub story: String,
}

/// Runs a case. The error is what went wrong, and the record and the log.
pub async fn run(life: &Life, faults: &[(Point, Fault)]) -> Result<Finished, String> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let namespace = format!("faults-{}-{number}", std::process::id());
    let case = Case::begin(&namespace, life, faults).await;
    let lived = case.live(life).await;
    let ended = case.processes.stop().await;
    let lived = match ended {
        None => lived,
        Some(how) => Err(format!(
            "{:?}; the process ended by itself: {how}",
            lived.err()
        )),
    };
    let story = case.story();
    let trace = case.record.facts().trace.clone();
    case.access.clean_up().await;
    match lived {
        Ok(end) => Ok(Finished {
            end,
            trace,
            left: case.shared.faults_left(),
            story,
        }),
        Err(why) => Err(format!("{why}\n{story}")),
    }
}

struct Case {
    access: ClusterAccess,
    emulator: Emulator,
    shared: Arc<Shared>,
    processes: Arc<Processes>,
    _proxies: Vec<Proxy>,
    record: Arc<Record>,
    _folder: tempfile::TempDir,
}

impl Case {
    async fn begin(namespace: &str, life: &Life, faults: &[(Point, Fault)]) -> Self {
        let access = ClusterAccess::to_new_namespace(namespace).await;
        if life.is_granted {
            access.grant().await;
        }
        if life.has_standby {
            access.allow_leader_election().await;
        }
        let scenario = Scenario::default()
            .with_operation(operation(OBJECT), (life.script)())
            .with_operation(
                operation(WITNESS),
                Script::already_done(EndResult::completed()),
            );
        let emulator = Emulator::start(scenario).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (mut proxies, mut launches) = (Vec::new(), Vec::new());
        for index in 0..=usize::from(life.has_standby) {
            let proxy = Proxy::listen(index).await;
            launches.push(launch(life, namespace, &proxy, folder.path(), index));
            proxies.push(proxy);
        }
        let record = Arc::new(Record::new());
        let log = folder.path().join("log");
        let processes = Arc::new(Processes::new(launches, log, record.clone()));
        let upstream = Upstream {
            kubernetes: cluster().control_plane.server_url().to_owned(),
            google: emulator.url().to_owned(),
            metadata: format!("http://{}", emulator.metadata_address()),
            client: client(),
        };
        let (access_of_proxy, processes_of_proxy) = (access.clone(), processes.clone());
        let shared = Shared::new(
            upstream,
            access_of_proxy,
            processes_of_proxy,
            record.clone(),
            faults.to_vec(),
        );
        proxies.iter().for_each(|proxy| proxy.begin(shared.clone()));
        processes.start(0).await;
        Self {
            access,
            emulator,
            shared,
            processes,
            _proxies: proxies,
            record,
            _folder: folder,
        }
    }

    async fn live(&self, life: &Life) -> Result<End, String> {
        let record = &self.record;
        if life.has_standby {
            self.start_standby().await?;
        }
        for step in life.steps {
            let moment = record.wait(PATIENCE, step.when).await;
            moment.map_err(|why| format!("the moment of {:?} never came: {why}", step.what))?;
            record.say(&format!("{:?}", step.what));
            match step.what {
                Happening::Declared => self.access.declare(OBJECT, &(life.spec)()).await,
                Happening::Granted => self.access.grant().await,
                Happening::Resumed => self.access.resume().await,
                Happening::OperationCancelled => self
                    .emulator
                    .finish_operation(&operation(OBJECT), EndResult::CancelledElsewhere)
                    .map_err(|error| error.to_string())?,
            }
        }
        let ended = record.wait(PATIENCE, |facts| facts.outcome.is_some()).await;
        ended.map_err(|why| format!("the object never ended: {why}"))?;
        // Some faults are at what follows the outcome. Whether all have happened, the caller sees.
        let happened = |_: &_| self.shared.faults_left().is_empty();
        let _all = record.wait(FAULT_PATIENCE, happened).await;
        self.look_for_quiet().await?;

        let object = self.access.object().await;
        let end = self.end(&object);
        let facts = record.facts();
        let mut broken = facts.violations.clone();
        if end.posts > end.attempts {
            broken.push(format!(
                "I2: {} POSTs, {} attempts",
                end.posts, end.attempts
            ));
        }
        if facts.outcome.as_ref() != Some(&end.outcome) {
            broken.push(format!("I3: {:?} became {}", facts.outcome, end.outcome));
        }
        if broken.is_empty() {
            Ok(end)
        } else {
            Err(broken.join("; "))
        }
    }

    /// Starts the process that stands by once there is a leader, and waits until it keeps the objects.
    async fn start_standby(&self) -> Result<(), String> {
        let record = &self.record;
        let led = record.wait(PATIENCE, |facts| facts.has_leader).await;
        led.map_err(|why| format!("no process took the Lease: {why}"))?;
        self.processes.start(1).await;
        let listed = record.wait(PATIENCE, |facts| facts.has_listed(1)).await;
        listed.map_err(|why| format!("the standby never listed the objects: {why}"))
    }

    /// Has the controller finish another object, and checks that it did nothing more for this one.
    async fn look_for_quiet(&self) -> Result<(), String> {
        let record = &self.record;
        let has_listed = |facts: &Facts| facts.has_listed(self.processes.active());
        let listed = record.wait(PATIENCE, has_listed).await;
        listed.map_err(|why| format!("the last process never listed the objects: {why}"))?;
        let calls_before = record.facts().calls_after_outcome;
        self.access.declare(WITNESS, &json!({})).await;
        let finished = record.wait(PATIENCE, |facts| facts.is_witness_finished);
        let finished = finished.await;
        finished.map_err(|why| format!("another object never ended afterwards: {why}"))?;
        if record.facts().calls_after_outcome == calls_before {
            Ok(())
        } else {
            Err("I9: it made calls for a finished object".to_owned())
        }
    }

    fn end(&self, object: &Value) -> End {
        let status = &object["status"];
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let mut last_error = status["lastError"].clone();
        if let Some(fields) = last_error.as_object_mut() {
            fields.remove("since");
        }
        let attempts = status["cancelAttempts"].as_u64().unwrap_or(0);
        End {
            outcome: text(&status["outcome"]),
            conditions: conditions
                .map(|condition| {
                    let value = [&condition["status"], &condition["reason"]].map(text);
                    (text(&condition["type"]), value.join("/"))
                })
                .collect(),
            operation: status["operation"].clone(),
            last_error,
            attempts: usize::try_from(attempts).unwrap(),
            posts: self.emulator.count(&operation(OBJECT), Call::Cancel),
        }
    }

    fn story(&self) -> String {
        let lines = self.record.facts().lines.join("\n");
        format!("---- record:\n{lines}\n---- log:\n{}", self.processes.log())
    }
}

/// How the process of this index is started.
fn launch(life: &Life, namespace: &str, proxy: &Proxy, folder: &Path, index: usize) -> Launch {
    let authority = folder.join("ca.crt");
    std::fs::write(&authority, server::authority()).unwrap();
    let kubeconfig = folder.join(format!("kubeconfig-{index}"));
    let text = kubeconfig_text(&proxy.kubernetes, &authority.display().to_string());
    std::fs::write(&kubeconfig, text).unwrap();
    let mut arguments = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--ca-file={}", authority.display()),
        format!("--endpoint-override=dialogflow={}", proxy.google),
        format!("--watch-namespace={namespace}"),
        "--admin-address=off".to_owned(),
        "--log-level=debug".to_owned(),
        // What is counted must not depend on how busy the machine is.
        "--observe-budget=5s".to_owned(),
    ];
    arguments.extend(life.flags.iter().map(ToString::to_string));
    if life.has_standby {
        arguments.push("--leader-elect=true".to_owned());
        arguments.push(format!("--leader-elect-lease-name={LEASE}"));
        arguments.push(format!("--leader-elect-namespace={namespace}"));
        arguments.extend(LONG_LEASE.map(str::to_owned));
    }
    Launch {
        arguments,
        metadata_address: proxy.metadata.clone(),
    }
}

/// The client for all servers behind the proxies.
fn client() -> reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        opcancel::google::tls::install_provider();
        let authority = std::fs::read(cluster().control_plane.ca_file()).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&authority).unwrap()])
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap()
    });
    client.clone()
}

/// A kubeconfig with the controller's own token for this URL.
fn kubeconfig_text(url: &str, authority: &str) -> String {
    static TOKEN: OnceLock<String> = OnceLock::new();
    let token = TOKEN.get_or_init(|| {
        let control_plane = cluster().control_plane;
        control_plane
            .service_account_token("opcancel-system", "opcancel-controller")
            .unwrap()
    });
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url, "certificate-authority": authority}}],
        "users": [{"name": "c", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    })
    .to_string()
}
