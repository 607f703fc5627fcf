use std::sync::Arc;

use serde_json::{Value, json};
use tokio::{sync::mpsc::UnboundedReceiver, task::JoinSet};

use super::*;
use crate::{
    api::{CancellationGrantSpec, IdentityKind::Operator},
    controller::{
        grants::book::{GrantBook, Grants, Unit},
        watches::scripted_api_server::{self, ReceivedRequest},
    },
    lifecycle::Grant,
    telemetry::health::Health,
};

const STEP: &str = "namespace-labels";

/// What the watch of namespaces has to do with. The project of each grant has the name of its label.
pub struct Watched {
    pub client: WatchClient,
    pub requests: UnboundedReceiver<ReceivedRequest>,
    pub keys: watch::Sender<LabelKeys>,
    pub wanted: watch::Receiver<LabelKeys>,
    pub target: LabelTarget,
    pub changes: watch::Receiver<u64>,
}

impl Watched {
    pub async fn new(labels: &[&str]) -> Self {
        let (kubernetes, requests) = scripted_api_server::start().await;
        let client = WatchClient {
            kubernetes,
            metrics: Arc::default(),
            health: Arc::new(Health::waiting_for(&[STEP])),
        };
        let (keys, wanted) = watch::channel(None);
        let (changed, changes) = watch::channel(0);
        let target = LabelTarget {
            book: GrantBook::default(),
            changed,
            step: STEP,
        };
        let watched = Self {
            client,
            requests,
            keys,
            wanted,
            target,
            changes,
        };
        watched.grant(labels);
        watched
    }

    /// Grants for the namespaces that have each of these labels with the value `yes`.
    pub fn grant(&self, labels: &[&str]) {
        let grant = |label: &&str| -> CancellationGrantSpec {
            let spec = json!({"namespaceSelector": {"matchLabels": {*label: "yes"}}, "projects": [label],
                "services": ["dialogflow"], "identities": ["Operator"]});
            serde_json::from_value(spec).unwrap()
        };
        let specs: Vec<_> = labels.iter().map(grant).collect();
        let grants = Grants::new(&specs);
        self.target.book.replace(&grants);
        self.keys.send_replace(Some(grants.label_keys()));
    }

    /// Waits for the next change of the labels.
    pub async fn changed(&mut self) {
        self.changes.changed().await.unwrap();
    }

    pub fn granted(&self, namespace: &str, project: &str) -> Grant {
        let parent = format!("projects/{project}");
        let grants = self.target.book.now();
        grants.grant(namespace, Unit::Under(&parent), "dialogflow", Operator)
    }

    pub fn is_granted(&self, namespace: &str, project: &str) -> bool {
        self.granted(namespace, project) == Grant::Granted
    }

    /// Watches all namespaces until the set is dropped.
    fn watch(&self) -> JoinSet<()> {
        let mut task = JoinSet::new();
        task.spawn(watch_namespaces(
            self.client.clone(),
            Vec::new(),
            self.wanted.clone(),
            self.target.clone(),
        ));
        task
    }
}

/// A namespace that has these labels with the value `yes`.
pub fn namespace(name: &str, version: &str, labels: &[&str]) -> Value {
    let labels: serde_json::Map<String, Value> = labels
        .iter()
        .map(|label| ((*label).to_owned(), json!("yes")))
        .collect();
    json!({"metadata": {"name": name, "uid": name, "resourceVersion": version, "labels": labels}})
}

#[tokio::test]
async fn labels_count_while_a_grant_selects_by_them() {
    let mut watched = Watched::new(&[]).await;
    let _task = watched.watch();
    // Without a selector it is ready, and sends no request: the first one comes with the selector.
    watched.client.health.wait_for(&[STEP]).await;
    watched.grant(&["team"]);
    let list = watched.requests.recv().await.unwrap();
    assert!(!list.is_watch() && list.path == PATH);
    assert!(!watched.is_granted("a", "team"), "before the first list");
    let namespaces = [
        namespace("a", "1", &["team", "tier"]),
        namespace("b", "2", &[]),
    ];
    list.list("5", &namespaces, "");
    watched.changed().await;
    assert!(watched.is_granted("a", "team") && !watched.is_granted("b", "team"));

    let events = watched.requests.recv().await.unwrap().watch();
    events.write("MODIFIED", &namespace("b", "6", &["team"]));
    watched.changed().await;
    assert!(watched.is_granted("b", "team"));
    // A label that no grant selects by changes nothing. The next event does.
    events.write("MODIFIED", &namespace("b", "7", &["team", "other"]));
    events.write("MODIFIED", &namespace("a", "8", &["tier"]));
    watched.changed().await;
    assert!(!watched.is_granted("a", "team") && watched.is_granted("b", "team"));
    events.write("DELETED", &namespace("b", "9", &["team"]));
    watched.changed().await;
    assert!(!watched.is_granted("b", "team"));
    assert_eq!(*watched.changes.borrow(), 4);

    // A grant with another label: all namespaces are read again. Meanwhile what was allowed stays.
    events.write("ADDED", &namespace("c", "10", &["team", "tier"]));
    watched.changed().await;
    watched.grant(&["team", "tier"]);
    let list = watched.requests.recv().await.unwrap();
    assert!(!list.is_watch());
    assert!(watched.is_granted("c", "team") && !watched.is_granted("c", "tier"));
    // Until the end of the list, too, a label that is removed does not count any more.
    events.write("MODIFIED", &namespace("c", "11", &["tier"]));
    watched.changed().await;
    assert!(!watched.is_granted("c", "team"));
    events.write("MODIFIED", &namespace("c", "12", &["team", "tier"]));
    watched.changed().await;
    let again = [
        namespace("a", "8", &["tier"]),
        namespace("c", "10", &["team", "tier"]),
    ];
    list.list("12", &again, "");
    watched.changed().await;
    assert!(watched.is_granted("a", "tier") && watched.is_granted("c", "tier"));
    assert!(watched.is_granted("c", "team") && !watched.is_granted("a", "team"));

    // Without a selector, nothing is watched and no label is kept.
    watched.grant(&[]);
    let text = |watched: &Watched| {
        let format = crate::telemetry::exposition::Format::Text;
        watched.client.metrics.text(format).unwrap()
    };
    let series = "opcancel_watch_last_answer_timestamp_seconds{resource=\"namespaces\"}";
    while text(&watched).contains(series) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_namespace_whose_labels_cannot_be_read_any_more_loses_the_grant() {
    let mut watched = Watched::new(&["team"]).await;
    let _task = watched.watch();
    let first = [
        namespace("a", "1", &["team"]),
        namespace("b", "1", &["team"]),
    ];
    let list = watched.requests.recv().await.unwrap();
    list.list("5", &first, "");
    watched.changed().await;
    assert!(watched.is_granted("a", "team"));
    let events = watched.requests.recv().await.unwrap().watch();
    // More than the API server can store, without the label that was granted.
    let mut large = namespace("a", "6", &[]);
    large["metadata"]["labels"] = json!({"x": "x".repeat(5 * 1024 * 1024)});
    events.write("MODIFIED", &large);
    let list = watched.requests.recv().await.unwrap();
    assert!(!list.is_watch(), "the watch goes on");
    list.list("6", &[large, namespace("b", "1", &["team"])], "");
    watched.changed().await;
    assert!(!watched.is_granted("a", "team") && watched.is_granted("b", "team"));
    // Labels of wrong types, which no API server sends, are no labels, and not the absence of labels.
    let mut odd = namespace("b", "7", &[]);
    odd["metadata"]["labels"] = json!({"team": 1});
    events.write("MODIFIED", &odd);
    let list = watched.requests.recv().await.unwrap();
    list.list("7", &[odd], "");
    watched.changed().await;
    assert!(!watched.is_granted("b", "team"));
}

#[tokio::test]
async fn without_a_list_of_the_labels_no_selector_allows_anything_and_it_is_not_ready() {
    let mut watched = Watched::new(&["team"]).await;
    let (client, mut wanted, target) = (
        watched.client.clone(),
        watched.wanted.clone(),
        watched.target.clone(),
    );
    let mut task = JoinSet::new();
    task.spawn(async move {
        watch_all(&client, &mut wanted, &target, Duration::from_millis(500)).await;
    });
    let list = watched.requests.recv().await.unwrap();
    list.list("5", &[namespace("a", "1", &["team"])], "");
    let _silent = watched.requests.recv().await.unwrap().watch();
    while watched.granted("a", "team") != Grant::Unknown {
        watched.changed().await;
    }
    assert_eq!(watched.granted("a", "other"), Grant::NotGranted);
    let said = "namespace-labels: the labels of namespaces could not be listed for 20 minutes";
    while !watched
        .client
        .health
        .missing()
        .is_some_and(|missing| missing.contains(said))
    {
        tokio::task::yield_now().await;
    }
}
