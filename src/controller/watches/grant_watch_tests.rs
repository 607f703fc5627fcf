use axum::{Json, Router, extract::Query, response::IntoResponse, routing::get};
use kube::{Client, Config, core::ApiResource};
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};

use super::*;
use crate::{
    api::{
        CancellationGrant,
        IdentityKind::{Operator, ServiceAccount},
    },
    controller::grants::book::Unit,
    lifecycle::Grant,
    telemetry::{exposition::Format, health::Health},
};

/// An API server that lists these items, and whose watches stay silent.
async fn api_server(items: Vec<Value>) -> Client {
    crate::google::tls::install_provider();
    let answer = move |Query(query): Query<HashMap<String, String>>| {
        let list = json!({"kind": "List", "apiVersion": "opcancel.github.io/v1alpha1",
            "metadata": {"resourceVersion": "5"}, "items": items});
        async move {
            if query.contains_key("watch") {
                std::future::pending::<()>().await;
            }
            Json(list).into_response()
        }
    };
    let router = Router::new().fallback(get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    Client::try_from(Config::new(url.parse().unwrap())).unwrap()
}

#[tokio::test]
async fn what_a_newer_release_says_in_a_grant_never_grants_more() {
    let grant = |name: &str, field: &str, value: Value| {
        let mut spec = json!({"namespaces": [name], "projects": ["p"], "services": ["dialogflow"],
            "identities": ["Operator", "ServiceAccount"]});
        spec[field] = value;
        json!({"metadata": {"name": name, "uid": name, "resourceVersion": "4"}, "spec": spec})
    };
    let client = api_server(vec![
        grant("whole", "projects", json!(["p", "q"])),
        grant("field", "notAfter", json!("2030-01-01T00:00:00Z")),
        grant("identity", "identities", json!(["Fleet", "Operator"])),
        grant("types", "projects", json!("p")),
    ])
    .await;
    let client = WatchClient {
        kubernetes: client,
        metrics: Arc::default(),
        health: Arc::new(Health::waiting_for(&["grants"])),
    };
    let metrics = client.metrics.clone();
    let book = GrantBook::default();
    let (changed, mut listed) = watch::channel(0);
    let resource = ApiResource::erase::<CancellationGrant>(&());
    let watching = tokio::spawn(watch_grants(
        client,
        resource,
        book.clone(),
        watch::channel(None).0,
        changed,
        "grants",
    ));
    listed.wait_for(|version| *version > 0).await.unwrap();
    let grants = book.now();
    for (namespace, identity, allowed) in [
        ("whole", Operator, true),
        ("whole", ServiceAccount, true),
        ("field", Operator, false),
        ("field", ServiceAccount, false),
        ("identity", Operator, true),
        ("identity", ServiceAccount, false),
        ("types", Operator, false),
    ] {
        assert_eq!(
            grants.allows(namespace, Unit::Under("projects/p"), "dialogflow", identity),
            allowed,
            "{namespace} {identity:?}"
        );
    }
    // Only the leader has metrics of objects.
    metrics.leads(true);
    let text = metrics.text(Format::Text).unwrap();
    for state in ["Valid", "UnknownField", "UnknownIdentity", "Invalid"] {
        assert!(
            text.contains(&format!("opcancel_grants{{state=\"{state}\"}} 1\n")),
            "{state}: {text}"
        );
    }
    watching.abort();
}

#[tokio::test]
async fn without_a_list_of_the_grants_nothing_is_allowed_and_it_is_not_ready() {
    let granted = json!({"metadata": {"name": "team", "uid": "team", "resourceVersion": "4"}, "spec": {"namespaces": ["team"],
        "projects": ["p"], "services": ["dialogflow"], "identities": ["Operator"]}});
    let client = WatchClient {
        kubernetes: api_server(vec![granted]).await,
        metrics: Arc::default(),
        health: Arc::new(Health::waiting_for(&["grants"])),
    };
    let health = client.health.clone();
    let (changed, mut listed) = watch::channel(0);
    let resource = ApiResource::erase::<CancellationGrant>(&());
    let overdue_after = Duration::from_millis(200);
    let book = GrantBook::default();
    let (shared, (keys, _)) = (book.clone(), watch::channel(None));
    let watching = watch_grants_overdue_after(
        overdue_after,
        client,
        resource,
        shared,
        keys,
        changed,
        "grants",
    );
    let watching = tokio::spawn(watching);
    // Its step was done then: it is the only one that this readiness waits for.
    listed.wait_for(|version| *version > 0).await.unwrap();
    let said = "grants: the CancellationGrants could not be listed for 20 minutes";
    while !health
        .missing()
        .is_some_and(|missing| missing.contains(said))
    {
        tokio::task::yield_now().await;
    }
    let grants = book.now();
    let asked = ("team", Unit::Under("projects/p"), "dialogflow", Operator);
    assert_eq!(
        grants.grant(asked.0, asked.1, asked.2, asked.3),
        Grant::Unknown
    );
    assert!(
        !grants.allows(asked.0, asked.1, asked.2, asked.3),
        "a revoked grant would still allow it"
    );
    watching.abort();
}
