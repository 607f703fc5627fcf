//! Every misbehaviour at every hop with a whole controller: the object says what happened, nothing is followed, no token is shown, and the
//! next good answer heals it. `crate::hostile_hop` and `crate::misbehaviour` have the lists, which tests/hostile_endpoints.rs has, too.
//!
//! For each misbehaviour there is a controller with servers of its own. A hop misbehaves from the creation of its object until the object
//! reports that. Then it answers well, until the object has its outcome.

mod api_front;
mod servers;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, PostParams, WatchEvent, WatchParams},
    core::{ApiResource, GroupVersionKind},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use strum::VariantArray;
use tempfile::TempDir;

use self::servers::{CANARY, Servers, cancelled, email, needs_account, operation_of};
use crate::{
    hostile_hop::{Hop, cells, is_harmless},
    misbehaviour::{Misbehaviour, ok},
    raw_http::RawHttp,
    support::{
        cluster::{client_config, cluster, json_of, kubectl_as_admin, runtime},
        controller_process::{self, ControllerProcess},
        object::Object,
        tls_server::{Rules, TlsServer},
        world::PROJECT,
    },
};

/// The most memory that a controller may ever have, in bytes: half of the Deployment's limit.
const MOST_MEMORY: usize = 128 * 1024 * 1024;

/// A hop and how it misbehaves.
type Cell = (Hop, Misbehaviour);

/// The name of an object, of its ServiceAccount and of its operation, or a part of that of a namespace.
fn name(of: impl Debug) -> String {
    format!("{of:?}").to_lowercase()
}

/// Whether the controller waits for a minute or more until it reports the cell.
fn is_slow((hop, misbehaviour): Cell) -> bool {
    use Misbehaviour::{NoAnswer, Silence, SlowDrip};
    match misbehaviour {
        // A metadata server can need half a minute for a token.
        SlowDrip | Silence | NoAnswer if hop.is_of_operator() => true,
        // An operation is read for two minutes.
        SlowDrip => hop == Hop::Get,
        _ => false,
    }
}

/// The cell of the same controller that must have healed before: the calls of this one need what that one withholds.
const fn needs(hop: Hop) -> Option<Hop> {
    match hop {
        Hop::OperatorUniverse | Hop::ClusterName => None,
        Hop::OperatorEmail => Some(Hop::OperatorUniverse),
        Hop::OperatorToken => Some(Hop::OperatorEmail),
        Hop::Get | Hop::Cancel | Hop::Proxy => Some(Hop::OperatorToken),
        Hop::ServiceAccount | Hop::TokenRequest | Hop::Sts | Hop::IamCredentials => {
            Some(Hop::ClusterName)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    NotBegun,
    /// The object is to report it.
    Misbehaves,
    /// The object is to end.
    Heals,
    Done,
}

/// What is behind the proxy, and in place of the proxy that the environment names.
struct Shared {
    folder: TempDir,
    authority: PathBuf,
    google: TlsServer,
    elsewhere: RawHttp,
}

impl Shared {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = folder.path().join("ca.pem");
        fs::write(&authority, issuer.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["*.googleapis.com".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let rules = Rules {
            answer: Box::new(|_, method, _| {
                let answer = match method {
                    "GET" => cancelled(&operation_of(Hop::Proxy)),
                    _ => json!({}),
                };
                async move { answer.to_string() }.boxed()
            }),
            ..Rules::default()
        };
        let key = key.serialize_der().into();
        Self {
            folder,
            authority,
            google: TlsServer::start_with(rules, certificate.der().clone(), key).await,
            elsewhere: RawHttp::start(|_, _| ok("{}")).await,
        }
    }
}

/// A controller, and its servers.
struct Controller {
    namespace: String,
    servers: Servers,
    process: Option<ControllerProcess>,
}

impl Controller {
    /// It does not run yet.
    async fn new(misbehaviour: Misbehaviour, run: &str, shared: &Shared) -> Self {
        let elsewhere = shared.elsewhere.url();
        Self {
            namespace: format!("{run}-{}", name(misbehaviour)),
            servers: Servers::start(misbehaviour, &elsewhere, shared.google.address).await,
            process: None,
        }
    }

    /// Runs it.
    fn start(&mut self, shared: &Shared) {
        let others = self.servers.others.url();
        let kubeconfig = self.kubeconfig(shared.folder.path());
        let mut command = controller_process::command();
        command
            .args(["--observe-budget=1s", "--max-poll=900ms"])
            .args(["--admin-address=127.0.0.1:0", "--watch-namespace"])
            .arg(&self.namespace)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--workload-identity-provider=gke")
            .arg(format!("--sts-endpoint={others}"))
            .arg(format!("--iam-credentials-endpoint={others}"))
            .arg(format!(
                "--endpoint-override=dialogflow/europe-west1={others}"
            ))
            .arg(format!("--https-proxy={others}"))
            .env("GCE_METADATA_HOST", self.servers.others.address.to_string())
            .env("SSL_CERT_FILE", &shared.authority)
            .env("RUST_LOG", "trace");
        // None of them may be used.
        for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            let lower_case = variable.to_lowercase();
            command.env(variable, shared.elsewhere.url());
            command.env(lower_case, shared.elsewhere.url());
        }
        self.process = Some(ControllerProcess::spawn(command));
    }

    /// The kubeconfig of the controller, with the front of the API server.
    fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let path = folder.join(&self.namespace);
        let text = fs::read_to_string(&cluster().controller_kubeconfig).unwrap();
        let server = cluster().control_plane.server_url();
        assert!(text.contains(server), "{text}");
        fs::write(&path, text.replace(server, &self.servers.api.url())).unwrap();
        path
    }
}

/// All controllers of a run.
struct Matrix {
    /// The name of the run, and the label of its objects.
    run: String,
    shared: Shared,
    controllers: BTreeMap<Misbehaviour, Controller>,
    stages: BTreeMap<Cell, Stage>,
    /// The last state of each object.
    objects: BTreeMap<Cell, Object>,
    client: Client,
}

impl Matrix {
    async fn new(run: &str, cells: impl Iterator<Item = Cell>) -> Self {
        let shared = Shared::start().await;
        let stages: BTreeMap<_, _> = cells.map(|cell| (cell, Stage::NotBegun)).collect();
        let misbehaviours: BTreeSet<_> = stages.keys().map(|(_, bad)| *bad).collect();
        let mut controllers = BTreeMap::new();
        for misbehaviour in misbehaviours {
            let controller = Controller::new(misbehaviour, run, &shared).await;
            controllers.insert(misbehaviour, controller);
        }
        let config = client_config(&cluster().control_plane.kubeconfig()).await;
        Self {
            run: run.to_owned(),
            shared,
            controllers,
            stages,
            objects: BTreeMap::new(),
            client: Client::try_from(config).unwrap(),
        }
    }

    /// Namespaces with ServiceAccounts that the controller may act as, and the grant.
    fn prepare(&self) {
        let rbac = "rbac.authorization.k8s.io";
        let namespaces = self.controllers.values().map(|each| &each.namespace);
        let mut items = vec![json!({
            "apiVersion": "opcancel.github.io/v1alpha1", "kind": "CancellationGrant",
            "metadata": {"name": self.run},
            "spec": {
                "namespaces": namespaces.clone().collect::<Vec<_>>(), "projects": [PROJECT],
                "services": ["dialogflow"], "identities": ["Operator", "ServiceAccount"],
            },
        })];
        for namespace in namespaces {
            let meta = |name: &str| json!({"namespace": namespace, "name": name});
            items.extend([
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
                json!({
                    "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": meta("accounts"),
                    "rules": [
                        {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get"]},
                        {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]},
                    ],
                }),
                json!({
                    "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": meta("accounts"),
                    "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "accounts"},
                    "subjects": [{"kind": "ServiceAccount", "name": "opcancel-controller", "namespace": "opcancel-system"}],
                }),
            ]);
            let hops = Hop::VARIANTS.iter().filter(|hop| needs_account(**hop));
            items.extend(hops.map(|hop| {
                let mut meta = meta(&name(hop));
                let account = email(&name(hop));
                meta["annotations"] = json!({"iam.gke.io/gcp-service-account": account});
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
            }));
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        kubectl_as_admin(&["create", "--filename=-"], &list.to_string()).unwrap();
    }

    fn objects_of(&self, namespace: Option<&str>) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("opcancel.github.io", "v1alpha1", "OperationCancellation");
        let resource = ApiResource::from_gvk(&kind);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// Begins the cells that need nothing more.
    async fn begin(&mut self) {
        let is_over = |cell: Cell| {
            let mut cell = cell;
            while let Some(hop) = needs(cell.0) {
                cell.0 = hop;
                if let Some(stage) = self.stages.get(&cell) {
                    return *stage == Stage::Done;
                }
            }
            true
        };
        let waiting = self.stages.iter();
        let waiting = waiting.filter(|(_, stage)| **stage == Stage::NotBegun);
        let next: Vec<Cell> = waiting
            .map(|(cell, _)| *cell)
            .filter(|cell| is_over(*cell))
            .collect();
        for cell in next {
            let (hop, misbehaviour) = cell;
            let controller = &self.controllers[&misbehaviour];
            controller.servers.misbehave(hop, true);
            let object = self.object(hop, &controller.namespace);
            let objects = self.objects_of(Some(&controller.namespace));
            let object: DynamicObject = serde_json::from_value(object).unwrap();
            objects
                .create(&PostParams::default(), &object)
                .await
                .unwrap();
            self.stages.insert(cell, Stage::Misbehaves);
        }
    }

    fn object(&self, hop: Hop, namespace: &str) -> Value {
        let mut object = json!({
            "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
            "metadata": {"name": name(hop), "namespace": namespace, "labels": {"run": self.run}},
            "spec": {"service": "dialogflow", "operationName": operation_of(hop)},
        });
        if needs_account(hop) {
            object["spec"]["serviceAccountName"] = json!(name(hop));
        }
        object
    }

    /// Watches the objects until all cells are done.
    async fn every_cell_is_done(&mut self) {
        let (all, label) = (self.objects_of(None), format!("run={}", self.run));
        loop {
            let list = all.list(&ListParams::default().labels(&label)).await;
            let list = list.unwrap();
            for object in list.items {
                self.has_changed(object).await;
            }
            if self.is_done() {
                return;
            }
            let version = list.metadata.resource_version.unwrap();
            let watch = WatchParams::default().labels(&label);
            let mut watch = all.watch(&watch, &version).await.unwrap().boxed();
            // The API server ends a watch after some minutes.
            while let Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) =
                watch.next().await
            {
                self.has_changed(object).await;
                if self.is_done() {
                    return;
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.stages.values().all(|stage| *stage == Stage::Done)
    }

    async fn has_changed(&mut self, object: DynamicObject) {
        let object = Object(serde_json::to_value(object).unwrap());
        let namespace = object.text("/metadata/namespace");
        let of = |cell: &&Cell| {
            name(cell.0) == object.text("/metadata/name")
                && self.controllers[&cell.1].namespace == namespace
        };
        let cell = *self.stages.keys().find(of).unwrap();
        let servers = &self.controllers[&cell.1].servers;
        let next = match self.stages[&cell] {
            Stage::Misbehaves if is_reported(cell, &object) => {
                servers.misbehave(cell.0, false);
                Some(Stage::Heals)
            }
            Stage::Misbehaves => {
                assert_eq!(object.outcome(), "-", "{cell:?}: {object:?}");
                None
            }
            Stage::Heals if object.outcome() != "-" => {
                assert_eq!(object.outcome(), "Cancelled", "{cell:?}: {object:?}");
                Some(Stage::Done)
            }
            _ => None,
        };
        self.objects.insert(cell, object);
        if let Some(next) = next {
            self.stages.insert(cell, next);
            self.begin().await;
        }
    }

    /// The cells that are not done, and what their objects look like.
    fn rest(&self) -> String {
        let rest = self.stages.iter();
        let rest = rest.filter(|(_, stage)| **stage != Stage::Done);
        let lines = rest.map(|(cell, stage)| {
            let object = self.objects.get(cell);
            let status = object.map(|object| object.text("/status"));
            format!("{cell:?}: {stage:?}: {status:?}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Every controller lives and has stayed small, and none shows a token, which the servers repeat in all forms.
    fn all_is_well(&mut self) {
        let mut places = Vec::new();
        for (misbehaviour, controller) in &mut self.controllers {
            let process = controller.process.as_mut().unwrap();
            process.wait_until_ready();
            let (status, metrics) = process.admin("/metrics");
            assert_eq!(status, 200, "{misbehaviour:?}");
            let memory = process.most_resident();
            assert!(memory < MOST_MEMORY, "{misbehaviour:?}: {memory} bytes");
            places.push((format!("metrics of {misbehaviour:?}"), metrics));
            places.push((format!("log of {misbehaviour:?}"), process.log()));
        }
        let is_ours = |item: &&Value| {
            let namespace = item["metadata"]["namespace"].as_str().unwrap();
            namespace.starts_with(&self.run)
        };
        for kind in ["opcancel", "events"] {
            let all = kubectl_as_admin(&["get", kind, "--all-namespaces", "--output=json"], "");
            let all = json_of(&all.unwrap());
            let items = all["items"].as_array().unwrap().iter();
            let ours: Vec<_> = items.filter(is_ours).collect();
            assert!(
                ours.len() >= self.controllers.len(),
                "{kind}: {}",
                ours.len()
            );
            places.push((kind.to_owned(), json!(ours).to_string()));
        }
        for (place, text) in &places {
            // Of a ServiceAccount's token the beginning: the header of each is the same.
            for part in [CANARY, "eyJhbGciOi"] {
                assert!(!text.contains(part), "{part} stands in the {place}");
            }
        }
    }
}

/// What an object reports of a hop: the call that failed, the reason of its conditions, and a part of the message.
fn expected(
    hop: Hop,
) -> (
    &'static [&'static str],
    &'static [&'static str],
    &'static str,
) {
    let token = &["Token"];
    match hop {
        Hop::OperatorEmail => (token, &["Unauthenticated"], "did not return the identity"),
        Hop::OperatorUniverse => (token, &["Unauthenticated"], "did not return its universe"),
        Hop::OperatorToken => (
            token,
            &["Unauthenticated"],
            "cannot get a token from the metadata server",
        ),
        Hop::ClusterName => (
            token,
            &["TokenExchangeFailed"],
            "does not return the name of this GKE cluster",
        ),
        Hop::ServiceAccount => (
            token,
            &["ServiceAccountNotReady"],
            "serviceaccount cannot be",
        ),
        Hop::TokenRequest => (token, &["TokenRequestFailed"], "the API server"),
        Hop::Sts => (
            token,
            &["TokenExchangeFailed"],
            "token exchange at 127.0.0.1:",
        ),
        Hop::IamCredentials => (
            token,
            &["ImpersonationFailed"],
            "impersonating iamcredentials@",
        ),
        Hop::Get => (&["Get"], &["Unavailable", "Unrecognised"], ""),
        Hop::Cancel => (&["Cancel"], &["Unavailable", "Unrecognised", "Refused"], ""),
        // Without a tunnel neither call is sent.
        Hop::Proxy => (&["Get", "Cancel"], &["Unavailable"], "the proxy 127.0.0.1:"),
    }
}

/// Whether the object says what its hop does.
fn is_reported((hop, misbehaviour): Cell, object: &Object) -> bool {
    if is_harmless(hop, misbehaviour) {
        return object.condition("CancelRequested") == "True/Accepted";
    }
    let (calls, reasons, text) = expected(hop);
    let message = object.text("/status/lastError/message");
    assert!(
        message.len() <= 1024,
        "{hop:?} x {misbehaviour:?}: {message}"
    );
    let ready = object.condition("Ready");
    let has_reason = |reason: &&str| ready.ends_with(&format!("/{reason}"));
    let is_meant = calls.contains(&object.text("/status/lastError/call").as_str())
        && reasons.iter().any(has_reason)
        && message.contains(text);
    if is_meant {
        println!("{hop:?} x {misbehaviour:?}: {ready}: {message}");
    }
    is_meant
}

/// Runs these cells, for at most this long.
fn survives(run: &str, cells: impl Iterator<Item = Cell>, limit: Duration) {
    let run = format!("{run}-{}", std::process::id());
    cluster();
    let mut matrix = runtime().block_on(Matrix::new(&run, cells));
    matrix.prepare();
    runtime().block_on(matrix.begin());
    for controller in matrix.controllers.values_mut() {
        controller.start(&matrix.shared);
    }
    let watched = runtime().block_on(async {
        let done = matrix.every_cell_is_done();
        tokio::time::timeout(limit, done).await
    });
    assert!(watched.is_ok(), "after {limit:?}:\n{}", matrix.rest());
    let followed = matrix.shared.elsewhere.requests();
    assert_eq!(followed, Vec::<String>::new(), "something was followed");
    matrix.all_is_well();
}

#[test]
fn an_object_says_what_each_server_does_and_heals() {
    let quick = cells().filter(|cell| !is_slow(*cell));
    survives("hostile", quick, Duration::from_secs(600));
}

#[test]
#[ignore = "waits for limits of a minute and more: cargo xtask test --long"]
fn an_object_says_that_a_server_is_slow_and_heals() {
    let slow = cells().filter(|cell| is_slow(*cell));
    survives("patient", slow, Duration::from_secs(1200));
}
