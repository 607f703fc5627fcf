//! A ServiceAccount for the controller of one test, with the roles of `deploy/`, so that the test can change what it may do.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::{Value, json};

use crate::support::{
    cluster::{cluster, kubectl_as_admin},
    world::PATIENCE,
};

const NAME: &str = "own-controller";
const ROLES: [&str; 2] = ["opcancel-controller", "opcancel-controller-grants"];

/// See the module. It is bound to the roles at first.
pub struct OwnAccount {
    namespace: String,
    kubeconfig: PathBuf,
}

impl OwnAccount {
    /// Creates it in a namespace.
    pub fn new(namespace: &str) -> Self {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": namespace}});
        kubectl_as_admin(&["create", "--filename=-"], &account.to_string()).unwrap();
        let kubeconfig = cluster()
            .control_plane
            .service_account_kubeconfig(namespace, NAME)
            .unwrap();
        let account = Self {
            namespace: namespace.to_owned(),
            kubeconfig,
        };
        account.bind();
        account
    }

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A token of it.
    pub fn token(&self) -> String {
        let token = cluster()
            .control_plane
            .service_account_token(&self.namespace, NAME);
        token.unwrap()
    }

    /// As the subject of a policy.
    pub fn subject(&self) -> Value {
        json!({"kind": "ServiceAccount", "name": NAME, "namespace": self.namespace})
    }

    /// Binds it to the roles, and waits until the API server knows.
    pub fn bind(&self) {
        kubectl_as_admin(&["apply", "--filename=-"], &self.bindings()).unwrap();
        self.wait_until("yes");
    }

    /// Deletes its bindings, and waits until the API server knows.
    pub fn unbind(&self) {
        kubectl_as_admin(&["delete", "--filename=-"], &self.bindings()).unwrap();
        self.wait_until("no");
    }

    fn bindings(&self) -> String {
        let group = "rbac.authorization.k8s.io";
        let binding = |role: &&str| {
            json!({
                "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding",
                "metadata": {"name": format!("{}-{role}", self.namespace)},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
                "subjects": [self.subject()],
            })
        };
        let items: Vec<_> = ROLES.iter().map(binding).collect();
        json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
    }

    fn wait_until(&self, allowed: &str) {
        let user = format!("--as=system:serviceaccount:{}:{NAME}", self.namespace);
        let asked = ["patch", "operationcancellations", "cancellationgrants"];
        let [verb, cancellations, grants] = asked;
        let questions = [
            [verb, cancellations, "--subresource=status"],
            ["list", grants, "--all-namespaces"],
        ];
        let begun = Instant::now();
        for question in questions {
            let can_i = [&["auth", "can-i", &user][..], &question].concat();
            // kubectl fails to say no.
            while kubectl_as_admin(&can_i, "").is_ok() != (allowed == "yes") {
                assert!(begun.elapsed() < PATIENCE, "{question:?}");
            }
        }
    }
}
