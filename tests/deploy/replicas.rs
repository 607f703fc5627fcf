//! The two replicas of the base, on a node that runs them as processes: upgraded under load, scaled, and evicted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use operations_emulator::{
    Call::Cancel, CancelBehaviour, CancelEffect, Emulator, EndResult, Failure, Latency, Response,
    RpcCode, Scenario, Script,
};
use serde_json::{Value, json};
use xtask::{
    control_plane::{ControlPlane, Watch},
    node::{self, Node},
};

use crate::{
    applied::{Cluster, apply, declare, empty_cluster, grant, kubectl},
    rendered::Rendered,
    support::{
        cluster::{json_of, runtime},
        object::Object,
        world::{PATIENCE, manifest, operation},
    },
};

const SYSTEM: &str = "--namespace=opcancel-system";
const TENANT: &str = "--namespace=contact-center";
const DEPLOYMENT: &str = "deployment/opcancel-controller";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/opcancel-system/leases";
const PODS: &str = "/api/v1/namespaces/opcancel-system/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/opcancel-system/deployments";

/// Waits until the process of this Pod is the leader.
pub fn wait_for_leader(control_plane: &ControlPlane, pod: &str) {
    wait_for_a_leader(control_plane, |holder| holder == pod);
}

/// Waits until a Pod that is `wanted` is the leader, and returns its name.
fn wait_for_a_leader(control_plane: &ControlPlane, wanted: impl Fn(&str) -> bool) -> String {
    awaited(control_plane, LEASES, |lease| {
        let holder = lease["spec"]["holderIdentity"].as_str()?;
        let (pod, _) = holder.split_once('_').filter(|(pod, _)| wanted(pod))?;
        Some(pod.to_owned())
    })
}

/// Waits until an object at this path is as `wanted`.
fn awaited<T>(control_plane: &ControlPlane, path: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
    let (tell, told) = mpsc::channel();
    let watch = control_plane.watch(path, move |event| {
        event.is_none_or(|event| tell.send(event.object).is_ok())
    });
    let _watch = watch.unwrap();
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let object = told.recv_timeout(left);
        let object = object.unwrap_or_else(|_| panic!("{path}: never as wanted"));
        if let Some(found) = wanted(&object) {
            return found;
        }
    }
}

/// The base as it is installed, with the emulator in Google's place. The node ends first.
struct Installation {
    _node: Node,
    emulator: Emulator,
    cluster: Cluster,
}

impl Installation {
    /// Returns when both replicas are ready, and one of them is the leader.
    fn start() -> Self {
        let cluster = empty_cluster();
        let emulator = runtime()
            .block_on(Emulator::start(Scenario::default()))
            .unwrap();
        let variables = [
            (
                "OPCANCEL_ENDPOINT_OVERRIDE",
                format!("dialogflow={}", emulator.url()),
            ),
            ("GCE_METADATA_HOST", emulator.metadata_address().to_owned()),
            ("OPCANCEL_MAX_POLL", "900ms".to_owned()),
        ];
        let program = env!("CARGO_BIN_EXE_opcancel-controller").into();
        let options = node::Options {
            images: BTreeMap::from([("opcancel-controller".to_owned(), program)]),
            variables: variables
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        };
        let node = Node::start(&cluster, options).unwrap();
        apply(&cluster, &Rendered::kustomization("base"));
        cluster.wait_for_crds().unwrap();
        grant(&cluster);
        let installation = Self {
            _node: node,
            emulator,
            cluster,
        };
        installation.wait_for_rollout();
        installation.leader();
        installation
    }

    fn run(&self, arguments: &[&str]) -> String {
        self.cluster.run_kubectl(arguments).unwrap()
    }

    fn wait_for_rollout(&self) {
        self.run(&["rollout", "status", DEPLOYMENT, SYSTEM, "--timeout=120s"]);
    }

    fn leader(&self) -> String {
        wait_for_a_leader(&self.cluster, |pod| !pod.is_empty())
    }

    /// The names of the Pods that are not about to end.
    fn pods(&self) -> BTreeSet<String> {
        let list = json_of(&self.run(&["get", "pods", SYSTEM, "--output=json"]));
        let pods = list["items"].as_array().unwrap().iter();
        pods.filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none())
            .map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Notes how many Pods are ready, from now on, at each change.
    fn watch_ready(&self) -> (Watch, Arc<Mutex<Vec<u64>>>) {
        let seen = Arc::<Mutex<Vec<u64>>>::default();
        let noted = seen.clone();
        let watch = self.cluster.watch(DEPLOYMENTS, move |event| {
            let Some(event) = event else { return false };
            let ready = event.object.pointer("/status/readyReplicas");
            let ready = ready.and_then(Value::as_u64).unwrap_or(0);
            noted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(ready);
            true
        });
        (watch.unwrap(), seen)
    }

    /// Creates a cancellation for each way in which an operation ends. Their names begin with `prefix`.
    fn declare(&self, prefix: &str) {
        let manifests: Vec<_> = endings()
            .into_iter()
            .map(|(outcome, script)| {
                let name = format!("{prefix}-{}", outcome.to_lowercase());
                self.emulator
                    .set_operation(&operation(&name), script)
                    .unwrap();
                manifest(&name, &[])
            })
            .collect();
        declare(&self.cluster, &manifests);
    }

    /// Waits until all cancellations have ended, each with its outcome and after one request, or one more. Returns by which
    /// processes they were sent.
    fn assert_all_ended(&self) -> BTreeSet<String> {
        let finished = [
            "wait",
            "opcancel",
            "--all",
            TENANT,
            "--for=condition=Finished",
            "--timeout=60s",
        ];
        self.run(&finished);
        let list = json_of(&self.run(&["get", "opcancel", TENANT, "--output=json"]));
        let objects = list["items"].as_array().unwrap().iter();
        objects
            .map(|object| {
                let object = Object(object.clone());
                let name = object.text("/metadata/name");
                let (_, ending) = name.rsplit_once('-').unwrap();
                assert_eq!(object.outcome().to_lowercase(), ending, "{name}");
                let posts = self.emulator.count(&operation(&name), Cancel);
                assert!((1..=2).contains(&posts), "{name}: {posts} requests");
                let attempts: usize = object.text("/status/cancelAttempts").parse().unwrap();
                assert!(posts <= attempts, "{name}: {posts} of {attempts}");
                object.text("/status/cancelAttemptedBy")
            })
            .collect()
    }

    /// Asks to evict a Pod, as a drain does.
    fn evict(&self, pod: &str) -> Result<String, String> {
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": pod, "namespace": "opcancel-system"},
        });
        let path = format!("/api/v1/namespaces/opcancel-system/pods/{pod}/eviction");
        kubectl(
            &self.cluster,
            &["create", "--raw", &path],
            &eviction.to_string(),
        )
    }

    /// Waits until the PodDisruptionBudget allows so many evictions.
    fn wait_for_budget(&self, allowed: u32) {
        let wanted = format!("--for=jsonpath={{.status.disruptionsAllowed}}={allowed}");
        let wait = ["wait", "pdb/opcancel-controller", SYSTEM, "--timeout=60s"];
        self.run(&[&wait[..], &[&wanted]].concat());
    }
}

/// What becomes of operations whose cancellations a handover may meet at any point: the POST takes a while, and the end comes some polls
/// later.
fn endings() -> [(&'static str, Script); 3] {
    let script = |effect| Script {
        cancel: CancelBehaviour {
            effect,
            after: Duration::from_millis(700),
            ..CancelBehaviour::default()
        },
        latency: Some(Latency {
            get: Duration::from_millis(5),
            cancel: Duration::from_millis(200),
        }),
        ..Script::default()
    };
    let failure = Failure {
        code: RpcCode::Internal,
        message: "it broke".to_owned(),
        details: Vec::new(),
    };
    [
        ("Cancelled", script(CancelEffect::Cancels)),
        (
            "Completed",
            script(CancelEffect::Ends(
                EndResult::Completed(Response::default()),
            )),
        ),
        (
            "Failed",
            script(CancelEffect::Ends(EndResult::Failed(failure))),
        ),
    ]
}

#[test]
fn a_rolling_upgrade_under_load_finishes_on_one_node_and_loses_nothing() {
    let installation = Installation::start();
    let before = installation.pods();
    assert_eq!(before.len(), 2);
    installation.declare("before");
    installation.assert_all_ended();
    let (watch, ready) = installation.watch_ready();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            for round in 0.. {
                installation.declare(&format!("during-{round}"));
                if is_over.load(Ordering::Relaxed) {
                    return round;
                }
            }
            0
        });
        let image = "controller=your-registry.invalid/opcancel-controller:0.1.1";
        installation.run(&["set", "image", DEPLOYMENT, image, SYSTEM]);
        installation.wait_for_rollout();
        is_over.store(true, Ordering::Relaxed);
        assert!(load.join().unwrap() > 0, "nothing was created meanwhile");
    });
    let after = wait_for_a_leader(&installation.cluster, |pod| !before.contains(pod));
    installation.declare("after");
    let authors = installation.assert_all_ended();
    assert!(authors.len() >= 2, "only {authors:?} worked");
    drop(watch);
    let ready = ready.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(ready.iter().all(|ready| *ready >= 1), "{ready:?}");
    assert!(installation.pods().is_disjoint(&before));
    assert!(installation.pods().contains(&after));
}

#[test]
fn one_replica_works_and_a_second_one_stands_by_again() {
    let installation = Installation::start();
    let scale = |replicas: &str| {
        installation.run(&["scale", DEPLOYMENT, SYSTEM, replicas]);
        installation.wait_for_rollout();
    };
    scale("--replicas=1");
    let alone = installation.pods();
    assert_eq!(alone.len(), 1);
    wait_for_a_leader(&installation.cluster, |pod| alone.contains(pod));
    installation.declare("alone");
    installation.assert_all_ended();

    scale("--replicas=2");
    let both = installation.pods();
    assert_eq!(both.len(), 2);
    assert!(both.is_superset(&alone));
    assert!(
        alone.contains(&installation.leader()),
        "it stays the leader"
    );
    let leader = alone.first().unwrap();
    installation.run(&["delete", "pod", leader, SYSTEM, "--wait=false"]);
    let next = wait_for_a_leader(&installation.cluster, |pod| pod != leader);
    assert!(both.contains(&next), "the one that stood by, not a new one");
    installation.declare("then");
    installation.assert_all_ended();
}

#[test]
fn a_drain_evicts_one_replica_at_a_time_and_always_one_that_is_not_ready() {
    let installation = Installation::start();
    installation.wait_for_budget(1);
    // A new Pod is not ready without its permissions.
    let binding = "clusterrolebinding/opcancel-controller-grants";
    installation.run(&["delete", binding]);
    let before = installation.pods();
    let [first, second] = before.iter().collect::<Vec<_>>()[..] else {
        panic!("{before:?}");
    };
    installation.evict(first).unwrap();
    let refused = installation.evict(second).unwrap_err();
    assert!(
        refused.contains("violate the pod's disruption budget"),
        "{refused}"
    );

    // The replacement runs and is not ready, so it may go.
    let replacement = awaited(&installation.cluster, PODS, |pod| {
        let name = pod["metadata"]["name"].as_str()?;
        let is_it = !before.contains(name) && pod["status"]["phase"] == "Running";
        is_it.then(|| name.to_owned())
    });
    installation.evict(&replacement).unwrap();
    let refused = installation.evict(second).unwrap_err();
    assert!(refused.contains("disruption budget"), "{refused}");

    apply(&installation.cluster, &Rendered::kustomization("base"));
    installation.wait_for_rollout();
    installation.wait_for_budget(1);
    installation.evict(second).unwrap();
    wait_for_a_leader(&installation.cluster, |pod| !before.contains(pod));
    installation.declare("drained");
    installation.assert_all_ended();
    installation.wait_for_rollout();
    assert!(installation.pods().is_disjoint(&before));
}
