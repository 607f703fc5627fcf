//! What kustomize and Helm make of `deploy/`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;
use xtask::{control_plane::Binaries, deploy_files, go_tool::HELM};

use crate::support::{
    cluster::root,
    controller_process::{self},
};

/// All that can be applied with `kubectl apply -k`, below `deploy/`.
pub const KUSTOMIZATIONS: [&str; 5] = [
    "base",
    "overlays/gke",
    "overlays/gke-autopilot",
    "overlays/external-account",
    "overlays/namespaced",
];

/// The kubectl of the control plane's release.
pub fn kubectl() -> &'static Path {
    static KUBECTL: OnceLock<PathBuf> = OnceLock::new();
    KUBECTL.get_or_init(|| Binaries::get().unwrap().kubectl)
}

/// The objects of one rendering.
pub struct Rendered {
    /// As it was printed.
    pub text: String,
    /// One by one.
    pub objects: Vec<Value>,
}

impl Rendered {
    /// What `kubectl kustomize` makes of a folder of `deploy/`.
    pub fn kustomization(folder: &str) -> Self {
        Self::folder(&root().join("deploy").join(folder))
    }

    /// The same of any folder.
    pub fn folder(folder: &Path) -> Self {
        Self::of(deploy_files::kustomize(kubectl(), folder).unwrap())
    }

    /// What `helm template` makes of the chart, installed as a user would, with more arguments.
    pub fn chart(arguments: &[&str]) -> Self {
        Self::of(helm_template(arguments).unwrap())
    }

    /// The same for a release of another name.
    pub fn release(release: &str, arguments: &[&str]) -> Self {
        Self::of(template_release(release, arguments).unwrap())
    }

    fn of(text: String) -> Self {
        let objects = deploy_files::documents(&text).unwrap();
        assert!(!objects.is_empty());
        Self { text, objects }
    }

    /// The objects by what they are: `ClusterRole opcancel-view`, `Role contact-center/opcancel-controller`.
    pub fn by_name(&self) -> BTreeMap<String, Value> {
        let named: BTreeMap<_, _> = self
            .objects
            .iter()
            .map(|object| (name(object), object.clone()))
            .collect();
        assert_eq!(
            named.len(),
            self.objects.len(),
            "two objects with one name: {:?}",
            named.keys()
        );
        named
    }

    /// The objects of a kind.
    pub fn of_kind(&self, kind: &str) -> Vec<&Value> {
        let objects = self.objects.iter();
        objects.filter(|object| object["kind"] == kind).collect()
    }

    /// The Deployment.
    pub fn deployment(&self) -> &Value {
        let [deployment] = self.of_kind("Deployment")[..] else {
            panic!("not one Deployment");
        };
        deployment
    }

    /// The controller's container.
    pub fn container(&self) -> &Value {
        let containers = &self.deployment()["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers.as_array().map(Vec::len), Some(1));
        &containers[0]
    }

    /// The container's environment, as the kubelet makes it.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let namespace = &self.deployment()["metadata"]["namespace"];
        let variables = self.container()["env"].as_array().into_iter().flatten();
        variables
            .map(|variable| {
                let field = variable.pointer("/valueFrom/fieldRef/fieldPath");
                let value = match field.and_then(Value::as_str) {
                    None => &variable["value"],
                    Some("metadata.namespace") => namespace,
                    Some(other) => panic!("{other}"),
                };
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                (text(&variable["name"]), text(value))
            })
            .collect()
    }

    /// The container's arguments.
    pub fn arguments(&self) -> Vec<String> {
        let arguments = self.container()["args"].as_array().unwrap().iter();
        arguments
            .map(|argument| argument.as_str().unwrap().to_owned())
            .collect()
    }

    /// The program as the container runs it, but with its admin server on loopback.
    pub fn controller_command(&self) -> Command {
        let mut command = controller_process::command();
        for argument in self.arguments() {
            command.arg(match argument.split_once('=') {
                Some(("--admin-address", _)) => "--admin-address=127.0.0.1:0".to_owned(),
                _ => argument,
            });
        }
        // As installed: the tests' own default is no election.
        command.env_remove("OPCANCEL_LEADER_ELECT");
        command.envs(self.environment());
        command
    }

    /// Every right that the controller's roles give it: verb, group, resource with its subresource or the one name that it has; or
    /// verb, nothing, path.
    pub fn rights(&self) -> BTreeMap<(String, String, String), usize> {
        let mut rights = BTreeMap::new();
        let roles = self.objects.iter().filter(|object| {
            matches!(object["kind"].as_str(), Some("ClusterRole" | "Role"))
                && object["metadata"]["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("opcancel-controller"))
        });
        for rule in roles.flat_map(|role| role["rules"].as_array().unwrap()) {
            let texts = |key: &str| -> Vec<String> {
                let list = rule[key].as_array().into_iter().flatten();
                list.map(|text| text.as_str().unwrap().to_owned()).collect()
            };
            let name = match &texts("resourceNames")[..] {
                [] => String::new(),
                [name] => format!(" {name}"),
                names => panic!("{names:?}"),
            };
            for url in texts("nonResourceURLs") {
                for verb in texts("verbs") {
                    *rights
                        .entry((verb, String::new(), url.clone()))
                        .or_default() += 1;
                }
            }
            for group in texts("apiGroups") {
                for resource in texts("resources") {
                    for verb in texts("verbs") {
                        *rights
                            .entry((verb, group.clone(), format!("{resource}{name}")))
                            .or_default() += 1;
                    }
                }
            }
        }
        rights
    }
}

/// Kind, namespace and name of an object.
pub fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let metadata = &object["metadata"];
    let place = text(&metadata["namespace"]).map_or_else(String::new, |place| format!("{place}/"));
    format!(
        "{} {place}{}",
        text(&object["kind"]).unwrap(),
        text(&metadata["name"]).unwrap()
    )
}

/// Runs Helm in the repository's root, with nothing of the user's own settings.
pub fn helm(arguments: &[&str]) -> Result<String, String> {
    static HOME: OnceLock<tempfile::TempDir> = OnceLock::new();
    let home = HOME.get_or_init(|| tempfile::tempdir().unwrap()).path();
    let output = Command::new(HELM.get().unwrap())
        .args(arguments)
        .current_dir(root())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("{}{}", text(&output.stdout), text(&output.stderr)))
    }
}

/// `helm template` as a user installs the chart.
pub fn helm_template(arguments: &[&str]) -> Result<String, String> {
    template_release("opcancel", arguments)
}

fn template_release(release: &str, arguments: &[&str]) -> Result<String, String> {
    let install = [
        "template",
        release,
        "deploy/chart",
        "--namespace=opcancel-system",
        "--include-crds",
        "--set=image.repository=your-registry.invalid/opcancel-controller",
    ];
    helm(&[&install, arguments].concat())
}
