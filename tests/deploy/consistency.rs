//! The files of `deploy/` agree with each other and with the program.

use std::{collections::BTreeSet, process::Command};

use clap::CommandFactory;
use opcancel::arguments::Arguments;
use serde_json::{Value, json};
use xtask::deploy_files::{self, PLACEHOLDER_IMAGE};

use crate::{
    rendered::{KUSTOMIZATIONS, Rendered, kubectl},
    support::cluster::root,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn the_generated_files_are_current() {
    let mut expected = deploy_files::copies(root()).unwrap();
    expected.insert(
        "deploy/install.yaml".to_owned(),
        deploy_files::install(root(), kubectl()).unwrap(),
    );
    assert!(expected.len() >= 10, "{:?}", expected.keys());
    for (path, text) in expected {
        let found = std::fs::read_to_string(root().join(&path)).unwrap_or_default();
        assert!(found == text, "{path} is stale: run `cargo xtask deploy`");
    }
}

/// Nothing is left of a CRD or a role that was renamed.
#[test]
fn nothing_is_copied_that_has_no_source() {
    let expected = deploy_files::copies(root()).unwrap();
    for folder in [
        "deploy/base/crds",
        "deploy/chart/crds",
        "deploy/chart/files/monitoring",
        "deploy/chart/files/rules",
    ] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy());
            assert!(expected.contains_key(&path), "{path} has no source");
        }
    }
}

#[test]
fn the_program_has_every_flag_and_variable_that_is_set() {
    let known = Arguments::command();
    let variables: BTreeSet<_> = known
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str())
        .collect();
    assert!(variables.contains("OPCANCEL_WATCH_NAMESPACE"));
    let mut renderings: Vec<_> = KUSTOMIZATIONS.map(Rendered::kustomization).into();
    renderings.push(Rendered::chart(&[
        "--set=clusterName=blue,quotaProject=billing-prod,namespaceCallsPerMinute=off,watchNamespaces={a,b}",
        "--set=gke.serviceAccount=opcancel@acme-prod.iam.gserviceaccount.com",
    ]));
    for rendered in renderings {
        for variable in rendered.environment().keys() {
            // The field's own variable is read by whatever speaks to Google.
            assert!(
                variables.contains(variable.as_str())
                    || variable == "GOOGLE_APPLICATION_CREDENTIALS",
                "{variable}"
            );
        }
        let program = ["opcancel-controller".to_owned()].into_iter();
        let parsed = known
            .clone()
            .try_get_matches_from(program.chain(rendered.arguments()));
        assert!(parsed.is_ok(), "{parsed:?}");
        // And the program itself says so.
        let mut command: Command = rendered.controller_command();
        let output = command.arg("--version").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            format!("opcancel-controller {VERSION}")
        );
    }
}

#[test]
fn a_value_that_the_program_refuses_would_be_noticed() {
    let mut command = Rendered::kustomization("base").controller_command();
    let output = command.arg("--no-such-flag").output().unwrap();
    assert!(!output.status.success());
}

#[test]
fn everything_carries_this_release() {
    for folder in KUSTOMIZATIONS {
        let rendered = Rendered::kustomization(folder);
        assert_eq!(
            rendered.container()["image"],
            format!("{PLACEHOLDER_IMAGE}:{VERSION}")
        );
        for object in &rendered.objects {
            assert_eq!(
                object["metadata"]["labels"]["app.kubernetes.io/version"],
                VERSION,
                "{folder}: {}",
                crate::rendered::name(object)
            );
        }
    }
    let chart = std::fs::read_to_string(root().join("deploy/chart/Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&chart).unwrap();
    assert_eq!(
        (&chart["version"], &chart["appVersion"]),
        (&json!(VERSION), &json!(VERSION))
    );
}

#[test]
fn the_pod_is_as_small_a_target_as_it_can_be() {
    for folder in KUSTOMIZATIONS {
        let rendered = Rendered::kustomization(folder);
        let deployment = rendered.deployment();
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["hostNetwork"], false);
        assert_eq!(pod["automountServiceAccountToken"], true);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["runAsUser"], 65532);
        let container = rendered.container();
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(
            container["securityContext"]["capabilities"],
            json!({"drop": ["ALL"]})
        );
        for (kind, resources) in [
            ("requests", &["cpu", "memory"][..]),
            ("limits", &["memory"]),
        ] {
            let set = container["resources"][kind].as_object().unwrap();
            assert_eq!(set.keys().collect::<Vec<_>>(), resources, "{kind}");
        }
        let account = rendered.of_kind("ServiceAccount")[0];
        assert_eq!(account["automountServiceAccountToken"], false);
    }
}

/// An upgrade begins with a new Pod, and no rule keeps two Pods off one node, so that it finishes on one.
#[test]
fn two_replicas_are_upgraded_and_drained_one_by_one_also_on_one_node() {
    for folder in KUSTOMIZATIONS {
        let rendered = Rendered::kustomization(folder);
        let deployment = &rendered.deployment()["spec"];
        assert_eq!(deployment["replicas"], 2, "{folder}");
        let rolling = json!({"maxSurge": 1, "maxUnavailable": 0});
        assert_eq!(
            deployment["strategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": rolling})
        );
        let pod = &deployment["template"]["spec"];
        assert!(pod.get("affinity").is_none(), "{folder}");
        let spread = pod["topologySpreadConstraints"].as_array().unwrap();
        for constraint in spread {
            assert_eq!(constraint["whenUnsatisfiable"], "ScheduleAnyway");
            assert_eq!(
                constraint["labelSelector"]["matchLabels"],
                deployment["selector"]["matchLabels"]
            );
        }
        assert_eq!(spread.len(), 1, "{folder}");
        let [budget] = rendered.of_kind("PodDisruptionBudget")[..] else {
            panic!("{folder}: not one PodDisruptionBudget");
        };
        assert_eq!(budget["spec"]["maxUnavailable"], 1);
        assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    }
}

/// Autopilot refuses it; on Standard it keeps the Pod where the metadata server speaks for Pods.
#[test]
fn only_the_overlay_for_standard_clusters_chooses_nodes_with_a_metadata_server() {
    for folder in KUSTOMIZATIONS {
        let rendered = Rendered::kustomization(folder);
        let chosen = &rendered.deployment()["spec"]["template"]["spec"]["nodeSelector"];
        let mut expected = json!({"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"});
        if folder == "overlays/gke" {
            expected["iam.gke.io/gke-metadata-server-enabled"] = json!("true");
        }
        assert_eq!(chosen, &expected, "{folder}");
    }
}

/// Selectors cannot be changed once they are applied, and all of them must find the same Pods.
#[test]
fn selectors_are_name_and_instance_and_find_the_pod() {
    let expected = json!({
        "app.kubernetes.io/name": "opcancel", "app.kubernetes.io/instance": "opcancel",
    });
    for folder in KUSTOMIZATIONS {
        let rendered = Rendered::kustomization(folder);
        let deployment = &rendered.deployment()["spec"];
        let service = rendered.of_kind("Service")[0];
        let policy = rendered.of_kind("NetworkPolicy")[0];
        let budget = rendered.of_kind("PodDisruptionBudget")[0];
        for selector in [
            &budget["spec"]["selector"]["matchLabels"],
            &deployment["selector"]["matchLabels"],
            &service["spec"]["selector"],
            &policy["spec"]["podSelector"]["matchLabels"],
        ] {
            assert_eq!(selector, &expected);
        }
        let labels = &deployment["template"]["metadata"]["labels"];
        for (label, value) in expected.as_object().unwrap() {
            assert_eq!(&labels[label], value);
        }
        let port = &service["spec"]["ports"][0];
        assert_eq!(port["targetPort"], rendered.container()["ports"][0]["name"]);
        assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], "admin");
    }
}

#[test]
fn the_network_policy_lets_out_what_the_program_needs_and_no_more() {
    let rendered = Rendered::kustomization("base");
    let policy = &rendered.of_kind("NetworkPolicy")[0]["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let mut ways = BTreeSet::new();
    for rule in policy["egress"].as_array().unwrap() {
        let places: Vec<String> = match rule["to"].as_array() {
            None => vec!["anywhere".to_owned()],
            Some(to) => to
                .iter()
                .map(|to| to["ipBlock"]["cidr"].as_str().unwrap().to_owned())
                .collect(),
        };
        for port in rule["ports"].as_array().unwrap() {
            for place in &places {
                ways.insert(format!(
                    "{place} {} {}",
                    port["protocol"].as_str().unwrap(),
                    port["port"]
                ));
            }
        }
    }
    let expected = [
        "169.254.169.252/32 TCP 987",
        "169.254.169.252/32 TCP 988",
        "169.254.169.254/32 TCP 80",
        "169.254.169.254/32 TCP 8080",
        "anywhere TCP 16443",
        "anywhere TCP 443",
        "anywhere TCP 53",
        "anywhere TCP 5353",
        "anywhere TCP 6443",
        "anywhere TCP 8443",
        "anywhere UDP 53",
        "anywhere UDP 5353",
    ];
    assert_eq!(ways.into_iter().collect::<Vec<_>>(), expected);
}

/// The token's audience is the provider that the configuration names, and the file where it looks is where the token is.
#[test]
fn the_external_account_agrees_with_itself() {
    let rendered = Rendered::kustomization("overlays/external-account");
    let map = rendered.of_kind("ConfigMap")[0];
    let text = map["data"]["credential-configuration.json"]
        .as_str()
        .unwrap();
    let configuration: Value = serde_json::from_str(text).unwrap();
    let pod = &rendered.deployment()["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().unwrap();
    let volume = |name: &str| {
        volumes
            .iter()
            .find(|volume| volume["name"] == name)
            .unwrap()
    };
    let token = &volume("google-token")["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(
        token["audience"].as_str().unwrap(),
        format!("https:{}", configuration["audience"].as_str().unwrap())
    );
    let mounts = rendered.container()["volumeMounts"].as_array().unwrap();
    let folder = |name: &str| {
        let mount = mounts.iter().find(|mount| mount["name"] == name).unwrap();
        mount["mountPath"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        configuration["credential_source"]["file"],
        format!(
            "{}/{}",
            folder("google-token"),
            token["path"].as_str().unwrap()
        )
    );
    let environment = rendered.environment();
    assert_eq!(
        environment["GOOGLE_APPLICATION_CREDENTIALS"],
        format!(
            "{}/credential-configuration.json",
            folder("google-credential-configuration")
        )
    );
    assert_eq!(
        volume("google-credential-configuration")["configMap"]["name"],
        map["metadata"]["name"]
    );
    let url = configuration["service_account_impersonation_url"]
        .as_str()
        .unwrap();
    assert!(
        url.contains(&environment["OPCANCEL_EXPECT_PRINCIPAL"]),
        "{url}"
    );
}
