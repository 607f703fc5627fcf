//! Pod Security, as the namespace enforces it: our Pod is admitted, a weaker one is not.

use serde_json::{Value, json};
use xtask::control_plane::ControlPlane;

use crate::{
    applied::{apply, empty_cluster, kubectl},
    rendered::{KUSTOMIZATIONS, Rendered},
};

#[test]
fn the_pod_is_admitted_and_a_weaker_one_refused() {
    let control_plane = empty_cluster();
    let mut base = None;
    for folder in KUSTOMIZATIONS {
        let rendered = Rendered::kustomization(folder);
        apply(&control_plane, &rendered);
        let pod = create(&control_plane, &pod_of(&rendered)).unwrap();
        assert_eq!(pod["metadata"]["namespace"], "opcancel-system", "{folder}");
        let mounts = pod["spec"]["containers"][0]["volumeMounts"].to_string();
        assert!(
            mounts.contains("/var/run/secrets/kubernetes.io/serviceaccount"),
            "it gets the token of its ServiceAccount: {mounts}"
        );
        base.get_or_insert(rendered);
    }
    let base = pod_of(&base.unwrap());
    let container = "/spec/containers/0/securityContext";
    for (pointer, value) in [
        ("/spec/hostNetwork", json!(true)),
        (
            "/spec/securityContext/seccompProfile/type",
            json!("Unconfined"),
        ),
        ("/spec/securityContext/runAsNonRoot", json!(false)),
        ("/spec/securityContext/runAsUser", json!(0)),
        (
            &format!("{container}/allowPrivilegeEscalation"),
            json!(true),
        ),
        (&format!("{container}/capabilities/drop"), json!([])),
    ] {
        let mut weaker = base.clone();
        *weaker.pointer_mut(pointer).unwrap() = value;
        let refused = create(&control_plane, &weaker).unwrap_err();
        assert!(
            refused.contains("violates PodSecurity \"restricted:latest\""),
            "{pointer}: {refused}"
        );
    }
}

/// The Pod that the Deployment's ReplicaSet would make.
fn pod_of(rendered: &Rendered) -> Value {
    let deployment = rendered.deployment();
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["generateName"] = json!("opcancel-controller-");
    pod["metadata"]["namespace"] = deployment["metadata"]["namespace"].clone();
    pod
}

/// Creates a Pod without keeping it: all of admission runs.
fn create(control_plane: &ControlPlane, pod: &Value) -> Result<Value, String> {
    let arguments = ["create", "--dry-run=server", "--output=json"];
    let text = kubectl(control_plane, &arguments, &pod.to_string())?;
    Ok(serde_json::from_str(&text).unwrap())
}
