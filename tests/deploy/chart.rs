//! The chart renders what kustomize renders, and says what is wrong with values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    kustomizations::assert_lease_is_named_for_the_deployment,
    rendered::{Rendered, helm, helm_template},
};

/// The credential configuration is a file, as gcloud writes it.
const CONFIGURATION: &str = "--set-file=externalAccount.credentialConfiguration=deploy/components/external-account/credential-configuration.json";

/// Each kustomization, and the arguments with which the chart is the same.
const PAIRS: [(&str, &[&str]); 5] = [
    ("base", &[]),
    (
        "overlays/gke",
        &["--values=deploy/chart/ci/gke-values.yaml"],
    ),
    (
        "overlays/gke-autopilot",
        &["--values=deploy/chart/ci/gke-autopilot-values.yaml"],
    ),
    (
        "overlays/external-account",
        &[
            "--values=deploy/chart/ci/external-account-values.yaml",
            CONFIGURATION,
        ],
    ),
    (
        "overlays/namespaced",
        &["--values=deploy/chart/ci/namespaced-values.yaml"],
    ),
];

/// What Helm adds to everything.
const CHART_LABELS: [(&str, &str); 2] = [
    ("app.kubernetes.io/managed-by", "Helm"),
    ("helm.sh/chart", "opcancel-0.1.0"),
];

#[test]
fn chart_and_kustomize_render_the_same_objects() {
    for (folder, arguments) in PAIRS {
        let mut expected = Rendered::kustomization(folder).by_name();
        // Helm makes the namespace itself (--create-namespace), before it looks at the chart.
        assert!(expected.remove("Namespace opcancel-system").is_some());
        let expected: BTreeMap<_, _> = expected.into_values().map(without_suffix).collect();
        let found: BTreeMap<_, _> = Rendered::chart(arguments)
            .by_name()
            .into_iter()
            .map(|(name, object)| (name, without_what_is_helms(object)))
            .collect();
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>(),
            "{folder}"
        );
        for (name, object) in &expected {
            assert_eq!(&found[name], object, "{folder}: {name}");
        }
    }
}

/// Kustomize starts Pods anew after a change of the configuration by the ConfigMap's name, the chart by an annotation.
fn without_suffix(object: Value) -> (String, Value) {
    let mut text = object.to_string();
    if let Some((_, rest)) = text.split_once("\"opcancel-google-") {
        let suffix = rest.split_once('"').unwrap().0.to_owned();
        text = text.replace(&format!("opcancel-google-{suffix}"), "opcancel-google");
    }
    let object: Value = serde_json::from_str(&text).unwrap();
    (crate::rendered::name(&object), object)
}

/// Takes out what only the chart has, and insists that it is there.
fn without_what_is_helms(mut object: Value) -> Value {
    let kind = object["kind"].as_str().unwrap().to_owned();
    if kind == "CustomResourceDefinition" {
        // Helm installs them as they are.
        return with_labels_of_kustomize(object);
    }
    let labels = object["metadata"]["labels"].as_object_mut().unwrap();
    for (label, value) in CHART_LABELS {
        assert_eq!(labels.remove(label), Some(json!(value)), "{kind} {label}");
    }
    if let Some(annotations) = object
        .pointer_mut("/spec/template/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove("opcancel.github.io/credential-configuration");
    }
    object
}

/// Kustomize labels the CRDs as it does everything.
fn with_labels_of_kustomize(mut object: Value) -> Value {
    assert!(object["metadata"].get("labels").is_none());
    object["metadata"]["labels"] = json!({
        "app.kubernetes.io/name": "opcancel",
        "app.kubernetes.io/instance": "opcancel",
        "app.kubernetes.io/part-of": "opcancel",
        "app.kubernetes.io/version": env!("CARGO_PKG_VERSION"),
    });
    object
}

#[test]
fn lint_finds_nothing() {
    let lint = [
        "lint",
        "--strict",
        "deploy/chart",
        "--set=image.repository=your-registry.invalid/opcancel-controller",
    ];
    for (_, arguments) in PAIRS {
        let said = helm(&[&lint, arguments].concat()).unwrap();
        assert!(
            said.contains("1 chart(s) linted, 0 chart(s) failed"),
            "{said}"
        );
        assert!(
            !said.contains("[WARNING]") && !said.contains("[ERROR]"),
            "{said}"
        );
    }
}

#[test]
fn wrong_values_are_refused_with_what_is_wrong() {
    let both = [
        "--set=gke.serviceAccount=a@b.iam.gserviceaccount.com",
        "--set=externalAccount.audience=https://a",
        CONFIGURATION,
    ];
    for (arguments, said) in [
        (&["--set=replicas=-1"][..], &["replicas", "minimum"][..]),
        (&["--set=replicas=two"], &["replicas", "integer"]),
        (
            &["--set=leaderElection.enabled=false"],
            &["without leaderElection.enabled two controllers would both act; set 0 or 1"],
        ),
        (
            &["--set=leaderElection.leaseDuration=soon"],
            &["leaseDuration"],
        ),
        (
            &["--set=podDisruptionBudget.maxUnavailable=0"],
            &["maxUnavailable"],
        ),
        (&["--set=flags={--leader-elect=false}"], &["flags"]),
        (&["--set=flags={--leader-elect-lease-name=a}"], &["flags"]),
        (
            &["--set=replica=1"],
            &["unknown value \"replica\"; did you mean \"replicas\"?"],
        ),
        (
            &["--set=image.digset=x"],
            &["unknown value \"image.digset\"; did you mean \"image.digest\"?"],
        ),
        (
            &["--set=serviceAccountName=x"],
            &["unknown value \"serviceAccountName\"; did you mean \"serviceAccount.name\"?"],
        ),
        (
            &["--set=podlabels.a=b"],
            &["unknown value \"podlabels\"; did you mean \"podLabels\"?"],
        ),
        (&["--set=image=x"], &["image", "object"]),
        (&["--set=image.repository="], &["set image.repository"]),
        (
            &["--set=enabled=false"],
            &["enabled is for the condition of a parent chart"],
        ),
        (
            &["--set=serviceAccount.create=false"],
            &["set serviceAccount.name"],
        ),
        (
            &[
                "--set=serviceAccount.create=false,serviceAccount.name=own",
                "--set=serviceAccount.annotations.a=b",
            ],
            &["annotate it yourself"],
        ),
        (
            &[
                "--set=clusterName=blue",
                "--set=extraEnv[0].name=OPCANCEL_CLUSTER_NAME,extraEnv[0].value=x",
            ],
            &["extraEnv: the chart sets OPCANCEL_CLUSTER_NAME itself"],
        ),
        (&["--set=podMonitor.interval=often"], &["interval"]),
        (&["--set=networkPolicy.egressPorts={0}"], &["egressPorts"]),
        (&["--set=fullnameOverride=Up"], &["fullnameOverride"]),
        (
            &["--set=gke.serviceAccount=someone@example.com"],
            &["serviceAccount", "gserviceaccount"],
        ),
        (&["--set=watchNamespaces={Team_A}"], &["watchNamespaces"]),
        (&["--set=image.digest=latest"], &["digest", "sha256"]),
        (&["--set=flags={max-poll=1s}"], &["flags"]),
        (&["--set=flags={--admin-address=[::]:8080}"], &["flags"]),
        (&["--set=flags={--log-format=text}"], &["flags"]),
        (&["--set=flags={--watch-namespace=a}"], &["flags"]),
        (&["--set=flags={--expect-principal=a}"], &["flags"]),
        (&["--set=logFormat=xml"], &["logFormat"]),
        (&["--set=adminAddress=0.0.0.0:80"], &["adminAddress"]),
        (
            &[r"--set=podLabels.app\.kubernetes\.io/name=mine"],
            &["podLabels"],
        ),
        (
            &[r"--set=podAnnotations.kubectl\.kubernetes\.io/default-container=x"],
            &["podAnnotations"],
        ),
        (
            &[r"--set=serviceMonitor.labels.helm\.sh/chart=x"],
            &["labels"],
        ),
        (
            &["--set=externalAccount.audience=https://a"],
            &["needs both audience and credentialConfiguration"],
        ),
        (
            &[
                "--set=externalAccount.audience=https://a",
                "--set=externalAccount.credentialConfiguration={}",
            ],
            &["credential"],
        ),
        (&both, &["two ways to one identity"]),
    ] {
        let error = helm_template(arguments).unwrap_err();
        for text in said {
            assert!(error.contains(text), "{arguments:?}: {error}");
        }
    }
}

/// Releases in one namespace, and those that share a ServiceAccount, have a Lease each.
#[test]
fn each_release_has_a_lease_that_is_named_for_its_deployment() {
    let mut names = BTreeSet::new();
    for arguments in [
        &["blue"][..],
        &["green"],
        &["green", "--set=nameOverride=stopper"],
        &["green", "--set=fullnameOverride=stopper"],
        &[
            "red",
            "--set=serviceAccount.create=false,serviceAccount.name=shared",
        ],
        &[
            "pink",
            "--set=serviceAccount.create=false,serviceAccount.name=shared",
        ],
        &["gray", "--set=watchNamespaces={chat,speech}"],
        &["a-release-with-a-name-as-long-as-helm-takes-them-53-b"],
    ] {
        let (release, arguments) = arguments.split_first().unwrap();
        let rendered = Rendered::release(release, arguments);
        assert_lease_is_named_for_the_deployment(&rendered);
        assert!(names.insert(rendered.deployment()["metadata"]["name"].to_string()));
        let [binding] = rendered
            .of_kind("RoleBinding")
            .into_iter()
            .filter(|binding| binding["metadata"]["namespace"] == "opcancel-system")
            .collect::<Vec<_>>()[..]
        else {
            panic!("{release}: not one RoleBinding in its namespace");
        };
        let pod = &rendered.deployment()["spec"]["template"]["spec"];
        assert_eq!(binding["subjects"][0]["name"], pod["serviceAccountName"]);
    }
}

#[test]
fn what_only_several_replicas_need_is_there_with_several_only() {
    for (replicas, budgets) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
        let rendered = Rendered::chart(&[&format!("--set=replicas={replicas}")]);
        assert_eq!(rendered.deployment()["spec"]["replicas"], replicas);
        assert_eq!(rendered.of_kind("PodDisruptionBudget").len(), budgets);
        assert_lease_is_named_for_the_deployment(&rendered);
    }
    let alone = Rendered::chart(&["--set=leaderElection.enabled=false,replicas=1"]);
    assert_eq!(
        alone.deployment()["spec"]["strategy"],
        json!({"type": "Recreate"}),
        "never two controllers without a Lease"
    );
    assert_eq!(alone.environment()["OPCANCEL_LEADER_ELECT"], "false");
    assert!(alone.of_kind("Role").is_empty());
}

/// YAML would read many a name as a number or worse; whatever is a text with ordinary values is one with any.
#[test]
fn names_that_look_like_something_else_stay_texts() {
    let rendered = |release: &str, namespace: &str, name: &str, audience: &str| {
        let words = [
            "template".to_owned(),
            release.to_owned(),
            "deploy/chart".to_owned(),
            format!("--namespace={namespace}"),
            format!("--set-string=watchNamespaces[0]={name}"),
            format!("--set-string=priorityClassName={name},imagePullSecrets[0].name={name}"),
            format!("--set-string=image.repository={name},image.tag={name}"),
            format!("--set-string=clusterName={name},quotaProject={name},podLabels.x={name}"),
            format!("--set-string=externalAccount.audience={audience}"),
            "--set=serviceMonitor.enabled=true".to_owned(),
            CONFIGURATION.to_owned(),
        ];
        let text = helm(&words.each_ref().map(String::as_str)).unwrap();
        let mut objects = xtask::deploy_files::documents(&text).unwrap();
        objects.iter_mut().for_each(forget_texts);
        objects
    };
    assert_eq!(
        rendered("2024", "1234", "40", "*aud"),
        rendered("opcancel", "opcancel-system", "name", "https://a")
    );
}

/// Leaves of the texts only that they are there.
fn forget_texts(value: &mut Value) {
    match value {
        Value::String(text) => text.clear(),
        Value::Array(items) => items.iter_mut().for_each(forget_texts),
        Value::Object(fields) => fields.values_mut().for_each(forget_texts),
        _ => {}
    }
}
