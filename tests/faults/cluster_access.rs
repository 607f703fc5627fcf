//! What people do in a case: they declare objects and grants, change them, and look.

use std::time::Duration;

use futures::StreamExt;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{
    proxy::OBJECT,
    support::{
        cluster::{client_config, cluster},
        release::LEASE,
        world::{PROJECT, operation},
    },
};

/// Access to one namespace, as the administrator.
#[derive(Clone)]
pub struct ClusterAccess {
    client: Client,
    namespace: String,
}

async fn administrator() -> Client {
    static CLIENT: OnceCell<Client> = OnceCell::const_new();
    let client = CLIENT.get_or_init(|| async {
        let config = client_config(&cluster().control_plane.kubeconfig()).await;
        Client::try_from(config).unwrap()
    });
    client.await.clone()
}

/// Waits until the API server publishes the schema of our kinds, which it does some time after it serves them. Without that the
/// controller asks for it more than once.
pub async fn wait_for_schema() {
    let client = administrator().await;
    loop {
        let request = http::Request::get("/openapi/v3/apis/opcancel.github.io/v1alpha1");
        let published = client.request_text(request.body(Vec::new()).unwrap()).await;
        let kinds = ["OperationCancellation", "CancellationGrant"];
        if published.is_ok_and(|text| kinds.iter().all(|kind| text.contains(kind))) {
            return;
        }
        // Nothing announces it.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Sees to it that a list of grants has more than one page of 100, as in a cluster with many namespaces.
pub async fn fill_a_page_of_grants() {
    let grants = Api::<DynamicObject>::all_with(administrator().await, &ours("CancellationGrant"));
    let create = |number: usize| {
        let grants = grants.clone();
        async move {
            let grant = grant(&format!("faults-page-{number}"));
            let parameters = PatchParams::apply("faults").force();
            let name = grant["metadata"]["name"].as_str().unwrap();
            let applied = grants.patch(name, &parameters, &Patch::Apply(&grant)).await;
            applied.unwrap();
        }
    };
    futures::stream::iter(0..=100)
        .for_each_concurrent(8, create)
        .await;
}

/// A grant of this name for the namespace of this name: it may cancel the operations of the tests' project.
fn grant(name: &str) -> Value {
    json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "CancellationGrant",
        "metadata": {"name": name},
        "spec": {
            "namespaces": [name], "projects": [PROJECT],
            "services": ["dialogflow"], "identities": ["Operator"],
        },
    })
}

fn ours(kind: &str) -> ApiResource {
    let gvk = GroupVersionKind::gvk("opcancel.github.io", "v1alpha1", kind);
    ApiResource::from_gvk(&gvk)
}

impl ClusterAccess {
    /// Creates a namespace of this name.
    pub async fn to_new_namespace(name: &str) -> Self {
        let access = Self {
            client: administrator().await,
            namespace: name.to_owned(),
        };
        let namespaces = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
        let api = Api::all_with(access.client.clone(), &namespaces);
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        access.create(&api, namespace).await;
        access
    }

    /// Its name, which is that of its grant too.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Allows the namespace to cancel the operations of the tests' project.
    pub async fn grant(&self) {
        self.create(&self.grants(), grant(&self.namespace)).await;
    }

    /// Gives the controller's ServiceAccount the rights for its Lease in this namespace, as deploy/base/leader-election-role.yaml does.
    pub async fn allow_leader_election(&self) {
        let group = "rbac.authorization.k8s.io";
        let metadata = json!({"name": "leader-election"});
        let leases = |names: &[&str], verbs: &[&str]| {
            json!({
                "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
                "resourceNames": names, "verbs": verbs,
            })
        };
        let rules = [
            leases(&[], &["create"]),
            leases(&[LEASE], &["get", "patch", "watch"]),
        ];
        let role = json!({
            "apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": metadata, "rules": rules,
        });
        let binding = json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "leader-election"},
            "subjects": [{
                "kind": "ServiceAccount", "name": "opcancel-controller", "namespace": "opcancel-system",
            }],
        });
        for (kind, object) in [("Role", role), ("RoleBinding", binding)] {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
            let api = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
            self.create(&api, object).await;
        }
    }

    /// Declares the cancellation of the operation of the same id.
    pub async fn declare(&self, name: &str, more: &Value) {
        let mut spec = json!({"service": "dialogflow", "operationName": operation(name)});
        let fields = more.as_object().unwrap().clone();
        spec.as_object_mut().unwrap().extend(fields);
        let object = json!({
            "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
            "metadata": {"name": name}, "spec": spec,
        });
        self.create(&self.objects(), object).await;
    }

    /// Ends the suspension of the object of the case.
    pub async fn resume(&self) {
        let patch = json!({"spec": {"suspend": false}});
        merge(&self.objects(), OBJECT, patch).await;
    }

    /// Changes a label of the object of the case, as other controllers do.
    pub async fn touch_object(&self) {
        let patch = json!({"metadata": {"labels": {"touched": "yes"}}});
        merge(&self.objects(), OBJECT, patch).await;
    }

    /// Changes a label of the grant.
    pub async fn touch_grant(&self) {
        let patch = json!({"metadata": {"labels": {"touched": "yes"}}});
        merge(&self.grants(), &self.namespace, patch).await;
    }

    /// The object of the case as it is stored.
    pub async fn object(&self) -> Value {
        let object = self.objects().get(OBJECT).await.unwrap();
        serde_json::to_value(object).unwrap()
    }

    /// Removes the grant, which every controller watches.
    pub async fn clean_up(&self) {
        let _gone = self
            .grants()
            .delete(&self.namespace, &kube::api::DeleteParams::default())
            .await;
    }

    fn objects(&self) -> Api<DynamicObject> {
        let resource = ours("OperationCancellation");
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    fn grants(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &ours("CancellationGrant"))
    }

    async fn create(&self, api: &Api<DynamicObject>, object: Value) {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
    }
}

async fn merge(api: &Api<DynamicObject>, name: &str, patch: Value) {
    let parameters = PatchParams::default();
    let patched = api.patch(name, &parameters, &Patch::Merge(&patch)).await;
    patched.unwrap();
}
