//! A real API server takes what is rendered, strictly, and a second time changes nothing.

use std::{
    collections::BTreeMap,
    ops::Deref,
    sync::{Condvar, Mutex, PoisonError},
};

use serde_json::{Value, json};
use xtask::{
    control_plane::{ControlPlane, Options},
    deploy_files::PLACEHOLDER_IMAGE,
};

use crate::{
    kustomizations,
    rendered::{KUSTOMIZATIONS, Rendered},
    support::cluster::root,
};

/// How many clusters of their own tests may have at once: each is three daemons.
const CLUSTERS: usize = 3;

static IN_USE: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// A cluster of one test. It ends with the test.
pub struct Cluster {
    control_plane: Option<ControlPlane>,
}

impl Deref for Cluster {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        self.control_plane.as_ref().unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.control_plane.take());
        *IN_USE.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        IN_USE.1.notify_one();
    }
}

/// Starts a cluster with nothing in it but the namespace that the namespaced overlay watches.
pub fn empty_cluster() -> Cluster {
    let in_use = IN_USE.0.lock().unwrap_or_else(PoisonError::into_inner);
    let in_use = IN_USE.1.wait_while(in_use, |in_use| *in_use >= CLUSTERS);
    *in_use.unwrap_or_else(PoisonError::into_inner) += 1;
    let mut cluster = Cluster {
        control_plane: None,
    };
    let control_plane = cluster
        .control_plane
        .insert(ControlPlane::start(Options::default()).unwrap());
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "contact-center"}});
    control_plane.apply_text(&namespace.to_string()).unwrap();
    cluster
}

/// Runs kubectl as the administrator with a file of this text. Gives what it printed, or what it complained or warned of.
pub fn kubectl(
    control_plane: &ControlPlane,
    arguments: &[&str],
    text: &str,
) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("objects");
    std::fs::write(&path, text).unwrap();
    let output = control_plane
        .kubectl_command()
        .args(arguments)
        .arg("--filename")
        .arg(&path)
        .output()
        .unwrap();
    if output.status.success() && output.stderr.is_empty() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Applies a rendering as the documentation says. Returns what kubectl said.
pub fn apply(control_plane: &ControlPlane, rendered: &Rendered) -> String {
    let arguments = [
        "apply",
        "--server-side",
        "--validate=strict",
        "--force-conflicts",
    ];
    kubectl(control_plane, &arguments, &rendered.text).unwrap()
}

/// Creates cancellations in the tenant's namespace.
pub fn declare(control_plane: &ControlPlane, manifests: &[String]) {
    let placed = manifests
        .concat()
        .replace("metadata:\n", "metadata:\n  namespace: contact-center\n");
    control_plane.apply_text(&placed).unwrap();
}

/// Waits for a cancellation in the tenant's namespace.
pub fn wait(control_plane: &ControlPlane, name: &str, for_: &str) {
    let arguments = [
        "wait",
        "opcancel",
        name,
        "--namespace=contact-center",
        "--timeout=60s",
        "--for",
        for_,
    ];
    control_plane.run_kubectl(&arguments).unwrap();
}

/// Allows the tenant what the emulator has.
pub fn grant(control_plane: &ControlPlane) {
    let grant = json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "CancellationGrant",
        "metadata": {"name": "contact-center"},
        "spec": {"namespaces": ["contact-center"], "projects": ["acme-prod"], "services": ["dialogflow"], "identities": ["Operator"]},
    });
    control_plane.apply_text(&grant.to_string()).unwrap();
}

/// The versions of the rendered objects, as they are stored.
fn versions(control_plane: &ControlPlane, rendered: &Rendered) -> BTreeMap<String, String> {
    let objects = rendered.objects.iter().map(|object| {
        let metadata = &object["metadata"];
        let mut identity = json!({
            "apiVersion": object["apiVersion"], "kind": object["kind"],
            "metadata": {"name": metadata["name"]},
        });
        if metadata.get("namespace").is_some() {
            identity["metadata"]["namespace"] = metadata["namespace"].clone();
        }
        identity
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>()});
    let text = kubectl(control_plane, &["get", "--output=json"], &list.to_string()).unwrap();
    let stored: Value = serde_json::from_str(&text).unwrap();
    let stored = stored["items"].as_array().unwrap().iter();
    stored
        // The API server itself writes a CRD's status, and controllers that of a role or a namespace.
        .map(|object| {
            let version = object["metadata"].get("generation");
            let version = version.unwrap_or(&object["metadata"]["resourceVersion"]);
            (crate::rendered::name(object), version.to_string())
        })
        .collect()
}

#[test]
fn everything_that_is_rendered_is_taken_and_a_second_time_changes_nothing() {
    let control_plane = empty_cluster();
    let mut renderings: Vec<_> = KUSTOMIZATIONS
        .map(|folder| (folder, Rendered::kustomization(folder)))
        .into();
    renderings.push(("chart", Rendered::chart(&[])));
    for (what, rendered) in renderings {
        let said = apply(&control_plane, &rendered);
        assert_eq!(said.lines().count(), rendered.objects.len(), "{said}");
        let before = versions(&control_plane, &rendered);
        assert_eq!(before.len(), rendered.objects.len(), "{what}");
        apply(&control_plane, &rendered);
        assert_eq!(versions(&control_plane, &rendered), before, "{what}");
    }
}

/// Two releases in one namespace, and the base with other names.
#[test]
fn the_lease_of_an_installation_can_be_written_by_its_own_pods_only() {
    let control_plane = empty_cluster();
    let renderings = [
        Rendered::release("blue", &[]),
        Rendered::release("green", &["--set=watchNamespaces={contact-center}"]),
        kustomizations::with_other_names(),
    ];
    let system = "apiVersion: v1\nkind: Namespace\nmetadata: {name: opcancel-system}\n";
    control_plane.apply_text(system).unwrap();
    for rendered in &renderings {
        apply(&control_plane, rendered);
    }
    let of = |rendered: &Rendered| {
        let deployment = rendered.deployment();
        let account = &deployment["spec"]["template"]["spec"]["serviceAccountName"];
        let namespace = &deployment["metadata"]["namespace"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(namespace),
            text(account),
            rendered.environment()["OPCANCEL_LEADER_ELECT_LEASE_NAME"].clone(),
        )
    };
    let may = |(namespace, account, _): &(String, String, String), verb: &str, what: &str| {
        let output = control_plane
            .kubectl_command()
            .args(["auth", "can-i", verb, what, "--namespace", namespace])
            .arg(format!("--as=system:serviceaccount:{namespace}:{account}"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim() == "yes"
    };
    let leases = "leases.coordination.k8s.io";
    for own in renderings.iter().map(of) {
        assert!(may(&own, "create", leases), "{own:?}");
        for other in renderings.iter().map(of) {
            let lease = format!("{leases}/{}", other.2);
            for verb in ["get", "patch", "watch"] {
                assert_eq!(may(&own, verb, &lease), own == other, "{verb} {lease}");
            }
            assert!(!may(&own, "delete", &lease), "{own:?}");
        }
        assert!(!may(&own, "list", leases), "{own:?}");
    }
}

/// What was applied by a release with fewer fields, and with client-side apply, is no obstacle.
#[test]
fn an_older_installation_is_upgraded_by_applying_the_newer_one() {
    let control_plane = empty_cluster();
    let newer = Rendered::kustomization("base");
    let crd = "operationcancellations.opcancel.github.io";
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties";
    let mut older = newer.objects.clone();
    for object in &mut older {
        object["metadata"]["labels"]["app.kubernetes.io/version"] = json!("0.0.9");
        match object["kind"].as_str().unwrap() {
            "CustomResourceDefinition" if object["metadata"]["name"] == crd => {
                let fields = object.pointer_mut(schema).unwrap();
                assert!(
                    fields
                        .as_object_mut()
                        .unwrap()
                        .remove("lastError")
                        .is_some()
                );
            }
            "Deployment" => {
                let container = &mut object["spec"]["template"]["spec"]["containers"][0];
                container["image"] = json!(format!("{PLACEHOLDER_IMAGE}:0.0.9"));
                container["args"] = json!(["--log-format=text"]);
            }
            "ClusterRole" if object["metadata"]["name"] == "opcancel-controller" => {
                object["rules"][0]["verbs"] = json!(["get", "list", "watch", "update"]);
            }
            _ => {}
        }
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": older});
    control_plane.apply_text(&list.to_string()).unwrap();
    control_plane
        .run_kubectl(&[
            "wait",
            "--for=condition=Established",
            "--timeout=30s",
            "crd",
            crd,
        ])
        .unwrap();
    let example = root().join("examples/cancelled-at-once.yaml");
    control_plane.apply_files(&[example]).unwrap();

    apply(&control_plane, &newer);
    let get = |arguments: &[&str]| -> Value {
        let text = control_plane
            .run_kubectl(&[&["get", "--output=json"], arguments].concat())
            .unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let stored = get(&["crd", crd]);
    assert!(stored.pointer(&format!("{schema}/lastError")).is_some());
    let system = "--namespace=opcancel-system";
    let deployment = get(&["deployment", "opcancel-controller", system]);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        (&container["image"], &container["args"]),
        (&newer.container()["image"], &newer.container()["args"])
    );
    let role = get(&["clusterrole", "opcancel-controller"]);
    assert_eq!(
        role["rules"][0]["verbs"],
        json!(["get", "list", "watch"]),
        "a right that is not needed any more is gone"
    );
    let objects = get(&["opcancel", "--namespace=contact-center"]);
    assert_eq!(
        objects["items"].as_array().map(Vec::len),
        Some(1),
        "nobody's object is touched"
    );
}
