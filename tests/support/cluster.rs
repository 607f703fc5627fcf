//! The control plane that the tests share, prepared once: CRDs, the controller's RBAC, and its kubeconfig.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use xtask::control_plane::ControlPlane;

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Drives the emulators of all tests; the tests themselves are plain threads, because kubectl is a process.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    })
}

/// A control plane that has what `deploy/` has.
pub struct Cluster {
    /// The control plane.
    pub control_plane: &'static ControlPlane,
    /// The kubeconfig of the ServiceAccount that the controller runs as.
    pub controller_kubeconfig: PathBuf,
}

/// The cluster of this process, prepared by the first caller.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
    CLUSTER.get_or_init(prepare).as_ref().unwrap()
}

fn prepare() -> Result<Cluster, String> {
    let control_plane = ControlPlane::shared().map_err(|error| format!("{error:#}"))?;
    // Several test binaries may share one control plane, and begin at once.
    let lock = File::create(control_plane.folder().join("preparation.lock"))
        .map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    prepare_control_plane(control_plane);
    let path = control_plane
        .folder()
        .join("opcancel-system.opcancel-controller.kubeconfig");
    let controller_kubeconfig = if path.exists() {
        path
    } else {
        control_plane
            .service_account_kubeconfig("opcancel-system", "opcancel-controller")
            .map_err(|error| format!("{error:#}"))?
    };
    Ok(Cluster {
        control_plane,
        controller_kubeconfig,
    })
}

/// What the controller runs as, and may do: the base without its Deployment, because each test starts its own controllers.
pub fn rights() -> [PathBuf; 3] {
    ["namespace", "service-account", "controller-role"]
        .map(|name| root().join(format!("deploy/base/{name}.yaml")))
}

/// Applies the CRDs and the controller's rights.
fn prepare_control_plane(control_plane: &ControlPlane) {
    let mut files = vec![root().join("crds")];
    files.extend(rights());
    control_plane.apply_files(&files).unwrap();
    control_plane.wait_for_crds().unwrap();
}

/// A namespace of one test, and the rights of a tenant in it: a ServiceAccount that may edit cancellations there.
pub struct Namespace {
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// Creates one whose name begins with `prefix`.
    pub fn new(prefix: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{}-{number}", std::process::id());
        let meta = |what: &str| json!({"name": what, "namespace": name});
        let rbac = "rbac.authorization.k8s.io";
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("tenant")},
            {
                "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": meta("tenant"),
                "rules": [{"apiGroups": ["opcancel.github.io"], "resources": ["operationcancellations"], "verbs": ["*"]}],
            },
            {
                "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": meta("tenant"),
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "tenant"},
                "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": name}],
            },
        ]});
        kubectl_as_admin(&["create", "--filename=-"], &list.to_string()).unwrap();
        Self { name }
    }

    /// Runs kubectl as the tenant, in this namespace, with `input`. Gives its output, or what it complained about.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let begun = Instant::now();
        loop {
            let mut command = cluster().control_plane.kubectl_command();
            command.args([
                "--as",
                &format!("system:serviceaccount:{0}:tenant", self.name),
                "--namespace",
                &self.name,
            ]);
            let said = output_of(fed(command.args(arguments), input));
            let too_early = said.as_ref().is_err_and(|why| why.contains("orbidden"));
            // The API server's authorizer learns of a new binding a moment after its creation.
            if !too_early || begun.elapsed() > Duration::from_secs(5) {
                return said;
            }
        }
    }
}

/// Runs kubectl as the administrator, with `input`.
pub fn kubectl_as_admin(arguments: &[&str], input: &str) -> Result<String, String> {
    output_of(fed(
        cluster().control_plane.kubectl_command().args(arguments),
        input,
    ))
}

/// The configuration of a client of the API server, from a kubeconfig.
pub async fn client_config(kubeconfig: &Path) -> kube::Config {
    opcancel::google::tls::install_provider();
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    kube::Config::from_custom_kubeconfig(file, &options)
        .await
        .unwrap()
}

/// The kubectl that is built here, and the user's own if there is one: people have older ones.
pub fn kubectls() -> impl Iterator<Item = PathBuf> {
    let ours = cluster().control_plane.kubectl().to_owned();
    let theirs = ["/usr/bin/kubectl", "/usr/local/bin/kubectl"].map(PathBuf::from);
    std::iter::once(ours).chain(theirs.into_iter().filter(|path| path.exists()))
}

/// Runs one of them as the administrator, with `input`.
pub fn kubectl_of(program: &Path, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    command
        .env("KUBECONFIG", cluster().control_plane.kubeconfig())
        .args(arguments);
    output_of(fed(&mut command, input))
}

/// Reads what kubectl printed as JSON.
pub fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn fed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl can be run");
    // If it ends before it has read all, what it says is the better message.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn output_of(output: Output) -> Result<String, String> {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(stderr)
    }
}
