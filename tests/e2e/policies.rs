//! The admission policies that are shipped (`deploy/policies/`) and the samples (`examples/policies/`), enforced by a real API server.

use std::{cell::Cell, fs, time::Instant};

use serde_json::{Value, json};

use crate::support::{
    cluster::{Namespace, kubectl_as_admin, root},
    world::{PATIENCE, of_operation},
};

const OPERATION: &str = "projects/acme-prod/locations/europe-west1/operations/op";

/// Applies a policy, for this namespace only: the other tests' objects are in the same cluster.
fn apply(file: &str, namespace: &Namespace) {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let mut documents = serde_saphyr::from_multiple::<Value>(&text).unwrap();
    let name = format!(
        "{}.{}",
        documents[0]["metadata"]["name"].as_str().unwrap(),
        namespace.name
    );
    for document in &mut documents {
        document["metadata"]["name"] = json!(name);
    }
    assert_eq!(documents.len(), 2, "a policy and its binding");
    documents[1]["spec"]["policyName"] = json!(name);
    documents[1]["spec"]["matchResources"] = json!({"namespaceSelector": {"matchLabels": {
        "kubernetes.io/metadata.name": namespace.name,
    }}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": documents});
    kubectl_as_admin(&["create", "--filename=-"], &list.to_string()).unwrap();
}

/// Creates an object as the tenant until the answer is as expected: the API server learns of a policy, a role or a label a moment
/// after their creation. Every accepted object is deleted again.
fn answered(
    namespace: &Namespace,
    spec: &[&str],
    expected: impl Fn(&Result<String, String>) -> bool,
) {
    answered_for(namespace, OPERATION, spec, expected);
}

fn answered_for(
    namespace: &Namespace,
    operation: &str,
    spec: &[&str],
    expected: impl Fn(&Result<String, String>) -> bool,
) {
    let manifest = of_operation("tried", operation, spec);
    let begun = Instant::now();
    loop {
        let answer = namespace_create(namespace, &manifest);
        if answer.is_ok() {
            let delete = ["delete", "opcancel", "tried"];
            namespace.kubectl(&delete, "").unwrap();
        }
        if expected(&answer) {
            return;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{operation} {spec:?}: {answer:?}"
        );
    }
}

/// Not [`Namespace::kubectl`], which repeats what is forbidden.
fn namespace_create(namespace: &Namespace, manifest: &str) -> Result<String, String> {
    let tenant = format!("--as=system:serviceaccount:{}:tenant", namespace.name);
    let within = format!("--namespace={}", namespace.name);
    kubectl_as_admin(&["create", "--filename=-", &tenant, &within], manifest)
}

fn label(namespace: &Namespace, label: &str) {
    let arguments = ["label", "--overwrite", "namespace", &namespace.name, label];
    kubectl_as_admin(&arguments, "").unwrap();
}

fn is_refused(answer: &Result<String, String>, with: &str) -> bool {
    answer.as_ref().is_err_and(|why| why.contains(with))
}

#[test]
fn a_service_account_is_named_only_with_the_verb_use() {
    let namespace = Namespace::new("use");
    apply("deploy/policies/service-account-use.yaml", &namespace);
    let named = ["serviceAccountName: deployer"];
    let refusal = format!(
        "spec.serviceAccountName: system:serviceaccount:{0}:tenant needs the verb use on serviceaccounts/deployer in namespace {0}",
        namespace.name
    );
    answered(&namespace, &named, |answer| is_refused(answer, &refusal));
    answered(&namespace, &[], Result::is_ok);
    // What the built-in role `edit` has is not the verb.
    let edit = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"namespace": namespace.name, "name": "edit"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": namespace.name}],
    });
    kubectl_as_admin(&["create", "--filename=-"], &edit.to_string()).unwrap();
    let tenant = format!("--as=system:serviceaccount:{}:tenant", namespace.name);
    let within = format!("--namespace={}", namespace.name);
    let begun = Instant::now();
    let may_impersonate = [
        "auth",
        "can-i",
        "impersonate",
        "serviceaccounts/deployer",
        &tenant,
        &within,
    ];
    while kubectl_as_admin(&may_impersonate, "").is_err() {
        assert!(begun.elapsed() < PATIENCE, "the role edit is never bound");
    }
    answered(&namespace, &named, |answer| is_refused(answer, &refusal));

    // kubectl create role refuses the verb: `can not perform 'use' on 'serviceaccounts'`.
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"namespace": namespace.name, "name": "use"},
        "rules": [{"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["deployer"], "verbs": ["use"]}],
    });
    kubectl_as_admin(&["create", "--filename=-"], &role.to_string()).unwrap();
    let subject = format!("--serviceaccount={}:tenant", namespace.name);
    kubectl_as_admin(
        &[
            "create",
            "rolebinding",
            "use",
            "--role=use",
            &subject,
            &within,
        ],
        "",
    )
    .unwrap();
    answered(&namespace, &named, Result::is_ok);
    let other = ["serviceAccountName: other"];
    answered(&namespace, &other, |answer| {
        is_refused(answer, "serviceaccounts/other")
    });
}

#[test]
fn a_namespace_cancels_only_in_the_projects_of_its_label() {
    let namespace = Namespace::new("projects");
    apply("examples/policies/projects-by-namespace.yaml", &namespace);
    let refusal = "the namespace's label opcancel.github.io/projects does not have this project";
    answered(&namespace, &[], |answer| is_refused(answer, refusal));
    label(
        &namespace,
        "opcancel.github.io/projects=acme-test_acme-prod",
    );
    answered(&namespace, &[], Result::is_ok);
    for other in [
        "projects/acme/operations/op",
        "projects/acme-prod2/operations/op",
    ] {
        answered_for(&namespace, other, &[], |answer| is_refused(answer, refusal));
    }
}

#[test]
fn in_a_suspended_namespace_nothing_new_is_cancelled() {
    let namespace = Namespace::new("suspended");
    let before = of_operation("before", OPERATION, &[]);
    namespace
        .kubectl(&["create", "--filename=-"], &before)
        .unwrap();
    apply("examples/policies/suspended-namespace.yaml", &namespace);
    label(&namespace, "opcancel.github.io/suspended=true");
    let refusal = "spec.suspend must be true, because the namespace has the label";
    answered(&namespace, &[], |answer| is_refused(answer, refusal));
    answered(&namespace, &["suspend: true"], Result::is_ok);
    let held = of_operation("held", OPERATION, &["suspend: true"]);
    namespace
        .kubectl(&["create", "--filename=-"], &held)
        .unwrap();
    let resume = |name: &str| {
        let patch = [
            "patch",
            "opcancel",
            name,
            "--type=merge",
            "--patch={\"spec\":{\"suspend\":false}}",
        ];
        namespace.kubectl(&patch, "")
    };
    assert!(is_refused(&resume("held"), refusal));
    // What was there before can still be labelled, and suspended.
    namespace
        .kubectl(&["label", "opcancel", "before", "a=b"], "")
        .unwrap();
    let suspend = [
        "patch",
        "opcancel",
        "before",
        "--type=merge",
        "--patch={\"spec\":{\"suspend\":true}}",
    ];
    namespace.kubectl(&suspend, "").unwrap();
    label(&namespace, "opcancel.github.io/suspended-");
    let begun = Instant::now();
    while let Err(why) = resume("held") {
        assert!(begun.elapsed() < PATIENCE, "{why}");
    }
}

/// In a namespace with the label, an object is suspended unless a user resumes it. The other sample forbids that.
#[test]
fn in_a_suspended_namespace_new_objects_are_suspended_by_default() {
    let namespace = Namespace::new("by-default");
    apply("examples/policies/suspended-by-default.yaml", &namespace);
    label(&namespace, "opcancel.github.io/suspended=true");
    let is_suspended = |spec: &[&str]| {
        let manifest = of_operation("tried", OPERATION, spec);
        namespace
            .kubectl(&["create", "--filename=-"], &manifest)
            .unwrap();
        let read = [
            "get",
            "opcancel",
            "tried",
            "--output=jsonpath={.spec.suspend}",
        ];
        let suspend = namespace.kubectl(&read, "").unwrap();
        let delete = ["delete", "opcancel", "tried"];
        namespace.kubectl(&delete, "").unwrap();
        suspend == "true"
    };
    let begun = Instant::now();
    while !is_suspended(&[]) {
        assert!(begun.elapsed() < PATIENCE, "the policy has no effect");
    }
    assert!(is_suspended(&["suspend: false"]));
    assert!(is_suspended(&["suspend: true"]));
    let held = of_operation("held", OPERATION, &["suspend: true"]);
    namespace
        .kubectl(&["create", "--filename=-"], &held)
        .unwrap();
    let resume = [
        "patch",
        "opcancel",
        "held",
        "--type=merge",
        "--patch={\"spec\":{\"suspend\":false}}",
    ];
    namespace.kubectl(&resume, "").unwrap();

    // Both samples together: an object can be created without the field, and not be resumed.
    apply("examples/policies/suspended-namespace.yaml", &namespace);
    let suspend = resume.map(|argument| argument.replace("false", "true"));
    namespace
        .kubectl(&suspend.each_ref().map(String::as_str), "")
        .unwrap();
    let begun = Instant::now();
    loop {
        match namespace.kubectl(&resume, "") {
            Err(why) => break assert!(why.contains("spec.suspend must be true"), "{why}"),
            Ok(_) => assert!(begun.elapsed() < PATIENCE, "it can be resumed"),
        }
        namespace
            .kubectl(&suspend.each_ref().map(String::as_str), "")
            .unwrap();
    }
    assert!(is_suspended(&[]));
}

#[test]
fn only_users_who_can_change_grants_change_the_labels_that_grants_select_by() {
    let namespace = Namespace::new("label-policy");
    apply("deploy/policies/namespace-labels.yaml", &namespace);
    let name = namespace.name.as_str();
    let tenant = format!("--as=system:serviceaccount:{name}:tenant");
    let verbs = ["get", "update", "patch"];
    let group = "rbac.authorization.k8s.io";
    let subject = json!({"kind": "ServiceAccount", "name": "tenant", "namespace": name});
    let may_label = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": format!("{group}/v1"), "kind": "Role",
            "metadata": {"namespace": name, "name": "label"},
            "rules": [{"apiGroups": [""], "resources": ["namespaces", "namespaces/status", "namespaces/finalize"], "verbs": verbs}],
        },
        {
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding",
            "metadata": {"namespace": name, "name": "label"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "label"},
            "subjects": [subject],
        },
    ]});
    kubectl_as_admin(&["create", "--filename=-"], &may_label.to_string()).unwrap();
    let set = |label: &str| {
        let arguments = ["label", "--overwrite", "namespace", name, label, &tenant];
        kubectl_as_admin(&arguments, "")
    };
    let wait_for = |what: &str, is_so: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "{what}");
        }
    };
    let refusal = format!(
        "metadata.labels: system:serviceaccount:{name}:tenant needs the verb update on cancellationgrants to change labels that begin with opcancel.github.io/"
    );
    let environment = "opcancel.github.io/environment";
    let preview = format!("{environment}=preview");
    wait_for("the role is bound", &|| set("own=label").is_ok());
    // Another value at each try: a label that stays as it is, the policy does not forbid.
    let tries = Cell::new(0);
    wait_for("the policy is enforced", &|| {
        tries.set(tries.get() + 1);
        is_refused(
            &set(&format!("{environment}=try-{}", tries.get())),
            &refusal,
        )
    });
    label(&namespace, &preview);
    for change in [
        format!("{environment}=production"),
        format!("{environment}-"),
    ] {
        assert!(is_refused(&set(&change), &refusal), "{change}");
    }
    set("own=another").unwrap();
    set("own-").unwrap();

    // The subresources change labels, too.
    let patch = json!({"metadata": {"labels": {environment: "production"}}}).to_string();
    let patch = format!("--patch={patch}");
    let status = [
        "patch",
        "namespace",
        name,
        "--subresource=status",
        "--type=merge",
        &patch,
        &tenant,
    ];
    let answer = kubectl_as_admin(&status, "");
    assert!(is_refused(&answer, &refusal), "{answer:?}");
    let stored = kubectl_as_admin(&["get", "namespace", name, "--output=json"], "").unwrap();
    let mut changed = crate::support::cluster::json_of(&stored);
    changed["metadata"]["labels"][environment] = json!("production");
    let path = format!("--raw=/api/v1/namespaces/{name}/finalize");
    let answer = kubectl_as_admin(
        &["replace", &path, "--filename=-", &tenant],
        &changed.to_string(),
    );
    assert!(is_refused(&answer, &refusal), "{answer:?}");

    // As the role opcancel-grant-admin allows.
    let grants = format!("{name}-grants");
    let admin = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRole",
            "metadata": {"name": grants},
            "rules": [{"apiGroups": ["opcancel.github.io"], "resources": ["cancellationgrants"], "verbs": ["update"]}],
        },
        {
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding",
            "metadata": {"name": grants},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": grants},
            "subjects": [subject],
        },
    ]});
    kubectl_as_admin(&["create", "--filename=-"], &admin.to_string()).unwrap();
    wait_for("who may change grants may", &|| {
        set(&format!("{environment}-")).is_ok()
    });
}
