//! API Priority and Fairness gives the controller one place, which is used by another request at first: the API server answers 429.

use std::{convert::Infallible, time::Instant};

use bytes::Bytes;
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::api::ListParams;
use operations_emulator::{EndResult, Script};
use reqwest::Certificate;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    many_objects,
    own_account::OwnAccount,
    support::{
        cluster::{cluster, kubectl_as_admin, runtime},
        world::{PATIENCE, World, operation, scenario},
    },
};

const MANY: usize = 20;

/// After so many refusals one after the other the place is really occupied.
const REFUSED_IN_A_ROW: usize = 5;

/// Gives an account's requests no share of the API server's concurrency: it serves one at a time, and refuses others at once.
fn limit(name: &str, account: &OwnAccount) {
    let version = "flowcontrol.apiserver.k8s.io/v1";
    let level = json!({
        "apiVersion": version, "kind": "PriorityLevelConfiguration", "metadata": {"name": name},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Reject"},
        }},
    });
    let (kind, mut of) = ("ServiceAccount", account.subject());
    of.as_object_mut().unwrap().remove("kind");
    let subject = json!({"kind": kind, "serviceAccount": of});
    let schema = json!({
        "apiVersion": version, "kind": "FlowSchema", "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": name}, "matchingPrecedence": 500,
            "rules": [{"subjects": [subject], "resourceRules": [{
                "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true,
            }]}],
        },
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [level, schema]});
    kubectl_as_admin(&["apply", "--filename=-"], &list.to_string()).unwrap();
}

/// Uses the only place of an account until it is dropped: a request whose body does not end.
struct Occupied(JoinHandle<()>);

impl Occupied {
    /// Waits until the API server refuses the account's other requests.
    fn new(account: &OwnAccount, namespace: &str) -> Self {
        opcancel::google::tls::install_provider();
        let control_plane = cluster().control_plane;
        let authorities = std::fs::read(control_plane.ca_file()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only(Certificate::from_pem_bundle(&authorities).unwrap())
            .no_proxy()
            .build();
        let client = client.unwrap();
        let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let url = format!("{}{reviews}", control_plane.server_url());
        let token = account.token();
        let occupy = || {
            let endless = stream::pending::<Result<Frame<Bytes>, Infallible>>();
            let request = client
                .post(&url)
                .bearer_auth(&token)
                .header("Content-Type", "application/json")
                .body(reqwest::Body::wrap(StreamBody::new(endless)));
            Self(runtime().spawn(async move { drop(request.send().await) }))
        };
        let mut occupied = occupy();
        runtime().block_on(async {
            let api = many_objects::api(account.kubeconfig(), namespace).await;
            let begun = Instant::now();
            let mut refused_in_a_row = 0;
            // A request of the controller may use the place for a moment.
            while refused_in_a_row < REFUSED_IN_A_ROW {
                assert!(begun.elapsed() < PATIENCE, "never refused");
                let list = api.list(&ListParams::default().limit(1)).await;
                let is_refused =
                    matches!(list, Err(kube::Error::Api(status)) if status.code == 429);
                refused_in_a_row = if is_refused { refused_in_a_row + 1 } else { 0 };
                if occupied.0.is_finished() {
                    // It arrived while the place was used, and was refused itself.
                    (occupied, refused_in_a_row) = (occupy(), 0);
                }
            }
        });
        occupied
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How many requests of a flow schema the API server has refused.
fn refused(name: &str) -> f64 {
    let metrics = kubectl_as_admin(&["get", "--raw", "/metrics"], "").unwrap();
    let label = format!("flow_schema=\"{name}\"");
    let lines = metrics.lines().filter(|line| {
        line.starts_with("apiserver_flowcontrol_rejected_requests_total{") && line.contains(&label)
    });
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[test]
fn refused_requests_are_repeated_and_nothing_is_sent_without_an_intent() {
    let scenario = scenario([
        ("many-*", Script::default()),
        ("polled", Script::ignores_cancel()),
        ("unseen", Script::missing()),
    ]);
    // "unseen" must not end as NotFound before it is there.
    let mut world = World::stopped("priority", scenario, &["--not-found-after=10m"], &[]);
    world.grant();
    let (account, name) = (
        OwnAccount::new(&world.namespace.name),
        world.namespace.name.clone(),
    );
    world.use_kubeconfig(account.kubeconfig());
    world.start();
    world.cancel_all(["polled", "unseen"]);
    world.wait(&["polled"], "condition=CancelRequested");
    world.wait(&["unseen"], "condition=Reconciling");

    limit(&name, &account);
    let occupied = Occupied::new(&account, &name);
    world
        .emulator
        .finish_operation(&operation("polled"), EndResult::completed())
        .unwrap();
    world
        .emulator
        .set_operation(&operation("unseen"), Script::default())
        .unwrap();
    world.controller().wait_for_metrics(|metrics| {
        metrics.has_failed_writes("intent") || metrics.has_failed_writes("outcome")
    });
    let before = refused(&name);
    world
        .controller()
        .wait_for_metrics(|_| refused(&name) > before);
    assert_eq!(world.posts("unseen"), 0, "its intent is not stored");
    many_objects::create_numbered(&world.namespace.name, "many", MANY);

    // Now one request at a time.
    drop(occupied);
    let objects = world.all_finished();
    assert_eq!(objects["polled"].outcome(), "Completed");
    for (name, object) in objects.iter().filter(|(name, _)| *name != "polled") {
        assert_eq!(object.outcome(), "Cancelled", "{name}");
        assert_eq!(world.posts(name), 1, "{name}");
    }
    for kind in ["flowschema", "prioritylevelconfiguration"] {
        kubectl_as_admin(&["delete", kind, &name], "").unwrap();
    }
}
