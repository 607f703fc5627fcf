//! The tenants and the administrator: what they do with objects, grants and operations. Requests go past the proxies; whether one
//! failed does not matter, because the records say what was stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::operations::Behaviour;
use super::plan::Deed;
use crate::tasks::load_client;

/// The namespaces. Each has the grant of its name, for the project of its name.
pub(super) const NAMESPACES: [&str; 2] = ["soak-a", "soak-b"];

const API: &str = "/apis/opcancel.github.io/v1alpha1";
const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// How long the API server or the emulator may take; it may be away.
const LIMIT: Duration = Duration::from_secs(10);

/// An object that exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Existing {
    /// The version that is stored, which grows with each change.
    pub(super) revision: u64,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) operation: String,
    pub(super) suspended: bool,
    pub(super) finished: bool,
}

impl Existing {
    /// Whether no GET of the operation says how it is. After a lost answer the controller then waits as after a refusal: minutes.
    pub(super) fn is_invalid(&self) -> bool {
        let invalid = format!("/{:?}-", Behaviour::IsInvalid);
        self.operation.contains(&invalid)
    }
}

/// See the module.
#[derive(Clone)]
pub(super) struct Tenant {
    client: Client,
    server: Arc<str>,
    emulator: Arc<str>,
    created: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
}

impl Tenant {
    /// With a ServiceAccount's token; `authorities` in PEM, `emulator` is the URL of its admin API.
    pub(super) fn new(
        server: &str,
        authorities: &[u8],
        token: &str,
        emulator: &str,
    ) -> Result<Self> {
        let client = load_client::builder(authorities, token)?
            .timeout(LIMIT)
            .user_agent("opcancel-soak")
            .build()?;
        Ok(Self {
            client,
            server: server.into(),
            emulator: emulator.into(),
            created: Arc::default(),
            done: Arc::default(),
        })
    }

    /// How many deeds were done.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Does something with one of the objects that exist, which `pick` chooses.
    pub(super) async fn carry_out(
        &self,
        deed: Deed,
        pick: u64,
        existing: &[Existing],
    ) -> Result<()> {
        self.done.fetch_add(1, Ordering::Relaxed);
        match deed {
            Deed::Create => return self.create(pick).await,
            Deed::Revoke => return self.revoke(pick).await,
            _ => {}
        }
        let concerns = |object: &&Existing| match deed {
            Deed::Suspend => !object.finished && !object.suspended,
            Deed::Resume => object.suspended && !object.finished,
            Deed::EndOperation => !object.finished,
            _ => true,
        };
        let objects: Vec<_> = existing.iter().filter(concerns).collect();
        let index = usize::try_from(pick % objects.len().max(1) as u64)?;
        let Some(object) = objects.get(index) else {
            return Ok(());
        };
        match deed {
            Deed::CreateAgain => self.create_again(object, pick).await,
            Deed::Suspend => self.suspend(object, true).await,
            Deed::Resume => self.suspend(object, false).await,
            Deed::Edit => self.edit(object, pick).await,
            Deed::Delete => self.delete(object).await,
            Deed::EndOperation => self.end_operation(&object.operation).await,
            Deed::Create | Deed::Revoke => Ok(()),
        }
    }

    async fn create(&self, pick: u64) -> Result<()> {
        let number = self.created.fetch_add(1, Ordering::Relaxed);
        self.create_named(namespace(number), &format!("o-{number}"), pick)
            .await
    }

    async fn create_named(&self, namespace: &str, name: &str, pick: u64) -> Result<()> {
        let number = self.created.fetch_add(1, Ordering::Relaxed);
        let behaviour = Behaviour::pick(pick);
        let operation = format!(
            "projects/{namespace}/locations/europe-west1/operations/{behaviour:?}-{number}"
        );
        let script = behaviour.script(pick >> 8);
        let operation_set = json!({"name": operation, "script": script});
        self.admin(Method::PUT, "operations", &operation_set)
            .await?;
        // Some are suspended from the start.
        let suspended = (pick >> 24).is_multiple_of(8);
        self.create_object(namespace, name, &operation, behaviour.deadline(), suspended)
            .await
    }

    async fn create_object(
        &self,
        namespace: &str,
        name: &str,
        operation: &str,
        deadline: u64,
        suspended: bool,
    ) -> Result<()> {
        let object = json!({
            "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"service": "dialogflow", "operationName": operation, "deadlineSeconds": deadline, "suspend": suspended},
        });
        self.api(Method::POST, &objects(namespace), JSON, &object)
            .await
    }

    async fn create_again(&self, object: &Existing, pick: u64) -> Result<()> {
        self.delete(object).await?;
        if pick.is_multiple_of(2) {
            return self
                .create_named(&object.namespace, &object.name, pick)
                .await;
        }
        let operation = &object.operation;
        self.create_object(&object.namespace, &object.name, operation, 86_400, false)
            .await
    }

    /// Suspends an object or resumes it.
    pub(super) async fn suspend(&self, object: &Existing, suspend: bool) -> Result<()> {
        self.patch(object, &json!({"spec": {"suspend": suspend}}))
            .await
    }

    async fn edit(&self, object: &Existing, pick: u64) -> Result<()> {
        let deadline = 3600 + pick % 1000;
        let edit = json!({
            "metadata": {"labels": {"edit": pick.to_string()}}, "spec": {"deadlineSeconds": deadline},
        });
        self.patch(object, &edit).await
    }

    async fn patch(&self, object: &Existing, patch: &Value) -> Result<()> {
        self.api(Method::PATCH, &path(object), MERGE_PATCH, patch)
            .await
    }

    /// Lets the deadline of an object pass.
    pub(super) async fn shorten_deadline(&self, object: &Existing) -> Result<()> {
        self.patch(object, &json!({"spec": {"deadlineSeconds": 10}}))
            .await
    }

    /// Deletes an object.
    pub(super) async fn delete(&self, object: &Existing) -> Result<()> {
        self.api(Method::DELETE, &path(object), JSON, &Value::Null)
            .await
    }

    /// Ends an operation, if it runs.
    pub(super) async fn end_operation(&self, operation: &str) -> Result<()> {
        let end = json!({"name": operation, "result": {"completed": {}}});
        self.admin(Method::POST, "operations/finish", &end).await
    }

    /// Removes an operation from the emulator.
    pub(super) async fn remove_operation(&self, operation: &str) -> Result<()> {
        let path = format!("operations?name={operation}");
        self.admin(Method::DELETE, &path, &Value::Null).await
    }

    async fn revoke(&self, pick: u64) -> Result<()> {
        let namespace = namespace(pick);
        let path = format!("{API}/cancellationgrants/{namespace}");
        let revoked = self.api(Method::DELETE, &path, JSON, &Value::Null).await;
        tokio::time::sleep(Duration::from_millis(pick % 3000)).await;
        self.grant(namespace).await?;
        revoked
    }

    /// Creates the grant of a namespace, if it does not exist.
    pub(super) async fn grant(&self, namespace: &str) -> Result<()> {
        let grants = format!("{API}/cancellationgrants");
        self.api(Method::POST, &grants, JSON, &grant(namespace))
            .await
    }

    /// A request to the emulator's admin API.
    pub(super) async fn admin(&self, method: Method, path: &str, body: &Value) -> Result<()> {
        let url = format!("{}/admin/{path}", self.emulator);
        self.send(method, &url, JSON, body).await
    }

    async fn api(&self, method: Method, path: &str, kind: &str, body: &Value) -> Result<()> {
        let url = format!("{}{path}", self.server);
        self.send(method, &url, kind, body).await
    }

    /// An answer of any status is an answer: 404 and 409 are part of the game.
    async fn send(&self, method: Method, url: &str, kind: &str, body: &Value) -> Result<()> {
        let mut request = self.client.request(method, url);
        if !body.is_null() {
            request = request.header(CONTENT_TYPE, kind).body(body.to_string());
        }
        request.send().await?.bytes().await?;
        Ok(())
    }
}

/// The grant of a namespace.
pub(super) fn grant(namespace: &str) -> Value {
    json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "CancellationGrant",
        "metadata": {"name": namespace},
        "spec": {
            "namespaces": [namespace], "projects": [namespace], "services": ["dialogflow"],
            "identities": ["Operator"],
        },
    })
}

/// One of the namespaces.
const fn namespace(pick: u64) -> &'static str {
    if pick.is_multiple_of(2) {
        NAMESPACES[0]
    } else {
        NAMESPACES[1]
    }
}

fn objects(namespace: &str) -> String {
    format!("{API}/namespaces/{namespace}/operationcancellations")
}

fn path(object: &Existing) -> String {
    format!("{}/{}", objects(&object.namespace), object.name)
}
