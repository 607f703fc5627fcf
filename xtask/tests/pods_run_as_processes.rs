//! A Deployment's Pods run on the stand-in for a node, and kubectl tells of them what it tells of any.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use xtask::control_plane::{ControlPlane, Options};
use xtask::node::{self, Node};

/// What stands for the image `talker`: it says what it was given, and stays.
const TALKER: &str = r#"#!/bin/sh
echo "arguments: $*"
echo "VARIABLE=$VARIABLE DEFAULT=$DEFAULT HOME=${HOME-unset}"
echo "configuration: $(cat "$2")"
echo "token: $(cut -c1-2 "$(dirname "$2")/../token/google")"
if [ "$VARIABLE" = crash ]; then exit 3; fi
exec sleep 1000
"#;

fn deployment(name: &str, image: &str, variable: &str) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [{
                        "name": "main", "image": image,
                        "args": ["--configuration", "/etc/talker/file.json", "--listen=0.0.0.0:8080", "$(VARIABLE)"],
                        "env": [{"name": "VARIABLE", "value": variable}],
                        "volumeMounts": [
                            {"name": "configuration", "mountPath": "/etc/talker"},
                            {"name": "token", "mountPath": "/var/run/token"},
                        ],
                    }],
                    "volumes": [
                        {"name": "configuration", "configMap": {"name": "talker"}},
                        {"name": "token", "projected": {"sources": [
                            {"serviceAccountToken": {"path": "google", "audience": "somebody"}},
                        ]}},
                    ],
                },
            },
        },
    })
}

#[test]
fn a_deployment_runs_and_kubectl_tells_of_it() {
    let control_plane = ControlPlane::start(Options::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("talker");
    fs::write(&program, TALKER).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let node = Node::start(
        &control_plane,
        node::Options {
            images: BTreeMap::from([("talker".to_owned(), program)]),
            variables: vec![
                ("DEFAULT".to_owned(), "given".to_owned()),
                ("VARIABLE".to_owned(), "overridden".to_owned()),
            ],
        },
    )
    .unwrap();
    let configuration = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "talker"},
        "data": {"file.json": "{\"file\":\"/var/run/token/google\"}"},
    });
    for object in [
        configuration,
        deployment("good", "registry.example/talker:1", "set"),
        deployment("crashing", "talker:1", "crash"),
        deployment("unknown", "stranger:1", ""),
    ] {
        control_plane.apply_text(&object.to_string()).unwrap();
    }

    let kubectl = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        control_plane.run_kubectl(&words)
    };
    kubectl("rollout status deployment/good --timeout=60s").unwrap();
    let log = kubectl("logs deployment/good").unwrap();
    let pods = control_plane.folder().join("pods").display().to_string();
    for (part, there) in [
        ("--listen=127.", true),
        ("0.0.0.0", false),
        (" set\n", true),
        ("VARIABLE=set DEFAULT=given HOME=unset", true),
        (&format!("configuration: {{\"file\":\"{pods}/"), true),
        // A JWT.
        ("token: ey", true),
    ] {
        assert_eq!(log.contains(part), there, "{part}: {log}");
    }

    // A Pod that is deleted ends, and another comes.
    let first = kubectl("get pods -l app=good -o jsonpath={.items[*].metadata.name}").unwrap();
    kubectl(&format!("delete pod {first}")).unwrap();
    kubectl("rollout status deployment/good --timeout=60s").unwrap();
    let second = kubectl("get pods -l app=good -o jsonpath={.items[*].metadata.name}").unwrap();
    assert_ne!(first, second);
    let process = |pod: &str, end: &str| {
        control_plane
            .folder()
            .join(format!("pod-default-{pod}-0.{end}"))
            .exists()
    };
    assert!(process(&first, "exit") && !process(&second, "exit"));

    let told = |app: &str, path: &str, expected: &str| {
        let path = format!("--for=jsonpath={{.status.containerStatuses[0].{path}}}={expected}");
        kubectl(&format!("wait pod -l app={app} {path} --timeout=60s")).unwrap();
    };
    told("crashing", "lastState.terminated.exitCode", "3");
    told("unknown", "state.waiting.reason", "ErrImagePull");
    drop(node);
    control_plane.stop().unwrap();
}
