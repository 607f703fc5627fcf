//! Several controllers of one release: processes that elect a leader by a Lease, each as a pod would run it.

use std::{collections::BTreeSet, process::Command, time::Instant};

use serde_json::{Value, json};

use super::{
    cluster::{json_of, kubectl_as_admin},
    controller_process::ControllerProcess,
    served_metrics::Served,
    world::{PATIENCE, World},
};

/// The name of the Lease.
pub const LEASE: &str = "opcancel-controller";

/// Short, but long enough for a busy machine.
pub const SHORT_LEASE: [&str; 3] = [
    "--leader-elect-lease-duration=5s",
    "--leader-elect-renew-deadline=4s",
    "--leader-elect-retry-period=500ms",
];

/// The default durations: in the time of a test no Lease expires.
pub const LONG_LEASE: [&str; 3] = [
    "--leader-elect-lease-duration=15s",
    "--leader-elect-renew-deadline=10s",
    "--leader-elect-retry-period=2s",
];

/// The processes of one release. They watch the namespace of a world, and their Lease is there too.
pub struct Release {
    /// The namespace, and what stands in for Google.
    pub world: World,
    timing: [&'static str; 3],
}

impl Release {
    /// Gives the controller's ServiceAccount the rights for its Lease, as deploy/base/leader-election-role.yaml does.
    pub fn new(world: World, timing: [&'static str; 3]) -> Self {
        let role = lease_role(&world.namespace.name).to_string();
        kubectl_as_admin(&["create", "--filename=-"], &role).unwrap();
        Self { world, timing }
    }

    /// The command that runs a process, in a pod of this name.
    pub fn command(&self, pod: &str) -> Command {
        let mut command = self.world.controller_command();
        command
            .arg("--leader-elect=true")
            .arg(format!(
                "--leader-elect-namespace={}",
                self.world.namespace.name
            ))
            .arg(format!("--leader-elect-lease-name={LEASE}"))
            .args(self.timing)
            .env("HOSTNAME", pod);
        command
    }

    /// Starts a process and waits until it is ready.
    pub fn start(&self, pod: &str) -> ControllerProcess {
        let mut process = ControllerProcess::spawn(self.command(pod));
        process.wait_until_ready();
        process
    }

    /// Starts a process and waits until it leads.
    pub fn start_leader(&self, pod: &str) -> ControllerProcess {
        let process = self.start(pod);
        wait_to_lead(&process);
        process
    }

    /// Starts a process while this one leads.
    pub fn start_standby(&self, pod: &str, leader: &str) -> ControllerProcess {
        let process = self.start(pod);
        process.wait_for_log(|log| {
            log.contains("another process is the leader") && log.contains(&format!("{leader}_"))
        });
        process
    }

    /// The spec of the Lease.
    pub fn lease(&self) -> Value {
        let lease = self.kubectl_lease(&["get", "--output=json"]).unwrap();
        json_of(&lease)["spec"].clone()
    }

    /// The pod in the Lease; empty if there is none.
    pub fn holder(&self) -> String {
        let lease = self.lease();
        let holder = lease["holderIdentity"].as_str().unwrap_or_default();
        holder
            .rsplit_once('_')
            .map_or(holder, |(pod, _)| pod)
            .to_owned()
    }

    /// Waits until the Lease is as wanted.
    pub fn wait_for_lease(&self, path: &str, value: &str) {
        let condition = format!("--for=jsonpath={{{path}}}={value}");
        self.kubectl_lease(&["wait", &condition, "--timeout=30s"])
            .unwrap_or_else(|why| panic!("{why}: {}", self.lease()));
    }

    /// Waits until a process in this pod holds the Lease, which may not exist at first.
    pub fn wait_for_lease_of(&self, pod: &str) {
        let begun = Instant::now();
        let is_held = || {
            self.kubectl_lease(&["get", "--output=json"])
                .is_ok_and(|lease| lease.contains(&format!("\"{pod}_")))
        };
        while !is_held() {
            assert!(begun.elapsed() < PATIENCE, "{pod} never holds the Lease");
        }
    }

    /// Waits until the Lease was renewed so often.
    pub fn wait_for_renewals(&self, count: usize) {
        let mut seen = BTreeSet::new();
        let begun = Instant::now();
        while seen.len() <= count {
            assert!(begun.elapsed() < PATIENCE, "{seen:?}");
            seen.insert(self.lease()["renewTime"].to_string());
        }
    }

    /// Waits until a process in another pod holds the Lease.
    pub fn wait_for_other_than(&self, pod: &str) {
        let begun = Instant::now();
        while [pod, ""].contains(&self.holder().as_str()) {
            assert!(begun.elapsed() < PATIENCE, "nobody takes over from {pod}");
        }
    }

    /// Merges a patch into the spec of the Lease, as an administrator.
    pub fn edit_lease(&self, spec: &Value) {
        let patch = format!("--patch={}", json!({"spec": spec}));
        self.kubectl_lease(&["patch", "--type=merge", &patch])
            .unwrap();
    }

    /// Deletes the Lease, as an administrator.
    pub fn delete_lease(&self) {
        self.kubectl_lease(&["delete"]).unwrap();
    }

    fn kubectl_lease(&self, arguments: &[&str]) -> Result<String, String> {
        let lease = format!("lease/{LEASE}");
        let mut all = vec![arguments[0], &lease, "--namespace"];
        all.push(&self.world.namespace.name);
        all.extend(&arguments[1..]);
        kubectl_as_admin(&all, "")
    }
}

/// The rights of the controller's ServiceAccount for its Lease, as deploy/base/leader-election-role.yaml has them.
pub fn lease_role(namespace: &str) -> Value {
    let rbac = "rbac.authorization.k8s.io";
    let meta = json!({"name": "leader-election", "namespace": namespace});
    let leases = |names: &[&str], verbs: &[&str]| {
        json!({
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
            "resourceNames": names, "verbs": verbs,
        })
    };
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": meta,
            "rules": [leases(&[], &["create"]), leases(&[LEASE], &["get", "patch", "watch"])],
        },
        {
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "leader-election"},
            "subjects": [{
                "kind": "ServiceAccount", "name": "opcancel-controller", "namespace": "opcancel-system",
            }],
        },
    ]})
}

/// Waits until a process leads.
pub fn wait_to_lead(process: &ControllerProcess) {
    process.wait_for_log(leads);
}

/// Whether a process says that it leads.
pub fn leads(log: &str) -> bool {
    log.contains("this process is the leader")
}

/// What a process serves at /metrics.
pub fn metrics(process: &ControllerProcess) -> Served {
    Served::read(&process.admin("/metrics").1)
}
