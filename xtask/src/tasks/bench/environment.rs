//! The processes of a benchmark: the control plane, the emulator instead of Google, and the controller as its ServiceAccount
//! with the rights of `deploy/`.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use xtask::control_plane::audit::{Request, Tail};
use xtask::control_plane::{ControlPlane, Options};
use xtask::loopback_http;

use super::load::{Load, NAMESPACE, NEIGHBOUR, TOKEN, UNWATCHED, operation};
use crate::tasks::cargo::Programs;
use crate::tasks::image_environment;
use crate::tasks::interrupt::Interrupt;
use crate::tasks::stand_ins::{self, CONTROLLER, EMULATOR, Emulator};

/// The size of the large answers, in bytes.
pub(super) const LARGE: usize = 50 * 1024 * 1024;

/// One tenant's objects make more calls than its limit would allow.
const UNLIMITED: &str = "--namespace-calls-per-minute=off";

/// More than the quiet tenant of `neighbours` makes, which creates 20 objects a second.
const LIMITED: &str = "--namespace-calls-per-minute=6000";

/// How long the controller may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// The running processes; dropping the value stops them.
pub(super) struct Environment {
    pub(super) runtime: Runtime,
    pub(super) load: Load,
    control_plane: ControlPlane,
    emulator: Emulator,
    controller: PathBuf,
    admin: Option<SocketAddr>,
    interrupt: Interrupt,
}

impl Environment {
    /// Starts everything except the controller.
    pub(super) fn start(programs: &Programs, interrupt: Interrupt) -> Result<Self> {
        let control_plane = interrupt.or(ControlPlane::start(Options::default()))?;
        prepare(&control_plane)?;
        let scenario = control_plane.folder().join("bench-scenario.json");
        fs::write(&scenario, self::scenario().to_string())?;
        // Without log lines for requests: they would take processor time that Google spends elsewhere.
        let quiet = [("RUST_LOG", OsStr::new("warn"))];
        let emulator = Emulator::start_with(&control_plane, programs, &scenario, &[], &quiet)?;
        let token = control_plane.service_account_token(NAMESPACE, "load")?;
        let authorities = fs::read(control_plane.ca_file())?;
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            load: Load::new(control_plane.server_url(), &authorities, &token)?,
            emulator,
            controller: programs.path(CONTROLLER)?.to_owned(),
            admin: None,
            control_plane,
            interrupt,
        })
    }

    /// Installs the kind that no controller watches.
    pub(super) fn install_unwatched_kind(&self) -> Result<()> {
        const CRD: &str = include_str!("../../../../crds/operationcancellations.yaml");
        let mut crd: Value = serde_saphyr::from_str(CRD)?;
        let names = json!({
            "kind": UNWATCHED.name,
            "plural": UNWATCHED.plural,
            "singular": UNWATCHED.name.to_lowercase(),
        });
        *crd.pointer_mut("/spec/names").context("names")? = names;
        let name = format!("{}.opcancel.github.io", UNWATCHED.plural);
        *crd.pointer_mut("/metadata/name").context("a name")? = name.into();
        self.control_plane.apply_text(&crd.to_string())?;
        self.control_plane.wait_for_crds()
    }

    /// Starts the controller with its own defaults and its image's environment, and waits until it is ready.
    pub(super) fn start_controller(&mut self) -> Result<()> {
        let endpoint = format!("--endpoint-override=dialogflow={}", self.emulator.url);
        self.start_controller_with(&[endpoint], &[], UNLIMITED)
    }

    /// The same, but operations in this location are at another URL.
    pub(super) fn start_controller_beside(&mut self, location: &str, url: &str) -> Result<()> {
        let endpoints = [
            format!("--endpoint-override=dialogflow={}", self.emulator.url),
            format!("--endpoint-override=dialogflow/{location}={url}"),
        ];
        self.start_controller_with(&endpoints, &[], UNLIMITED)
    }

    /// The same, but other locations than the benchmark's own use Google's hosts. With `hides_names`, their names do not resolve,
    /// since there is no name server. Each namespace has a limit of calls.
    pub(super) fn start_controller_without_names(&mut self, hides_names: bool) -> Result<()> {
        let endpoint = format!(
            "--endpoint-override=dialogflow/global+europe-west1={}",
            self.emulator.url
        );
        if !hides_names {
            return self.start_controller_with(&[endpoint], &[], LIMITED);
        }
        let no_names = self.control_plane.folder().join("resolv.conf");
        fs::write(
            &no_names,
            "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n",
        )?;
        let script = format!(
            "mount --bind '{}' /etc/resolv.conf && exec \"$@\"",
            no_names.display()
        );
        let before = [
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            &script,
            "sh",
        ];
        self.start_controller_with(&[endpoint], &before, LIMITED)
    }

    fn start_controller_with(
        &mut self,
        endpoints: &[String],
        before: &[&str],
        limit: &str,
    ) -> Result<()> {
        let flags = ["--leader-elect=false", limit].map(str::to_owned);
        self.admin = Some(self.start_process(CONTROLLER, endpoints, before, &flags)?);
        Ok(())
    }

    /// Starts one more controller, as the process of this name, with more flags; waits until it is ready. Its calls to Google have its
    /// name as the cluster's.
    pub(super) fn start_replica(&self, name: &str, flags: &[String]) -> Result<Replica> {
        let endpoint = format!("--endpoint-override=dialogflow={}", self.emulator.url);
        let own = [
            format!("--cluster-name={name}"),
            "--leader-elect-namespace=opcancel-system".to_owned(),
            UNLIMITED.to_owned(),
        ];
        let flags = [&own, flags].concat();
        Ok(Replica {
            name: name.to_owned(),
            admin: self.start_process(name, &[endpoint], &[], &flags)?,
        })
    }

    /// Sends a signal to one of them.
    pub(super) fn signal(&self, replica: &Replica, signal: &str) -> Result<()> {
        self.control_plane.signal(&replica.name, signal)
    }

    /// Waits until one of them has ended.
    pub(super) fn wait_for_end(&self, replica: &Replica) -> Result<()> {
        let until = Instant::now() + READY_LIMIT;
        while self.control_plane.exit_code(&replica.name).is_none() {
            self.interrupt.check()?;
            if Instant::now() > until {
                bail!("{} has not ended after {READY_LIMIT:?}", replica.name);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The end of the log of one of them.
    pub(super) fn replica_log(&self, replica: &Replica) -> String {
        self.control_plane
            .log_end(&replica.name)
            .unwrap_or_default()
    }

    fn start_process(
        &self,
        name: &str,
        endpoints: &[String],
        before: &[&str],
        more: &[String],
    ) -> Result<SocketAddr> {
        let kubeconfig = self
            .control_plane
            .service_account_kubeconfig("opcancel-system", CONTROLLER)?;
        let mut arguments = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            "--admin-address=127.0.0.1:0".to_owned(),
            "--log-format=json".to_owned(),
        ];
        arguments.extend_from_slice(more);
        let metadata = OsStr::new(&self.emulator.metadata_address);
        let image = image_environment::read()?;
        let image = image
            .iter()
            .map(|(name, value)| (name.as_str(), OsStr::new(value)));
        let mut variables = vec![
            ("GCE_METADATA_HOST", metadata),
            ("HOME", OsStr::new("/nonexistent")),
            ("HOSTNAME", OsStr::new(name)),
        ];
        variables.extend(image);
        let mut words: Vec<String> = before.iter().map(ToString::to_string).collect();
        words.push(self.controller.display().to_string());
        words.extend(arguments);
        words.extend_from_slice(endpoints);
        let program = PathBuf::from(words.remove(0));
        self.control_plane
            .run_process(name, &program, &words, &variables)?;
        let mut admin = None;
        self.control_plane.wait_for_process(name, READY_LIMIT, || {
            admin = admin.or_else(|| stand_ins::admin_of(&self.control_plane, name));
            admin.is_some_and(|admin| loopback_http::get(admin, "/readyz").is_ok())
        })?;
        admin.context("the log does not say where it serves")
    }

    /// Latency of the emulator's answers about operations of this name, in milliseconds.
    pub(super) fn latency(&self, name: &str) -> Result<f64> {
        let answer = self.load.answer_of_google(&self.emulator.url, name);
        self.runtime.block_on(answer)
    }

    /// The emulator's URL.
    pub(super) fn google(&self) -> &str {
        &self.emulator.url
    }

    /// The controller's current metrics.
    pub(super) fn metrics(&self) -> Result<Metrics> {
        let admin = self.admin.context("the controller does not run yet")?;
        Ok(Metrics(loopback_http::get(admin, "/metrics")?))
    }

    /// The processor time that each program has used so far.
    pub(super) fn processor(&self) -> Result<Processor> {
        let used =
            |name| Ok::<_, anyhow::Error>(self.control_plane.processor_time(name)?.as_secs_f64());
        Ok(Processor {
            api_server: used("kube-apiserver")?,
            etcd: used("etcd")?,
            emulator: used(EMULATOR)?,
            controller: used(CONTROLLER)?,
        })
    }

    /// Reads the metrics every quarter of a second until `met`, and returns them.
    pub(super) fn wait(&self, limit: Duration, met: impl Fn(&Metrics) -> bool) -> Result<Metrics> {
        let until = Instant::now() + limit;
        loop {
            let metrics = self.metrics()?;
            if met(&metrics) {
                return Ok(metrics);
            }
            self.interrupt.check()?;
            self.control_plane.check()?;
            self.control_plane.check_process(EMULATOR)?;
            self.control_plane.check_process(CONTROLLER)?;
            if Instant::now() > until {
                bail!("still not done after {limit:?}");
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// Waits until the controller knows `count` objects, including those that have ended since `ended`.
    pub(super) fn wait_for_neighbours(
        &self,
        count: usize,
        ended: f64,
        limit: Duration,
    ) -> Result<()> {
        self.wait(limit, |metrics| {
            metrics.sum("opcancel_pending{") + metrics.ended() - ended >= count as f64
        })
        .map(drop)
    }

    /// Deletes the neighbour's objects of both kinds, and waits until the controller knows none.
    pub(super) fn remove_neighbours(&self, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        for load in [&self.load, &self.load.of(UNWATCHED)] {
            while self.runtime.block_on(load.count(NEIGHBOUR))? > 0 {
                if Instant::now() > until {
                    bail!("the neighbour's objects are still there after {limit:?}");
                }
                self.runtime.block_on(load.delete_all(NEIGHBOUR))?;
            }
        }
        self.wait(limit, |metrics| metrics.sum("opcancel_pending{") == 0.0)
            .map(drop)
    }

    /// The position in the records from which [`Self::calls`] and [`Self::audit`] tell only what is new.
    pub(super) fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            audit: fs::metadata(self.control_plane.audit_log())?.len(),
            record: self
                .record(u64::MAX)?
                .get("next")
                .and_then(Value::as_u64)
                .unwrap_or(0),
        })
    }

    /// The emulator's record of calls since then.
    pub(super) fn calls(&self, mark: &Mark) -> Result<Vec<Value>> {
        let mut record = self.record(mark.record)?;
        let requests = record.get_mut("requests").map(Value::take);
        match requests {
            Some(Value::Array(requests)) => Ok(requests),
            _ => bail!("the emulator's record has no requests"),
        }
    }

    fn record(&self, since: u64) -> Result<Value> {
        let path = format!("/admin/requests?surface=operations&since={since}");
        Ok(serde_json::from_str(&loopback_http::get(
            self.emulator.admin()?,
            &path,
        )?)?)
    }

    /// The API server's audit log since then.
    pub(super) fn audit(&self, mark: &Mark) -> Result<Vec<Request>> {
        Tail::after(&self.control_plane.audit_log(), mark.audit)?.read()
    }

    /// The end of the controller's log.
    pub(super) fn controller_log(&self) -> String {
        self.control_plane.log_end(CONTROLLER).unwrap_or_default()
    }

    /// Ends all of it.
    pub(super) fn stop(self) -> Result<()> {
        self.control_plane.stop()
    }
}

/// One of several controllers.
pub(super) struct Replica {
    pub(super) name: String,
    admin: SocketAddr,
}

impl Replica {
    /// Whether it is the leader.
    pub(super) fn leads(&self) -> Result<bool> {
        let metrics = Metrics(loopback_http::get(self.admin, "/metrics")?);
        Ok(metrics.sum("opcancel_leader ") > 0.0)
    }
}

/// Processor time of the programs that run, in seconds.
pub(super) struct Processor {
    pub(super) api_server: f64,
    pub(super) etcd: f64,
    pub(super) emulator: f64,
    pub(super) controller: f64,
}

impl Processor {
    /// What was used since then.
    pub(super) fn since(&self, then: &Self) -> Self {
        Self {
            api_server: self.api_server - then.api_server,
            etcd: self.etcd - then.etcd,
            emulator: self.emulator - then.emulator,
            controller: self.controller - then.controller,
        }
    }
}

/// See [`Environment::mark`].
pub(super) struct Mark {
    audit: u64,
    record: u64,
}

/// The controller's metrics at one time.
pub(super) struct Metrics(String);

impl Metrics {
    /// The sum of all series whose line begins so.
    pub(super) fn sum(&self, start: &str) -> f64 {
        let lines = self.0.lines().filter(|line| line.starts_with(start));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }

    /// Outcomes recorded since its start.
    pub(super) fn ended(&self) -> f64 {
        self.sum("opcancel_cancellations_total{")
    }

    /// Resident memory in MiB.
    pub(super) fn resident(&self) -> f64 {
        self.sum("process_resident_memory_bytes ") / 1_048_576.0
    }
}

/// The CRDs, the controller's rights, the load's, and the grant.
fn prepare(control_plane: &ControlPlane) -> Result<()> {
    stand_ins::apply_rights(control_plane)?;
    let meta = |name: &str| json!({"name": name, "namespace": NAMESPACE});
    let rbac = "rbac.authorization.k8s.io";
    let kubernetes = format!("{rbac}/v1");
    let of = |kind: &str| json!({"apiGroup": rbac, "kind": kind, "name": "load"});
    let subjects = json!([{"kind": "ServiceAccount", "name": "load", "namespace": NAMESPACE}]);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NEIGHBOUR}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("load")},
        {
            "apiVersion": kubernetes, "kind": "Role", "metadata": meta("load"),
            "rules": [{"apiGroups": ["opcancel.github.io"], "verbs": ["get", "list", "watch", "create", "update", "patch"],
                "resources": ["operationcancellations", "operationcancellations/status"]}],
        },
        {
            "apiVersion": kubernetes, "kind": "RoleBinding", "metadata": meta("load"),
            "roleRef": of("Role"), "subjects": subjects,
        },
        {
            "apiVersion": kubernetes, "kind": "ClusterRole", "metadata": {"name": "load"},
            "rules": [{"apiGroups": ["opcancel.github.io"], "verbs": ["create", "patch"], "resources": ["cancellationgrants"]}],
        },
        {
            "apiVersion": kubernetes, "kind": "ClusterRoleBinding", "metadata": {"name": "load"},
            "roleRef": of("ClusterRole"), "subjects": subjects,
        },
        {
            "apiVersion": kubernetes, "kind": "Role", "metadata": {"name": "load", "namespace": NEIGHBOUR},
            "rules": [{"apiGroups": ["opcancel.github.io"], "verbs": ["list", "create", "patch", "delete", "deletecollection"],
                "resources": ["operationcancellations", "operationcancellations/status", UNWATCHED.plural, format!("{}/status", UNWATCHED.plural)]}],
        },
        {
            "apiVersion": kubernetes, "kind": "RoleBinding", "metadata": {"name": "load", "namespace": NEIGHBOUR},
            "roleRef": of("Role"), "subjects": subjects,
        },
        {
            "apiVersion": "opcancel.github.io/v1alpha1", "kind": "CancellationGrant", "metadata": {"name": NAMESPACE},
            "spec": {"namespaces": [NAMESPACE], "projects": [NAMESPACE], "services": ["dialogflow"], "identities": ["Operator"]},
        },
    ]});
    control_plane.apply_text(&list.to_string())?;
    Ok(())
}

/// What becomes of operations, by how their names begin.
fn scenario() -> Value {
    let theirs =
        |prefix: &str| format!("projects/{NEIGHBOUR}/locations/europe-west1/operations/{prefix}-*");
    let always = |answer: Value| json!({"faults": [{"answer": answer}]});
    let large = json!({"ends": {"result": {"completed": {"padding": LARGE}}}});
    let never = json!({"cancel": {"effect": "ignored"}});
    let stalled = json!({
        "ends": {"result": {"completed": {"padding": LARGE}}},
        "faults": [{"on": "get", "answer": {"drip": {"bytes": 65_536, "every": "500ms"}}}],
    });
    let wordy = json!({"raw": {"status": 500, "body": "It failed. ", "bodyBytes": 1_048_576}});
    json!({
        "identity": {"email": "opcancel@bench.iam.gserviceaccount.com", "projectId": "bench", "clusterName": "bench"},
        "tokens": [{"token": TOKEN, "principal": "load"}],
        "operations": {
            operation("fast-*"): {},
            operation("slow-*"): {"latency": "100ms"},
            // The first cancel request is not answered for longer than the controller waits for it.
            operation("hanging-*"): {"faults": [{"on": "cancel", "times": 1, "answer": {"hang": "60s"}}]},
            operation("never-*"): never,
            operation("large-*"): large,
            theirs("fast"): {},
            theirs("never"): never,
            theirs("large"): large,
            theirs("stalled"): stalled,
            theirs("wordy"): always(wordy),
            theirs("silent"): always(json!({"hang": "60s"})),
            theirs("throttled"): always(json!({"refuse": {"code": "RESOURCE_EXHAUSTED"}})),
        },
    })
}
