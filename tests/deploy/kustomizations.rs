//! A platform team's own kustomization over ours: what deploy/README.md shows, rendered.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use xtask::deploy_files;

use crate::{
    rendered::{KUSTOMIZATIONS, Rendered},
    support::cluster::root,
};

/// Where the README's examples say that this repository is.
const REMOTE: &str = "https://git.example.com/platform/opcancel//deploy/";
const RELEASE: &str = "?ref=v0.1.0";

/// A folder beside `deploy/`, because kustomize takes folders by relative path only.
struct Platform(tempfile::TempDir);

impl Platform {
    fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("platform-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        Self(folder)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let depth = name.split('/').count() - 1;
        let ours = "../".repeat(depth) + &relative(self.0.path(), &root().join("deploy"));
        let text = text
            .replace(REMOTE, &format!("{ours}/"))
            .replace(RELEASE, "");
        assert!(!text.contains("https://git."), "{text}");
        std::fs::write(path, text).unwrap();
    }

    fn rendered(&self) -> Rendered {
        Rendered::folder(self.0.path())
    }
}

/// The way from one folder to another.
fn relative(from: &Path, to: &Path) -> String {
    let (from, to) = (from.canonicalize().unwrap(), to.canonicalize().unwrap());
    let common = from
        .components()
        .zip(to.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = from.components().skip(common).map(|_| PathBuf::from(".."));
    let down = to
        .components()
        .skip(common)
        .map(|part| PathBuf::from(part.as_os_str()));
    up.chain(down).collect::<PathBuf>().display().to_string()
}

/// The README's example with this file name in its first line.
fn example(name: &str) -> String {
    block(&format!("# {name}\n"))
}

/// The README's YAML that begins with this line.
fn block(first: &str) -> String {
    let readme = std::fs::read_to_string(root().join("deploy/README.md")).unwrap();
    let (_, rest) = readme
        .split_once(&format!("```yaml\n{first}"))
        .unwrap_or_else(|| panic!("deploy/README.md has no example {first:?}"));
    format!("{first}{}", rest.split_once("```").unwrap().0)
}

#[test]
fn the_gke_example_renders_with_its_own_values() {
    let platform = Platform::new();
    platform.put("kustomization.yaml", &example("gke/kustomization.yaml"));
    let rendered = platform.rendered();
    assert_eq!(
        rendered.container()["image"],
        "registry.example.com/blue-tools/images/opcancel-controller:0.1.0"
    );
    let account = "stopper@blue-tools.iam.gserviceaccount.com";
    let environment = rendered.environment();
    assert_eq!(environment["OPCANCEL_EXPECT_PRINCIPAL"], account);
    assert_eq!(environment["OPCANCEL_CLUSTER_NAME"], "blue");
    assert_eq!(
        rendered.of_kind("ServiceAccount")[0]["metadata"]["annotations"],
        json!({"iam.gke.io/gcp-service-account": account})
    );
    assert!(
        !rendered.text.contains("acme-prod.iam"),
        "an example's account is left"
    );
}

/// Every name and namespace that an object has is one that another one refers to.
#[test]
fn another_namespace_and_a_prefix_are_followed_by_all_references() {
    let elsewhere = example("elsewhere/kustomization.yaml");
    for folder in [
        "base",
        "overlays/gke",
        "overlays/gke-autopilot",
        "overlays/external-account",
    ] {
        let platform = Platform::new();
        let text = elsewhere.replace("overlays/gke?", &format!("{folder}?"));
        platform.put("kustomization.yaml", &text);
        let rendered = platform.rendered();
        assert!(!rendered.text.contains("opcancel-system"), "{folder}");
        let pod = &rendered.deployment()["spec"]["template"]["spec"];
        let account = json!({"kind": "ServiceAccount", "name": pod["serviceAccountName"], "namespace": "tools"});
        assert_eq!(account["name"], "blue-opcancel-controller", "{folder}");
        for binding in rendered.of_kind("ClusterRoleBinding") {
            assert_eq!(binding["subjects"], json!([account]), "{folder}");
            assert_eq!(binding["roleRef"]["name"], binding["metadata"]["name"]);
        }
        for volume in pod["volumes"].as_array().into_iter().flatten() {
            if let Some(name) = volume.pointer("/configMap/name") {
                assert_eq!(name, &rendered.of_kind("ConfigMap")[0]["metadata"]["name"]);
            }
        }
        let names = rendered.by_name();
        for object in [
            "Namespace tools",
            "Deployment tools/blue-opcancel-controller",
            "Role tools/blue-opcancel-controller-leader-election",
            "PodDisruptionBudget tools/blue-opcancel-controller",
            "ServiceAccount tools/blue-opcancel-controller",
            "CustomResourceDefinition operationcancellations.opcancel.github.io",
        ] {
            assert!(names.contains_key(object), "{folder}: {object}");
        }
    }
}

/// The base with a prefix and a suffix.
pub fn with_other_names() -> Rendered {
    let platform = Platform::new();
    let text = format!(
        "resources: [{REMOTE}base{RELEASE}]\nnamePrefix: blue-\nnameSuffix: -east\nnamespace: tools\n"
    );
    platform.put("kustomization.yaml", &text);
    platform.rendered()
}

/// The Lease has the Deployment's name, and nobody else's.
pub fn assert_lease_is_named_for_the_deployment(rendered: &Rendered) {
    let name = &rendered.deployment()["metadata"]["name"];
    let namespace = &rendered.deployment()["metadata"]["namespace"];
    let environment = rendered.environment();
    assert_eq!(&environment["OPCANCEL_LEADER_ELECT_LEASE_NAME"], name);
    assert_eq!(&environment["OPCANCEL_LEADER_ELECT_NAMESPACE"], namespace);
    let roles = rendered.of_kind("Role");
    let named: Vec<_> = roles
        .iter()
        .flat_map(|role| role["rules"].as_array().unwrap())
        .filter_map(|rule| rule.get("resourceNames"))
        .collect();
    assert_eq!(named, [&json!([name])]);
    assert!(rendered.of_kind("Lease").is_empty(), "it is not applied");
}

#[test]
fn the_lease_is_named_for_the_deployment_whatever_is_added_to_its_name() {
    for folder in KUSTOMIZATIONS {
        assert_lease_is_named_for_the_deployment(&Rendered::kustomization(folder));
    }
    for (folder, added) in [
        ("base", "namePrefix: blue-"),
        ("base", "nameSuffix: -blue"),
        ("overlays/gke", "namePrefix: a-\nnameSuffix: -z"),
        ("overlays/namespaced/operator", "namePrefix: blue-"),
    ] {
        // A kustomization over a kustomization, and both add to the names.
        let platform = Platform::new();
        let inner = format!("resources: [{REMOTE}{folder}{RELEASE}]\n{added}\n");
        platform.put("inner/kustomization.yaml", &inner);
        let outer = "resources: [inner]\nnamePrefix: outer-\nnamespace: tools\n";
        platform.put("kustomization.yaml", outer);
        let rendered = platform.rendered();
        assert_lease_is_named_for_the_deployment(&rendered);
        let name = rendered.deployment()["metadata"]["name"].as_str().unwrap();
        assert!(name.starts_with("outer-") && name.len() > "outer-opcancel-controller".len());
        let [binding] = rendered.of_kind("RoleBinding")[..] else {
            panic!("{folder}: not one RoleBinding");
        };
        assert_eq!(binding["roleRef"]["name"], binding["metadata"]["name"]);
        assert_eq!(
            binding["subjects"],
            json!([{"kind": "ServiceAccount", "name": name, "namespace": "tools"}])
        );
    }
}

#[test]
fn a_watched_namespace_finds_the_operator_elsewhere() {
    let platform = Platform::new();
    let name = "elsewhere/chat/kustomization.yaml";
    platform.put("kustomization.yaml", &example(name));
    let rendered = platform.rendered();
    let names = rendered.by_name();
    let binding = &names["RoleBinding chat/opcancel-controller"];
    assert_eq!(
        binding["subjects"],
        json!([{"kind": "ServiceAccount", "name": "blue-opcancel-controller", "namespace": "tools"}])
    );
    assert!(names.contains_key("Role chat/opcancel-controller"));
}

#[test]
fn the_external_account_example_renders_with_its_own_values() {
    let platform = Platform::new();
    let name = "external-account/kustomization.yaml";
    platform.put("kustomization.yaml", &example(name));
    platform.put("credential-configuration.json", "{\"mine\": true}\n");
    let rendered = platform.rendered();
    let [map] = rendered.of_kind("ConfigMap")[..] else {
        panic!("not one ConfigMap");
    };
    assert_eq!(
        map["data"]["credential-configuration.json"],
        "{\"mine\": true}\n"
    );
    let pod = &rendered.deployment()["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().unwrap();
    let has = |pointer: &str, value: &Value| {
        volumes
            .iter()
            .any(|volume| volume.pointer(pointer) == Some(value))
    };
    assert!(has("/configMap/name", &map["metadata"]["name"]));
    let audience = "https://iam.googleapis.com/projects/98765/locations/global/workloadIdentityPools/opcancel-blue/providers/blue";
    assert!(has(
        "/projected/sources/0/serviceAccountToken/audience",
        &json!(audience)
    ));
    assert_eq!(
        rendered.environment()["OPCANCEL_EXPECT_PRINCIPAL"],
        "stopper@blue-tools.iam.gserviceaccount.com"
    );
    assert!(
        !rendered.text.contains("acme-prod.iam"),
        "an example's account is left"
    );
}

#[test]
fn the_proxy_example_renders_with_the_flag_the_file_and_the_port() {
    let platform = Platform::new();
    for name in ["kustomization.yaml", "network-policy.yaml"] {
        platform.put(name, &example(&format!("behind-a-proxy/{name}")));
    }
    let rendered = platform.rendered();
    let environment = rendered.environment();
    let url = environment["OPCANCEL_HTTPS_PROXY"].as_str();
    let file = environment["OPCANCEL_HTTPS_PROXY_CREDENTIALS_FILE"].as_str();
    let container = rendered.container();
    let mounts = container["volumeMounts"].as_array().unwrap();
    let mounted = mounts
        .iter()
        .find(|mount| mount["name"] == "https-proxy")
        .unwrap();
    assert_eq!(
        Path::new(file).parent(),
        mounted["mountPath"].as_str().map(Path::new)
    );
    let labels = &rendered.deployment()["spec"]["template"]["metadata"]["labels"];
    let names = rendered.by_name();
    let policy = &names["NetworkPolicy opcancel-system/opcancel-https-proxy"]["spec"];
    for (name, value) in policy["podSelector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&labels[name], value);
    }
    let port = &policy["egress"][0]["ports"][0]["port"];
    assert!(url.ends_with(&format!(":{port}")), "{url}");
}

#[test]
fn the_namespaced_example_gives_rights_in_its_own_namespaces_only() {
    let platform = Platform::new();
    platform.put(
        "kustomization.yaml",
        &example("namespaced/kustomization.yaml"),
    );
    for namespace in ["chat", "speech"] {
        let name = format!("{namespace}/kustomization.yaml");
        platform.put(&name, &example(&format!("namespaced/{name}")));
    }
    let rendered = platform.rendered();
    assert_eq!(
        rendered.environment()["OPCANCEL_WATCH_NAMESPACE"],
        "chat,speech"
    );
    for kind in ["Role", "RoleBinding"] {
        let places: Vec<_> = rendered
            .of_kind(kind)
            .iter()
            .filter(|object| object["metadata"]["name"] == "opcancel-controller")
            .map(|object| object["metadata"]["namespace"].clone())
            .collect();
        assert_eq!(places, ["chat", "speech"], "{kind}");
    }
    for binding in rendered.of_kind("RoleBinding") {
        assert_eq!(binding["subjects"][0]["namespace"], "opcancel-system");
    }
    let names = rendered.by_name();
    assert!(!names.contains_key("ClusterRole opcancel-controller"));
    assert!(!names.contains_key("ClusterRoleBinding opcancel-controller"));
    assert!(names.contains_key("ClusterRoleBinding opcancel-controller-grants"));
    assert!(
        !rendered
            .environment()
            .contains_key("OPCANCEL_EXPECT_PRINCIPAL")
    );

    // With the line that the README adds for GKE.
    let with_identity = example("namespaced/kustomization.yaml") + &block("components:\n");
    platform.put("kustomization.yaml", &with_identity);
    let environment = platform.rendered().environment();
    assert_eq!(environment["OPCANCEL_WATCH_NAMESPACE"], "chat,speech");
    assert!(environment.contains_key("OPCANCEL_EXPECT_PRINCIPAL"));
}

/// Users have an older kubectl too, whose kustomize is another one.
#[test]
fn an_older_kustomize_renders_the_same() {
    let kustomize = xtask::go_tool::OLD_KUSTOMIZE.get().unwrap();
    for folder in KUSTOMIZATIONS {
        let output = std::process::Command::new(&kustomize)
            .arg("build")
            .arg(root().join("deploy").join(folder))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{folder}: {said}"
        );
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            deploy_files::documents(&text).unwrap(),
            Rendered::kustomization(folder).objects,
            "{folder}"
        );
    }
}
