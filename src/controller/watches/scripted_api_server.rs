//! An API server for tests: the test itself gives every answer, when it chooses.

use std::collections::HashMap;

use axum::{
    Json, Router,
    body::Body,
    extract::Query,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures::StreamExt;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// A request that waits for its answer.
pub struct ReceivedRequest {
    pub path: String,
    pub query: HashMap<String, String>,
    answer: oneshot::Sender<Response>,
}

/// The stream of a watch, to which the test writes events. The watch ends when it is dropped.
pub struct Events(mpsc::UnboundedSender<Result<Bytes, std::io::Error>>);

impl ReceivedRequest {
    pub fn is_watch(&self) -> bool {
        self.query.contains_key("watch")
    }

    pub fn at(&self, key: &str) -> Option<&str> {
        self.query.get(key).map(String::as_str)
    }

    pub fn list(self, version: &str, items: &[Value], more: &str) {
        let list = json!({"apiVersion": "v1", "items": items, "kind": "List",
            "metadata": {"resourceVersion": version, "continue": more}});
        let _ = self.answer.send(Json(list).into_response());
    }

    pub fn object(self, object: &Value) {
        let _ = self.answer.send(Json(object).into_response());
    }

    /// Refuses the request, whose object is not there.
    pub fn not_found(self, name: &str) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 404,
            "message": "not found", "reason": "NotFound", "details": {"name": name}});
        let _ = self
            .answer
            .send((StatusCode::NOT_FOUND, Json(status)).into_response());
    }

    pub fn refuse(self, code: u16, metadata: Value, headers: &[(&'static str, &'static str)]) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "message": "refused by the test", "reason": "Expired", "metadata": metadata});
        let mut answer = (StatusCode::from_u16(code).unwrap(), Json(status)).into_response();
        for (name, value) in headers {
            answer.headers_mut().insert(*name, value.parse().unwrap());
        }
        let _ = self.answer.send(answer);
    }

    pub fn watch(self) -> Events {
        let (sender, receiver) = mpsc::unbounded_channel();
        let body = futures::stream::unfold(receiver, |mut receiver| async move {
            Some((receiver.recv().await?, receiver))
        });
        let _ = self
            .answer
            .send(Body::from_stream(body.fuse()).into_response());
        Events(sender)
    }
}

impl Events {
    pub fn write(&self, kind: &str, object: &Value) {
        self.write_text(json!({"type": kind, "object": object}).to_string() + "\n");
    }

    pub fn write_text(&self, text: impl Into<Bytes>) {
        self.0.send(Ok(text.into())).unwrap();
    }
}

/// Starts the server.
pub async fn start() -> (Client, mpsc::UnboundedReceiver<ReceivedRequest>) {
    crate::google::tls::install_provider();
    let (sender, receiver) = mpsc::unbounded_channel();
    let handle = move |uri: Uri, Query(query): Query<HashMap<String, String>>| {
        let path = uri.path().to_owned();
        let sender = sender.clone();
        async move {
            let (answer, given) = oneshot::channel();
            let _ = sender.send(ReceivedRequest {
                path,
                query,
                answer,
            });
            match given.await {
                Ok(answer) => answer,
                Err(_) => std::future::pending().await,
            }
        }
    };
    let router = Router::new().fallback(get(handle));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
    (client, receiver)
}

/// An object at a version.
pub fn object(name: &str, version: &str) -> Value {
    json!({"metadata": {"name": name, "uid": name, "resourceVersion": version}})
}
