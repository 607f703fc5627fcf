//! Pod Security, as the namespace enforces it: our Pod is admitted, a weaker one is not. And what other clusters check: OpenShift's
//! ranges of users, a label on every object, limits of CPU time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::control_plane::ControlPlane;

use crate::{
    applied::{apply, empty_cluster, kubectl},
    rendered::{KUSTOMIZATIONS, Rendered},
    support::world::PATIENCE,
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

/// Creates an object without keeping it: all of admission runs.
fn create(control_plane: &ControlPlane, object: &Value) -> Result<Value, String> {
    let mut object = object.clone();
    // It may be there already.
    object["metadata"]["name"] = match object["metadata"]["name"].as_str() {
        Some(name) => json!(format!("tried-{name}")),
        None => Value::Null,
    };
    let arguments = ["create", "--dry-run=server", "--output=json"];
    let text = kubectl(control_plane, &arguments, &object.to_string())?;
    Ok(serde_json::from_str(&text).unwrap())
}

/// What OpenShift's security context constraint restricted-v2 checks, for a namespace with this range of users.
const OPENSHIFT: &str = "
  - expression: >-
      !has(object.spec.securityContext) || (
      (!has(object.spec.securityContext.runAsUser) || object.spec.securityContext.runAsUser >= 1000680000) &&
      (!has(object.spec.securityContext.runAsGroup) || object.spec.securityContext.runAsGroup >= 1000680000) &&
      (!has(object.spec.securityContext.fsGroup) || object.spec.securityContext.fsGroup >= 1000680000))
    message: the user or a group is not in the range of the namespace
  - expression: >-
      object.spec.containers.all(one, has(one.securityContext) && has(one.securityContext.capabilities) &&
      'ALL' in one.securityContext.capabilities.drop && !one.securityContext.allowPrivilegeEscalation &&
      !has(one.securityContext.runAsUser))
    message: a container has too many rights";

#[test]
fn openshift_admits_the_pod_with_its_values() {
    let control_plane = cluster_with_policy("pods", OPENSHIFT);
    let usual = pod_of(&Rendered::chart(&[]));
    wait_until_refused(&control_plane, &usual, "not in the range");
    let values = "--values=deploy/chart/ci/openshift-values.yaml";
    let pod = pod_of(&Rendered::chart(&[values]));
    create(&control_plane, &pod).unwrap();
}

#[test]
fn a_label_that_a_policy_wants_is_on_every_object() {
    let policy = "
  - expression: has(object.metadata.labels) && has(object.metadata.labels.team)
    message: the label team is missing";
    let control_plane = cluster_with_policy("*", policy);
    let unlabelled = Rendered::chart(&[]);
    wait_until_refused(&control_plane, &pod_of(&unlabelled), "team is missing");
    let everything = [
        "--set=commonLabels.team=blue",
        "--set=watchNamespaces={default}",
        "--set=grafanaDashboard.enabled=true",
        "--values=deploy/chart/ci/external-account-values.yaml",
        "--set-file=externalAccount.credentialConfiguration=deploy/components/external-account/credential-configuration.json",
    ];
    let mut objects = Rendered::chart(&everything).objects;
    // Helm applies these as they are.
    objects.retain(|object| object["kind"] != "CustomResourceDefinition");
    assert!(objects.len() >= 13, "{}", objects.len());
    for object in &objects {
        create(&control_plane, object).unwrap();
    }
    create(&control_plane, &pod_of(&Rendered::chart(&everything))).unwrap();
}

#[test]
fn a_policy_against_cpu_limits_admits_the_pod() {
    let policy = "
  - expression: object.spec.containers.all(one, !has(one.resources.limits) || !('cpu' in one.resources.limits))
    message: CPU limits are forbidden";
    let control_plane = cluster_with_policy("pods", policy);
    let pod = pod_of(&Rendered::kustomization("base"));
    wait_until_refused(&control_plane, &with_cpu_limit(pod.clone()), "forbidden");
    create(&control_plane, &pod).unwrap();
}

#[test]
fn a_limit_range_of_one_cpu_admits_the_pod() {
    let control_plane = empty_cluster();
    apply(&control_plane, &Rendered::kustomization("base"));
    let range = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small", "namespace": "opcancel-system"},
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]},
    });
    let make = ["create", "--filename=-"];
    kubectl(&control_plane, &make, &range.to_string()).unwrap();
    let pod = pod_of(&Rendered::kustomization("base"));
    wait_until_refused(
        &control_plane,
        &with_cpu_limit(pod.clone()),
        "maximum cpu usage per Container is 1",
    );
    create(&control_plane, &pod).unwrap();
}

fn with_cpu_limit(mut pod: Value) -> Value {
    pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] = json!("2");
    pod
}

/// A cluster with our namespace and ServiceAccount, and with a policy for these resources.
fn cluster_with_policy(resources: &str, validations: &str) -> crate::applied::Cluster {
    let control_plane = empty_cluster();
    apply(&control_plane, &Rendered::kustomization("base"));
    let policy = format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: tried}}\nspec:\n  \
         matchConstraints:\n    resourceRules:\n    - {{apiGroups: ['*'], apiVersions: ['*'], resources: ['{resources}'], operations: [CREATE]}}\n  \
         validations:{validations}\n---\n\
         apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {{name: tried}}\n\
         spec: {{policyName: tried, validationActions: [Deny]}}\n"
    );
    kubectl(&control_plane, &["create", "--filename=-"], &policy).unwrap();
    control_plane
}

/// A policy counts a moment after its creation, which nothing announces.
fn wait_until_refused(control_plane: &ControlPlane, object: &Value, why: &str) {
    let begun = Instant::now();
    loop {
        match create(control_plane, object) {
            Err(refused) if refused.contains(why) => return,
            other => assert!(begun.elapsed() < PATIENCE, "{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
