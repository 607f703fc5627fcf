//! Every value of the chart changes what is rendered, as the table says.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use xtask::deploy_files::PLACEHOLDER_IMAGE;

use crate::{
    rendered::{Rendered, helm},
    support::cluster::root,
};

const DEPLOYMENT: &str = "Deployment opcancel-system/opcancel-controller";
const ACCOUNT: &str = "ServiceAccount opcancel-system/opcancel-controller";
const POLICY: &str = "NetworkPolicy opcancel-system/opcancel-controller";
const BUDGET: &str = "PodDisruptionBudget opcancel-system/opcancel-controller";
const LEASE_ROLE: &str = "Role opcancel-system/opcancel-controller-leader-election";
const POD: &str = "/spec/template/spec";
const CONTAINER: &str = "/spec/template/spec/containers/0";

/// What one value does.
struct Effect {
    value: &'static str,
    /// What must be set too, for it to do anything.
    beside: &'static [&'static str],
    argument: &'static str,
    /// Which object changes, and where in it.
    object: &'static str,
    pointer: String,
    /// What is there then; null if nothing is.
    then: Value,
}

fn effect(
    value: &'static str,
    argument: &'static str,
    object: &'static str,
    pointer: impl Into<String>,
    then: Value,
) -> Effect {
    Effect {
        value,
        beside: &[],
        argument,
        object,
        pointer: pointer.into(),
        then,
    }
}

impl Effect {
    fn beside(self, beside: &'static [&'static str]) -> Self {
        Self { beside, ..self }
    }
}

/// The environment with this variable beside those of leader election.
fn variable(name: &str, value: &str) -> Value {
    environment(&[(name, value)], &[])
}

/// The environment with these variables around the Lease's name and namespace.
fn environment(before: &[(&str, &str)], after: &[(&str, &str)]) -> Value {
    let plain = |(name, value): &(&str, &str)| json!({"name": name, "value": value});
    let mut variables: Vec<_> = before.iter().map(plain).collect();
    variables.extend([
        json!({"name": "OPCANCEL_LEADER_ELECT_LEASE_NAME", "value": "opcancel-controller"}),
        json!({
            "name": "OPCANCEL_LEADER_ELECT_NAMESPACE",
            "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}},
        }),
    ]);
    variables.extend(after.iter().map(plain));
    Value::Array(variables)
}

#[allow(clippy::too_many_lines, reason = "a table with a row for each value")]
fn effects() -> Vec<Effect> {
    const DIGEST: &str = "sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";
    const AUDIENCE: &str = "--set=externalAccount.audience=https://a";
    const CONFIGURATION: &str = "--set-file=externalAccount.credentialConfiguration=deploy/components/external-account/credential-configuration.json";
    const GOOGLE: &str = "opcancel@acme-prod.iam.gserviceaccount.com";
    let pod = |field: &str| format!("{POD}/{field}");
    let container = |field: &str| format!("{CONTAINER}/{field}");
    let label = |name: &str| format!("/metadata/labels/{name}");
    let configuration = std::fs::read_to_string(
        root().join("deploy/components/external-account/credential-configuration.json"),
    );
    vec![
        effect("image.repository", "--set=image.repository=r/o", DEPLOYMENT, container("image"), json!("r/o:0.1.0")),
        effect("image.tag", "--set=image.tag=next", DEPLOYMENT, container("image"), json!(format!("{PLACEHOLDER_IMAGE}:next"))),
        effect(
            "image.digest",
            "--set=image.digest=sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
            DEPLOYMENT,
            container("image"),
            json!(format!("{PLACEHOLDER_IMAGE}@{DIGEST}")),
        )
        .beside(&["--set=image.tag=next"]),
        effect("image.pullPolicy", "--set=image.pullPolicy=Always", DEPLOYMENT, container("imagePullPolicy"), json!("Always")),
        effect(
            "imagePullSecrets",
            "--set=imagePullSecrets[0].name=own",
            DEPLOYMENT,
            pod("imagePullSecrets"),
            json!([{"name": "own"}, {"name": "shared"}]),
        )
        .beside(&["--set=global.imagePullSecrets[0].name=shared"]),
        effect(
            "nameOverride",
            "--set=nameOverride=stopper",
            "Deployment opcancel-system/opcancel-stopper-controller",
            "/spec/selector/matchLabels/app.kubernetes.io~1name",
            json!("stopper"),
        ),
        effect(
            "fullnameOverride",
            "--set=fullnameOverride=stopper",
            "ClusterRole stopper-controller-grants",
            "/metadata/name",
            json!("stopper-controller-grants"),
        ),
        effect("commonLabels", "--set=commonLabels.team=blue", DEPLOYMENT, "/spec/template/metadata/labels/team", json!("blue")),
        effect("commonLabels", "--set=commonLabels.team=blue", "ClusterRole opcancel-view", label("team"), json!("blue")),
        effect("replicas", "--set=replicas=1", DEPLOYMENT, "/spec/replicas", json!(1)),
        effect("replicas", "--set=replicas=1", BUDGET, "", Value::Null),
        effect(
            "leaderElection.enabled",
            "--set=leaderElection.enabled=false",
            DEPLOYMENT,
            container("env"),
            json!([{"name": "OPCANCEL_LEADER_ELECT", "value": "false"}]),
        )
        .beside(&["--set=replicas=1"]),
        effect("leaderElection.enabled", "--set=leaderElection.enabled=false", DEPLOYMENT, "/spec/strategy", json!({"type": "Recreate"}))
            .beside(&["--set=replicas=1"]),
        effect("leaderElection.enabled", "--set=leaderElection.enabled=false", LEASE_ROLE, "", Value::Null).beside(&["--set=replicas=1"]),
        effect(
            "leaderElection.leaseDuration",
            "--set=leaderElection.leaseDuration=30s",
            DEPLOYMENT,
            container("env"),
            environment(&[], &[("OPCANCEL_LEADER_ELECT_LEASE_DURATION", "30s")]),
        ),
        effect(
            "leaderElection.renewDeadline",
            "--set=leaderElection.renewDeadline=20s",
            DEPLOYMENT,
            container("env"),
            environment(&[], &[("OPCANCEL_LEADER_ELECT_RENEW_DEADLINE", "20s")]),
        ),
        effect(
            "leaderElection.retryPeriod",
            "--set=leaderElection.retryPeriod=500ms",
            DEPLOYMENT,
            container("env"),
            environment(&[], &[("OPCANCEL_LEADER_ELECT_RETRY_PERIOD", "500ms")]),
        ),
        effect("podDisruptionBudget.enabled", "--set=podDisruptionBudget.enabled=false", BUDGET, "", Value::Null),
        effect(
            "podDisruptionBudget.maxUnavailable",
            "--set=podDisruptionBudget.maxUnavailable=50%",
            BUDGET,
            "/spec/maxUnavailable",
            json!("50%"),
        ),
        effect("revisionHistoryLimit", "--set=revisionHistoryLimit=0", DEPLOYMENT, "/spec/revisionHistoryLimit", json!(0)),
        effect("deploymentAnnotations", "--set=deploymentAnnotations.a=b", DEPLOYMENT, "/metadata/annotations", json!({"a": "b"})),
        effect(
            "gke.enabled",
            "--set=gke.enabled=true",
            DEPLOYMENT,
            pod("nodeSelector/iam.gke.io~1gke-metadata-server-enabled"),
            json!("true"),
        ),
        effect(
            "gke.nodeSelector",
            "--set=gke.nodeSelector=false",
            DEPLOYMENT,
            pod("nodeSelector/iam.gke.io~1gke-metadata-server-enabled"),
            Value::Null,
        )
        .beside(&["--set=gke.enabled=true"]),
        effect(
            "gke.serviceAccount",
            "--set=gke.serviceAccount=opcancel@acme-prod.iam.gserviceaccount.com",
            ACCOUNT,
            "/metadata/annotations",
            json!({"iam.gke.io/gcp-service-account": GOOGLE}),
        ),
        effect(
            "gke.serviceAccount",
            "--set=gke.serviceAccount=opcancel@acme-prod.iam.gserviceaccount.com",
            DEPLOYMENT,
            container("env"),
            variable("OPCANCEL_EXPECT_PRINCIPAL", GOOGLE),
        ),
        effect(
            "externalAccount.audience",
            "--set=externalAccount.audience=https://b",
            DEPLOYMENT,
            pod("volumes/1/projected/sources/0/serviceAccountToken/audience"),
            json!("https://b"),
        )
        .beside(&[AUDIENCE, CONFIGURATION]),
        effect(
            "externalAccount.credentialConfiguration",
            CONFIGURATION,
            "ConfigMap opcancel-system/opcancel-google",
            "/data/credential-configuration.json",
            json!(configuration.unwrap()),
        )
        .beside(&[
            AUDIENCE,
            r#"--set-json=externalAccount.credentialConfiguration="{\"credential_source\":{\"file\":\"/var/run/secrets/opcancel/google/token\"}}""#,
        ]),
        effect(
            "workloadIdentity.provider",
            "--set=workloadIdentity.provider=gke",
            DEPLOYMENT,
            container("env"),
            variable("OPCANCEL_WORKLOAD_IDENTITY_PROVIDER", "gke"),
        ),
        effect(
            "workloadIdentity.serviceAccounts",
            r#"--set-json=workloadIdentity.serviceAccounts=[{"namespace":"a","names":["b"]}]"#,
            "Role a/opcancel-service-accounts",
            "/rules/1/resourceNames",
            json!(["b"]),
        ),
        effect(
            "workloadIdentity.allServiceAccounts",
            "--set=workloadIdentity.allServiceAccounts=true",
            "ClusterRole opcancel-service-accounts",
            "/rules/1/verbs",
            json!(["create"]),
        ),
        effect("expectPrincipal", "--set=expectPrincipal=a@b.c", DEPLOYMENT, container("env"), variable("OPCANCEL_EXPECT_PRINCIPAL", "a@b.c")),
        effect("namespaceCallsPerMinute", "--set=namespaceCallsPerMinute=1000000", DEPLOYMENT, container("env"), variable("OPCANCEL_NAMESPACE_CALLS_PER_MINUTE", "1000000")),
        effect("clusterName", "--set=clusterName=blue", DEPLOYMENT, container("env"), variable("OPCANCEL_CLUSTER_NAME", "blue")),
        effect("quotaProject", "--set=quotaProject=billing", DEPLOYMENT, container("env"), variable("OPCANCEL_QUOTA_PROJECT", "billing")),
        effect("universeDomain", "--set=universeDomain=apis-tpczero.goog", DEPLOYMENT, container("env"), variable("OPCANCEL_UNIVERSE_DOMAIN", "apis-tpczero.goog")),
        effect(
            "httpsProxy",
            "--set=httpsProxy=http://proxy.example.com:3128",
            DEPLOYMENT,
            container("env"),
            variable("OPCANCEL_HTTPS_PROXY", "http://proxy.example.com:3128"),
        ),
        effect(
            "httpsProxy",
            "--set=httpsProxy=http://[fd00::1]:8080/",
            POLICY,
            "/spec/egress/2/ports",
            json!([{"port": 8080, "protocol": "TCP"}]),
        ),
        effect(
            "httpsProxySecret",
            "--set=httpsProxySecret=proxy",
            DEPLOYMENT,
            container("env/1"),
            json!({"name": "OPCANCEL_HTTPS_PROXY_CREDENTIALS_FILE", "value": "/etc/opcancel/https-proxy/credentials"}),
        )
        .beside(&["--set=httpsProxy=http://proxy.example.com:3128"]),
        effect(
            "httpsProxySecret",
            "--set=httpsProxySecret=proxy",
            DEPLOYMENT,
            pod("volumes"),
            json!([{"name": "https-proxy", "secret": {
                "secretName": "proxy", "items": [{"key": "credentials", "path": "credentials"}],
            }}]),
        )
        .beside(&["--set=httpsProxy=http://proxy.example.com:3128"]),
        effect(
            "httpsProxySecret",
            "--set=httpsProxySecret=proxy",
            DEPLOYMENT,
            container("volumeMounts"),
            json!([{"name": "https-proxy", "mountPath": "/etc/opcancel/https-proxy", "readOnly": true}]),
        )
        .beside(&["--set=httpsProxy=http://proxy.example.com:3128"]),
        effect("watchNamespaces", "--set=watchNamespaces={a,b}", DEPLOYMENT, container("env"), variable("OPCANCEL_WATCH_NAMESPACE", "a,b")),
        effect("watchNamespaces", "--set=watchNamespaces={a,b}", "Role b/opcancel-controller", "/kind", json!("Role")),
        effect("watchNamespaces", "--set=watchNamespaces={a,b}", "ClusterRole opcancel-controller", "", Value::Null),
        effect("logFormat", "--set=logFormat=text", DEPLOYMENT, container("args/0"), json!("--log-format=text")),
        effect("adminAddress", "--set=adminAddress=0.0.0.0:8080", DEPLOYMENT, container("args/1"), json!("--admin-address=0.0.0.0:8080")),
        effect("flags", "--set=flags={--max-poll=30s}", DEPLOYMENT, container("args/2"), json!("--max-poll=30s")),
        effect("resources", "--set=resources.limits.memory=1Gi", DEPLOYMENT, container("resources/limits"), json!({"memory": "1Gi"})),
        effect(
            "nodeSelector",
            r"--set=nodeSelector.kubernetes\.io/arch=,nodeSelector.pool=system",
            DEPLOYMENT,
            pod("nodeSelector"),
            json!({"kubernetes.io/os": "linux", "pool": "system"}),
        ),
        effect("tolerations", "--set=tolerations[0].operator=Exists", DEPLOYMENT, pod("tolerations"), json!([{"operator": "Exists"}])),
        effect("affinity", "--set-json=affinity={\"nodeAffinity\":{}}", DEPLOYMENT, pod("affinity"), json!({"nodeAffinity": {}})),
        effect(
            "topologySpreadConstraints",
            "--set-json=topologySpreadConstraints=[{\"topologyKey\":\"zone\"}]",
            DEPLOYMENT,
            pod("topologySpreadConstraints"),
            json!([{"topologyKey": "zone", "labelSelector": {"matchLabels": {
                "app.kubernetes.io/name": "opcancel", "app.kubernetes.io/instance": "opcancel",
            }}}]),
        ),
        effect(
            "topologySpreadConstraints",
            "--set-json=topologySpreadConstraints=[{\"topologyKey\":\"zone\",\"labelSelector\":{\"matchLabels\":{\"a\":\"b\"}}}]",
            DEPLOYMENT,
            pod("topologySpreadConstraints"),
            json!([{"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}]),
        ),
        effect("topologySpreadConstraints", "--set-json=topologySpreadConstraints=[]", DEPLOYMENT, pod("topologySpreadConstraints"), Value::Null),
        effect("priorityClassName", "--set=priorityClassName=platform", DEPLOYMENT, pod("priorityClassName"), json!("platform")),
        effect("podAnnotations", "--set=podAnnotations.a=b", DEPLOYMENT, "/spec/template/metadata/annotations/a", json!("b")),
        effect("podLabels", "--set=podLabels.a=b", DEPLOYMENT, "/spec/template/metadata/labels/a", json!("b")),
        effect(
            "podSecurityContext",
            "--set=podSecurityContext.runAsUser=,podSecurityContext.runAsGroup=,podSecurityContext.fsGroup=",
            DEPLOYMENT,
            pod("securityContext"),
            json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}),
        ),
        effect("podSecurityContext", "--set=podSecurityContext=null", DEPLOYMENT, pod("securityContext"), Value::Null),
        effect("securityContext", "--set=securityContext=null", DEPLOYMENT, container("securityContext"), Value::Null),
        effect("extraEnv", "--set=extraEnv[0].name=A,extraEnv[0].value=b", DEPLOYMENT, container("env"), environment(&[], &[("A", "b")])),
        effect("extraVolumes", "--set=extraVolumes[0].name=ca", DEPLOYMENT, pod("volumes"), json!([{"name": "ca"}])),
        effect("extraVolumeMounts", "--set=extraVolumeMounts[0].name=ca", DEPLOYMENT, container("volumeMounts"), json!([{"name": "ca"}])),
        effect("hostAliases", "--set=hostAliases[0].ip=127.0.0.1", DEPLOYMENT, pod("hostAliases"), json!([{"ip": "127.0.0.1"}])),
        effect("dnsPolicy", "--set=dnsPolicy=None", DEPLOYMENT, pod("dnsPolicy"), json!("None")),
        effect("dnsConfig", "--set=dnsConfig.options=null,dnsConfig.nameservers={10.0.0.10}", DEPLOYMENT, pod("dnsConfig"), json!({"nameservers": ["10.0.0.10"]})),
        effect("serviceAccount.create", "--set=serviceAccount.create=false", "ServiceAccount opcancel-system/own", "", Value::Null)
            .beside(&["--set=serviceAccount.name=own"]),
        effect("serviceAccount.name", "--set=serviceAccount.name=own", DEPLOYMENT, pod("serviceAccountName"), json!("own")),
        effect(
            "serviceAccount.name",
            "--set=serviceAccount.name=own",
            "ClusterRoleBinding opcancel-controller-grants",
            "/subjects/0/name",
            json!("own"),
        ),
        effect("serviceAccount.annotations", "--set=serviceAccount.annotations.a=b", ACCOUNT, "/metadata/annotations", json!({"a": "b"})),
        effect("networkPolicy.enabled", "--set=networkPolicy.enabled=false", POLICY, "", Value::Null),
        effect(
            "networkPolicy.egressPorts",
            "--set=networkPolicy.egressPorts={9443}",
            POLICY,
            "/spec/egress/1/ports",
            json!([{"port": 9443, "protocol": "TCP"}]),
        ),
        effect(
            "networkPolicy.extraEgress",
            "--set=networkPolicy.extraEgress[0].ports[0].port=3128",
            POLICY,
            "/spec/egress/4",
            json!({"ports": [{"port": 3128}]}),
        ),
        effect(
            "networkPolicy.ingressFrom",
            "--set=networkPolicy.ingressFrom[0].namespaceSelector.matchLabels.name=monitoring",
            POLICY,
            "/spec/ingress/0/from",
            json!([{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]),
        ),
        effect("peopleRoles.enabled", "--set=peopleRoles.enabled=false", "ClusterRole opcancel-edit", "", Value::Null),
        effect(
            "serviceMonitor.enabled",
            "--set=serviceMonitor.enabled=true",
            "ServiceMonitor opcancel-system/opcancel-controller",
            "/spec/endpoints/0/port",
            json!("admin"),
        ),
        effect(
            "serviceMonitor.labels",
            "--set=serviceMonitor.labels.release=p",
            "ServiceMonitor opcancel-system/opcancel-controller",
            label("release"),
            json!("p"),
        )
        .beside(&["--set=serviceMonitor.enabled=true"]),
        effect(
            "serviceMonitor.interval",
            "--set=serviceMonitor.interval=1m",
            "ServiceMonitor opcancel-system/opcancel-controller",
            "/spec/endpoints/0/interval",
            json!("1m"),
        )
        .beside(&["--set=serviceMonitor.enabled=true"]),
        effect(
            "podMonitor.enabled",
            "--set=podMonitor.enabled=true",
            "PodMonitor opcancel-system/opcancel-controller",
            "/spec/podMetricsEndpoints/0/port",
            json!("admin"),
        ),
        effect(
            "podMonitor.labels",
            "--set=podMonitor.labels.release=p",
            "PodMonitor opcancel-system/opcancel-controller",
            label("release"),
            json!("p"),
        )
        .beside(&["--set=podMonitor.enabled=true"]),
        effect(
            "podMonitor.interval",
            "--set=podMonitor.interval=1m",
            "PodMonitor opcancel-system/opcancel-controller",
            "/spec/podMetricsEndpoints/0/interval",
            json!("1m"),
        )
        .beside(&["--set=podMonitor.enabled=true"]),
        effect(
            "podMonitoring.enabled",
            "--set=podMonitoring.enabled=true",
            "PodMonitoring opcancel-system/opcancel-controller",
            "/apiVersion",
            json!("monitoring.googleapis.com/v1"),
        ),
        effect(
            "podMonitoring.labels",
            "--set=podMonitoring.labels.a=b",
            "PodMonitoring opcancel-system/opcancel-controller",
            label("a"),
            json!("b"),
        )
        .beside(&["--set=podMonitoring.enabled=true"]),
        effect(
            "podMonitoring.interval",
            "--set=podMonitoring.interval=1m",
            "PodMonitoring opcancel-system/opcancel-controller",
            "/spec/endpoints/0/interval",
            json!("1m"),
        )
        .beside(&["--set=podMonitoring.enabled=true"]),
        effect(
            "prometheusRule.enabled",
            "--set=prometheusRule.enabled=true",
            "PrometheusRule opcancel-system/opcancel",
            "/spec/groups",
            rules(),
        ),
        effect(
            "prometheusRule.labels",
            "--set=prometheusRule.labels.release=p",
            "PrometheusRule opcancel-system/opcancel",
            label("release"),
            json!("p"),
        )
        .beside(&["--set=prometheusRule.enabled=true"]),
        effect(
            "grafanaDashboard.enabled",
            "--set=grafanaDashboard.enabled=true",
            "ConfigMap opcancel-system/opcancel-dashboard",
            "/data/opcancel.json",
            json!(std::fs::read_to_string(root().join("deploy/monitoring/dashboard.json")).unwrap()),
        ),
        effect(
            "grafanaDashboard.labels",
            "--set=grafanaDashboard.labels.folder=x",
            "ConfigMap opcancel-system/opcancel-dashboard",
            label("folder"),
            json!("x"),
        )
        .beside(&["--set=grafanaDashboard.enabled=true"]),
    ]
}

/// The groups of the rule file.
fn rules() -> Value {
    let text = std::fs::read_to_string(root().join("deploy/monitoring/rules.yaml")).unwrap();
    let rules: Value = serde_saphyr::from_str(&text).unwrap();
    rules["groups"].clone()
}

#[test]
fn every_value_changes_what_is_rendered() {
    let effects = effects();
    let shown: BTreeSet<_> = effects.iter().map(|effect| effect.value).collect();
    let values = std::fs::read_to_string(root().join("deploy/chart/files/values.txt")).unwrap();
    assert_eq!(
        shown,
        values.lines().collect(),
        "a value without a row here"
    );
    for effect in &effects {
        let at = |arguments: &[&str]| {
            let objects = Rendered::chart(arguments).by_name();
            let object = objects.get(effect.object);
            let value = object.and_then(|object| object.pointer(&effect.pointer));
            value.cloned().unwrap_or_default()
        };
        let before = at(effect.beside);
        let then = at(&[effect.beside, &[effect.argument]].concat());
        assert_eq!(then, effect.then, "{}", effect.argument);
        assert_ne!(before, then, "{}", effect.argument);
    }
}

/// Another chart has this one as a dependency, with a condition and with values for all.
#[test]
fn as_a_dependency_it_renders_and_can_be_switched_off() {
    let folder = tempfile::tempdir().unwrap();
    let parent = folder.path().display().to_string();
    let charts = folder.path().join("charts");
    std::fs::create_dir(&charts).unwrap();
    std::os::unix::fs::symlink(root().join("deploy/chart"), charts.join("opcancel")).unwrap();
    let chart = "apiVersion: v2\nname: platform\nversion: 1.0.0\ndependencies:\n  - name: opcancel\n    version: 0.1.0\n    repository: \"\"\n    condition: opcancel.enabled\n";
    std::fs::write(folder.path().join("Chart.yaml"), chart).unwrap();
    let values = |enabled: bool, more: &str| {
        let values = format!(
            "global:\n  imageRegistry: registry.example.com\n  imagePullSecrets:\n    - name: shared\n\
             opcancel:\n  enabled: {enabled}\n  image:\n    repository: registry.example.com/opcancel\n{more}"
        );
        std::fs::write(folder.path().join("values.yaml"), values).unwrap();
    };
    let template = || helm(&["template", "blue", &parent, "--namespace=tools"]);

    values(true, "  podSecurityContext:\n    runAsUser: \"\"\n");
    let text = template().unwrap();
    let objects = xtask::deploy_files::documents(&text).unwrap();
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment");
    let deployment = deployment.unwrap();
    assert_eq!(deployment["metadata"]["name"], "blue-opcancel-controller");
    assert_eq!(deployment["metadata"]["namespace"], "tools");
    let pod = deployment.pointer(POD).unwrap();
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "shared"}]));
    assert_eq!(pod["serviceAccountName"], "blue-opcancel-controller");
    assert!(pod["securityContext"].get("runAsUser").is_none(), "{pod}");

    values(true, "  replica: 1\n");
    let refused = template().unwrap_err();
    assert!(refused.contains("did you mean \"replicas\""), "{refused}");

    values(false, "");
    assert_eq!(template().unwrap().trim(), "");
}
