//! The files of `deploy/integrations/`: one source each, and taken by a real API server where their kinds are ours.

use serde_json::{Value, json};

use crate::support::{
    cluster::{Namespace, json_of, root},
    world::{World, operation},
};

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join("deploy/integrations").join(path)).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn argo_cds_config_map_has_exactly_the_scripts_beside_it() {
    let kind = "opcancel.github.io_OperationCancellation";
    let health = format!("resource.customizations.health.{kind}");
    let actions = format!("resource.customizations.actions.{kind}");
    let config_map = yaml(&file("argo-cd/argocd-cm.yaml"));
    assert_eq!(
        config_map["metadata"],
        json!({"name": "argocd-cm", "namespace": "argocd"})
    );
    let data = config_map["data"].as_object().unwrap();
    assert_eq!(data.len(), 2, "{data:?}");
    assert_eq!(data[&health], file("argo-cd/health.lua"));
    let definition = |name: &str| json!({"name": name, "action.lua": file(&format!("argo-cd/actions/{name}/action.lua"))});
    assert_eq!(
        yaml(data[&actions].as_str().unwrap()),
        json!({
            "discovery.lua": file("argo-cd/actions/discovery.lua"),
            "definitions": [definition("suspend"), definition("resume")],
        })
    );
}

#[test]
fn what_argo_cds_actions_change_the_tenant_may_change() {
    let world = World::without_grant("argo-actions", []);
    world.cancel("op", &[]);
    for suspend in [true, false] {
        let object = world.object("op");
        let [verdict] = &crate::support::judges::judge(&[&object])[..] else {
            panic!("one verdict");
        };
        let name = if suspend { "suspend" } else { "resume" };
        let patch: Value = serde_json::from_str(&verdict.actions[name]).unwrap();
        world.patch("op", &patch).unwrap();
        assert_eq!(world.object("op").0["spec"]["suspend"], suspend);
    }
}

/// The cancellations in files whose own kinds this API server does not know.
#[test]
fn the_cancellations_inside_are_taken() {
    let namespace = Namespace::new("wrapped");
    let object = yaml(&file("crossplane/object.yaml"));
    assert_eq!(object["spec"]["readiness"]["policy"], "DeriveFromObject");
    let composition = yaml(&file("crossplane/composition.yaml"));
    let resource = &composition["spec"]["pipeline"][0]["input"]["resources"][0];
    assert_eq!(
        resource["readinessChecks"],
        json!([{"type": "MatchCondition", "matchCondition": {"type": "Ready", "status": "True"}}])
    );
    for (number, manifest) in [
        &object["spec"]["forProvider"]["manifest"],
        &resource["base"],
    ]
    .into_iter()
    .enumerate()
    {
        let mut manifest = manifest.clone();
        manifest["metadata"] = json!({"name": format!("op-{number}")});
        let arguments = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--output=json",
            "--filename=-",
        ];
        let taken = namespace
            .kubectl(&arguments, &manifest.to_string())
            .unwrap();
        assert_eq!(json_of(&taken)["spec"]["suspend"], false);
    }
}

/// Edits as Terraform's `kubernetes_manifest` makes them: what it states is what comes back, or it reports an inconsistent result.
#[test]
fn terraforms_edits_change_what_they_state_and_nothing_else() {
    let namespace = Namespace::new("terraform");
    let apply = |fields: Value| {
        let mut spec = json!({
            "service": "dialogflow", "operationName": "projects/acme-prod/operations/op",
        });
        let stated = fields.as_object().unwrap().clone();
        spec.as_object_mut().unwrap().extend(stated);
        let object = json!({
            "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
            "metadata": {"name": "op"}, "spec": spec,
        });
        let arguments = [
            "apply",
            "--server-side",
            "--field-manager=Terraform",
            "--output=json",
            "--filename=-",
        ];
        let applied = namespace.kubectl(&arguments, &object.to_string())?;
        Ok::<_, String>((spec, json_of(&applied)))
    };
    let default = json!(["Cancelled", "Completed", "Failed"]);
    for (fields, outcomes) in [
        (json!({}), default.clone()),
        (
            json!({"acceptedOutcomes": ["Cancelled"]}),
            json!(["Cancelled"]),
        ),
        (
            json!({"acceptedOutcomes": ["NotFound", "Cancelled"], "deadlineSeconds": 600}),
            json!(["NotFound", "Cancelled"]),
        ),
        (
            json!({"acceptedOutcomes": ["Failed"], "suspend": true}),
            json!(["Failed"]),
        ),
        (json!({}), default),
    ] {
        let (stated, first) = apply(fields.clone()).unwrap();
        for (field, value) in stated.as_object().unwrap() {
            assert_eq!(first["spec"][field], *value, "{fields}");
        }
        assert_eq!(first["spec"]["acceptedOutcomes"], outcomes, "{fields}");
        let (_, second) = apply(fields).unwrap();
        let seen = |object: &Value| {
            [
                object["spec"].clone(),
                object["metadata"]["generation"].clone(),
            ]
        };
        assert_eq!(
            seen(&first),
            seen(&second),
            "a second apply changes nothing"
        );
    }
    let bare = apply(json!({})).unwrap().1;
    assert_eq!(
        [&bare["spec"]["suspend"], &bare["spec"]["deadlineSeconds"]],
        [&json!(false), &json!(86400)],
        "what is no longer stated has its default again"
    );
    let why = apply(json!({"version": "v2"})).unwrap_err();
    assert!(why.contains("spec.version is immutable"), "{why}");
}

#[test]
fn a_version_that_terraform_stated_cannot_be_removed() {
    let namespace = Namespace::new("terraform-version");
    let apply = |version: &str| {
        let object = format!(
            "apiVersion: opcancel.github.io/v1alpha1\nkind: OperationCancellation\nmetadata:\n  name: op\nspec:\n  service: dialogflow\n  operationName: projects/acme-prod/operations/op\n{version}"
        );
        let arguments = [
            "apply",
            "--server-side",
            "--field-manager=Terraform",
            "--filename=-",
        ];
        namespace.kubectl(&arguments, &object)
    };
    apply("  version: v2\n").unwrap();
    let why = apply("").unwrap_err();
    assert!(
        why.contains("spec.version is immutable") && why.contains("another name"),
        "{why}"
    );
    apply("  version: v2\n").unwrap();
}

/// provider-kubernetes without server-side apply: a merge patch with the whole manifest.
#[test]
fn a_merge_patch_leaves_what_the_manifest_no_longer_states() {
    let world = World::without_grant("merge-patch", []);
    world.cancel(
        "op",
        &["version: v2", "acceptedOutcomes: [Cancelled, Failed]"],
    );
    let spec = |more: Value| {
        let mut spec = json!({"service": "dialogflow", "operationName": operation("op")});
        let more = more.as_object().unwrap().clone();
        spec.as_object_mut().unwrap().extend(more);
        world.patch("op", &json!({"spec": spec})).unwrap();
        world.object("op").0["spec"].clone()
    };
    let shorter = spec(json!({"acceptedOutcomes": ["Cancelled"]}));
    assert_eq!(shorter["acceptedOutcomes"], json!(["Cancelled"]));
    let removed = spec(json!({}));
    assert_eq!(removed, shorter);
    assert_eq!(removed["version"], "v2");
}
