//! A test's own world on the shared API server: a namespace, an emulator, and a controller process.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use operations_emulator::{Call, Config, Emulator, RequestRecord, Scenario, Script};
use serde_json::{Value, json};
use xtask::control_plane::audit;

use super::{
    cluster::{Namespace, cluster, json_of, kubectl_as_admin, runtime},
    controller_process::{self, ControllerProcess},
    object::Object,
};

/// The project that tests use unless they say otherwise.
pub const PROJECT: &str = "acme-prod";

/// The longest that anything is waited for that should come by itself.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// The full name of the operation whose last segment is `id`.
pub fn operation(id: &str) -> String {
    format!("projects/{PROJECT}/locations/europe-west1/operations/{id}")
}

/// The manifest of a cancellation of [`operation`]`(name)`, with more lines of the spec, such as `suspend: true`.
pub fn manifest(name: &str, spec: &[&str]) -> String {
    of_operation(name, &operation(name), spec)
}

/// The manifest of a cancellation of any operation.
pub fn of_operation(name: &str, operation: &str, spec: &[&str]) -> String {
    let more: String = spec.iter().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: opcancel.github.io/v1alpha1\nkind: OperationCancellation\nmetadata:\n  name: {name}\nspec:\n  service: dialogflow\n  operationName: {operation}\n{more}---\n"
    )
}

/// A scenario with these operations, by their ids ([`operation`]).
pub fn scenario<'a>(operations: impl IntoIterator<Item = (&'a str, Script)>) -> Scenario {
    operations
        .into_iter()
        .fold(Scenario::default(), |scenario, (id, script)| {
            scenario.with_operation(operation(id), script)
        })
}

/// Waits until a call about [`operation`]`(id)` has arrived, whether it was answered or not.
pub fn wait_for_call(emulator: &Emulator, id: &str, call: Call) {
    let name = operation(id);
    let arrived = |requests: &[RequestRecord]| {
        requests.iter().any(|request| {
            request.call == Some(call) && request.operation.as_deref() == Some(&name)
        })
    };
    runtime()
        .block_on(emulator.wait_for(arrived, PATIENCE))
        .unwrap();
}

/// See the module.
pub struct World {
    /// The test's namespace, and the tenant in it.
    pub namespace: Namespace,
    /// The stand-in for Google.
    pub emulator: Emulator,
    /// The controller, unless it was stopped.
    pub controller: Option<ControllerProcess>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    kubeconfig: PathBuf,
    /// The services whose calls go to the emulator by an override.
    overridden: Vec<String>,
}

impl World {
    /// A world with these operations, by their ids ([`operation`]), all granted.
    pub fn new(prefix: &str, operations: impl IntoIterator<Item = (&'static str, Script)>) -> Self {
        let world = Self::without_grant(prefix, operations);
        world.grant();
        world
    }

    /// The same without a grant.
    pub fn without_grant(
        prefix: &str,
        operations: impl IntoIterator<Item = (&'static str, Script)>,
    ) -> Self {
        let mut world = Self::stopped(prefix, scenario(operations), &[], &[]);
        world.start();
        world
    }

    /// A world whose controller does not run yet, with more flags and variables for it.
    pub fn stopped(
        prefix: &str,
        scenario: impl Into<Config>,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let namespace = Namespace::new(prefix);
        let emulator = runtime().block_on(Emulator::start(scenario)).unwrap();
        Self {
            namespace,
            emulator,
            controller: None,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            variables: variables
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            overridden: vec!["dialogflow".to_owned()],
            kubeconfig: cluster().controller_kubeconfig.clone(),
        }
    }

    /// Runs the controller with this kubeconfig, and no longer as the ServiceAccount of `deploy/`.
    pub fn use_kubeconfig(&mut self, path: &Path) {
        path.clone_into(&mut self.kubeconfig);
    }

    /// Sets a flag of the controller, before it is started.
    pub fn set_argument(&mut self, flag: &str, value: &str) {
        let flag = format!("{flag}=");
        self.arguments.retain(|given| !given.starts_with(&flag));
        self.arguments.push(flag + value);
    }

    /// Another stand-in for Google, before the controller is started: for scenarios that depend on the name of the namespace.
    pub fn replace_emulator(&mut self, scenario: impl Into<Config>) {
        self.emulator = runtime().block_on(Emulator::start(scenario)).unwrap();
    }

    /// Sends the calls of these services to the emulator too.
    pub fn override_endpoints(&mut self, services: &[&str]) {
        let services = services.iter().map(ToString::to_string);
        self.overridden.extend(services);
    }

    /// Sends calls to Google's own names, through this proxy, and no longer to the emulator by an override.
    pub fn use_proxy(&mut self, url: &str) {
        self.overridden.clear();
        self.arguments.push(format!("--https-proxy={url}"));
    }

    /// The command that runs this world's controller.
    pub fn controller_command(&self) -> Command {
        let mut command = controller_process::command();
        // Unless the test says otherwise. On a busy machine the first look may take longer than a quarter of a second; what is
        // counted must not depend on it.
        for (flag, value) in [
            ("--observe-budget", "5s"),
            ("--not-found-after", "3s"),
            ("--max-poll", "900ms"),
            // Polls as frequent as these would use up the default.
            ("--namespace-calls-per-minute", "off"),
        ] {
            if !self.arguments.iter().any(|given| given.starts_with(flag)) {
                command.arg(format!("{flag}={value}"));
            }
        }
        // Before the test's own arguments, whose override counts instead.
        let url = self.emulator.url();
        for service in &self.overridden {
            command.arg(format!("--endpoint-override={service}={url}"));
        }
        command
            .args([
                "--watch-namespace",
                &self.namespace.name,
                "--admin-address=127.0.0.1:0",
            ])
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(&self.arguments)
            .env("GCE_METADATA_HOST", self.emulator.metadata_address())
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the controller and waits until it is ready.
    pub fn start(&mut self) {
        let mut controller = ControllerProcess::spawn(self.controller_command());
        controller.wait_until_ready();
        self.controller = Some(controller);
    }

    /// The running controller.
    pub fn controller(&mut self) -> &mut ControllerProcess {
        self.controller.as_mut().unwrap()
    }

    /// Grants this namespace the operator's rights in [`PROJECT`].
    pub fn grant(&self) {
        self.grant_spec(
            &self.namespace.name,
            &json!({"projects": [PROJECT], "identities": ["Operator"]}),
        );
    }

    /// Applies a grant to this namespace and for Dialogflow, unless `spec` names or selects others.
    pub fn grant_spec(&self, name: &str, spec: &Value) {
        let mut spec = spec.clone();
        let namespaces = json!([self.namespace.name]);
        let fields = spec.as_object_mut().unwrap();
        if !fields.contains_key("namespaceSelector") {
            fields.entry("namespaces").or_insert(namespaces);
        }
        fields.entry("services").or_insert(json!(["dialogflow"]));
        let grant = json!({
            "apiVersion": "opcancel.github.io/v1alpha1", "kind": "CancellationGrant",
            "metadata": {"name": name}, "spec": spec,
        });
        kubectl_as_admin(&["apply", "--filename=-"], &grant.to_string()).unwrap();
    }

    /// Returns after about `time`, measured by an operation of its own that the controller polls meanwhile: whatever else it
    /// would do in that time, it has done.
    pub fn let_time_pass(&self, time: Duration) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("clock-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let clock = format!("projects/clock-prod/operations/{name}");
        self.grant_spec(
            &format!("{}-clock", self.namespace.name),
            &json!({"projects": ["clock-prod"], "identities": ["Operator"]}),
        );
        self.emulator
            .set_operation(&clock, Script::cancelled_after(time))
            .unwrap();
        self.apply(&of_operation(&name, &clock, &[])).unwrap();
        self.wait(&[&name], "condition=Finished");
        self.namespace
            .kubectl(&["delete", "opcancel", &name], "")
            .unwrap();
    }

    /// Sets a label of the namespace, such as `team=a`, or removes it: `team-`.
    pub fn label_namespace(&self, label: &str) {
        let name = &self.namespace.name;
        kubectl_as_admin(&["label", "--overwrite", "namespace", name, label], "").unwrap();
    }

    /// Deletes the grant of this name.
    pub fn revoke(&self, name: &str) {
        kubectl_as_admin(&["delete", "cancellationgrant", name], "").unwrap();
    }

    /// Applies manifests as the tenant.
    pub fn apply(&self, manifests: &str) -> Result<String, String> {
        self.namespace
            .kubectl(&["apply", "--filename=-"], manifests)
    }

    /// Declares the cancellation of several operations at once, each under its own name.
    pub fn cancel_all<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let manifests: String = names.into_iter().map(|name| manifest(name, &[])).collect();
        self.apply(&manifests).unwrap();
    }

    /// Applies a cancellation of [`operation`]`(name)` as the tenant.
    pub fn cancel(&self, name: &str, spec: &[&str]) {
        self.apply(&manifest(name, spec)).unwrap();
    }

    /// Merges a patch into an object, as the tenant.
    pub fn patch(&self, name: &str, patch: &Value) -> Result<String, String> {
        self.namespace.kubectl(
            &[
                "patch",
                "opcancel",
                name,
                "--type=merge",
                "--patch",
                &patch.to_string(),
            ],
            "",
        )
    }

    /// `kubectl wait --for=FOR` for objects, or `--all`; fails the test with what they look like if it does not come.
    pub fn wait(&self, names: &[&str], for_: &str) {
        self.wait_within(Duration::from_secs(60), names, for_);
    }

    /// The same for at most this long.
    pub fn wait_within(&self, limit: Duration, names: &[&str], for_: &str) {
        let timeout = format!("--timeout={}s", limit.as_secs());
        let mut arguments = vec!["wait", "opcancel", "--for", for_, &timeout];
        arguments.extend(names);
        if let Err(why) = self.namespace.kubectl(&arguments, "") {
            let seen = self
                .namespace
                .kubectl(&["get", "opcancel", "--output=yaml"], "")
                .unwrap_or_default();
            panic!("{names:?} never {for_}: {why}\n{seen}");
        }
    }

    /// Waits until an object has its outcome, and returns it.
    pub fn finished(&self, name: &str) -> Object {
        self.wait(&[name], "condition=Finished");
        self.object(name)
    }

    /// Waits until every object has its outcome, and returns them all.
    pub fn all_finished(&self) -> BTreeMap<String, Object> {
        self.wait(&["--all"], "condition=Finished");
        self.objects()
    }

    /// An object.
    pub fn object(&self, name: &str) -> Object {
        Object(json_of(
            &self
                .namespace
                .kubectl(&["get", "opcancel", name, "--output=json"], "")
                .unwrap(),
        ))
    }

    /// All objects by name.
    pub fn objects(&self) -> BTreeMap<String, Object> {
        let list = json_of(
            &self
                .namespace
                .kubectl(&["get", "opcancel", "--output=json"], "")
                .unwrap(),
        );
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| {
                (
                    item["metadata"]["name"].as_str().unwrap().to_owned(),
                    Object(item.clone()),
                )
            })
            .collect()
    }

    /// The calls about [`operation`]`(id)`, in the order of their arrival.
    pub fn calls(&self, id: &str) -> Vec<Call> {
        self.requests(id)
            .iter()
            .filter_map(|request| request.call)
            .collect()
    }

    /// The same with all that is known of each.
    pub fn requests(&self, id: &str) -> Vec<RequestRecord> {
        let mut requests = self.emulator.requests_for(&operation(id));
        requests.retain(|request| request.call.is_some());
        requests
    }

    /// How often [`operation`]`(id)` was asked to be cancelled.
    pub fn posts(&self, id: &str) -> usize {
        self.emulator.count(&operation(id), Call::Cancel)
    }

    /// Waits until so many calls of this kind about [`operation`]`(id)` have arrived and were answered.
    pub fn wait_for_calls(&self, id: &str, call: Call, count: usize) {
        let name = operation(id);
        let met = |requests: &[RequestRecord]| {
            let answered = requests.iter().filter(|request| {
                request.call == Some(call)
                    && request.operation.as_deref() == Some(&name)
                    && request.answer != operations_emulator::Answer::Pending
            });
            answered.count() >= count
        };
        runtime()
            .block_on(self.emulator.wait_for(met, PATIENCE))
            .unwrap_or_else(|error| panic!("{id}: {count} {call:?}: {error}"));
    }

    /// The controller's writes to the object's status, oldest first, as the audit log has them by the time that it has the
    /// version that the object has now.
    pub fn status_writes(&self, name: &str) -> Vec<audit::Request> {
        self.status_writes_of(&[name.to_owned()])
            .remove(name)
            .unwrap_or_default()
    }

    /// The same for several objects at once.
    pub fn status_writes_of(&self, names: &[String]) -> BTreeMap<String, Vec<audit::Request>> {
        let objects = self.objects();
        let begun = Instant::now();
        loop {
            let mut requests = audit::requests(&cluster().control_plane.audit_log()).unwrap();
            requests.retain(|request| {
                request.resource == "operationcancellations"
                    && request.namespace == self.namespace.name
                    && request.is_write()
            });
            // A watch may show a write before the log has it.
            let missing = names.iter().find(|name| {
                let version = objects[*name].text("/metadata/resourceVersion");
                !requests.iter().any(|request| {
                    let answer = request.answer.as_ref();
                    answer
                        .and_then(|answer| answer.pointer("/metadata/resourceVersion"))
                        .is_some_and(|v| *v == version)
                })
            });
            if let Some(name) = missing {
                assert!(
                    begun.elapsed() < Duration::from_secs(10),
                    "the audit log has no write of {name} as it is now"
                );
                // A file announces nothing.
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            requests.retain(|request| {
                request.subresource == "status"
                    && request.is_from("opcancel-system", "opcancel-controller")
            });
            let mut by_name = BTreeMap::<String, Vec<_>>::new();
            for request in requests {
                by_name
                    .entry(request.name.clone())
                    .or_default()
                    .push(request);
            }
            return by_name;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- calls:");
            let requests = self.emulator.requests();
            for request in requests.iter().rev().take(80).rev() {
                eprintln!(
                    "{:?} {} {} {:?}",
                    request.since_start, request.method, request.path, request.answer
                );
            }
        }
    }
}
