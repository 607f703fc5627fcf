use serde_json::json;
use tokio::task::JoinSet;

use super::*;
use crate::{
    controller::watches::namespace_watch::tests::{Watched, namespace},
    lifecycle::Grant,
};

#[tokio::test]
async fn each_namespace_is_read_again_and_again() {
    let mut watched = Watched::new(&["team"]).await;
    let (client, mut wanted, target) = (
        watched.client.clone(),
        watched.wanted.clone(),
        watched.target.clone(),
    );
    let namespaces = ["a", "b"].map(str::to_owned);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let every = Duration::from_millis(1);
        read_namespaces(&client, &namespaces, &mut wanted, &target, every).await;
    });
    // The first read of b fails. It is not known yet what b may do, so nothing is decided.
    let request = watched.requests.recv().await.unwrap();
    assert_eq!(request.path, "/api/v1/namespaces/a");
    request.object(&namespace("a", "1", &["team"]));
    watched.changed().await;
    let request = watched.requests.recv().await.unwrap();
    assert_eq!(request.path, "/api/v1/namespaces/b");
    request.refuse(500, json!({}), &[]);
    // What the others lose meanwhile is lost.
    let request = watched.requests.recv().await.unwrap();
    assert_eq!(request.path, "/api/v1/namespaces/a");
    assert!(watched.client.health.missing().is_some() && !watched.is_granted("a", "team"));
    request.object(&namespace("a", "1", &["team"]));
    let request = watched.requests.recv().await.unwrap();
    assert_eq!(request.path, "/api/v1/namespaces/b");
    request.object(&namespace("b", "1", &[]));
    watched.changed().await;
    watched.client.health.wait_for(&["namespace-labels"]).await;
    assert!(watched.is_granted("a", "team") && !watched.is_granted("b", "team"));

    // A failure changes nothing for 20 minutes; the label and the namespace may go and come.
    let request = watched.requests.recv().await.unwrap();
    request.refuse(403, json!({}), &[]);
    let request = watched.requests.recv().await.unwrap();
    request.object(&namespace("b", "2", &["team"]));
    watched.changed().await;
    assert!(watched.is_granted("a", "team") && watched.is_granted("b", "team"));
    let request = watched.requests.recv().await.unwrap();
    request.object(&namespace("a", "3", &[]));
    watched.changed().await;
    assert!(!watched.is_granted("a", "team") && watched.is_granted("b", "team"));
    watched.requests.recv().await.unwrap().not_found("b");
    watched.changed().await;
    assert!(!watched.is_granted("b", "team"));

    // A grant with another label: until b is read again, the new label does not count, and the others follow theirs.
    let request = watched.requests.recv().await.unwrap();
    request.object(&namespace("a", "4", &["team"]));
    watched.changed().await;
    watched.grant(&["team", "tier"]);
    loop {
        let request = watched.requests.recv().await.unwrap();
        match request.path.as_str() {
            "/api/v1/namespaces/b" => request.refuse(500, json!({}), &[]),
            _ => break request.object(&namespace("a", "5", &["tier"])),
        }
    }
    watched.changed().await;
    assert!(!watched.is_granted("a", "team") && !watched.is_granted("a", "tier"));
    loop {
        let request = watched.requests.recv().await.unwrap();
        match request.path.as_str() {
            "/api/v1/namespaces/b" => break request.object(&namespace("b", "6", &[])),
            _ => request.object(&namespace("a", "5", &["tier"])),
        }
    }
    watched.changed().await;
    assert!(watched.is_granted("a", "tier"));

    // Without a selector, nothing is read.
    watched.grant(&[]);
    assert!(task.join_next().await.unwrap().is_ok());
}

#[tokio::test]
async fn what_a_namespace_may_do_that_cannot_be_read_is_not_known_and_delays_no_other() {
    let mut watched = Watched::new(&["team"]).await;
    let (client, mut wanted, target) = (
        watched.client.clone(),
        watched.wanted.clone(),
        watched.target.clone(),
    );
    let namespaces = ["gone", "b"].map(str::to_owned);
    let mut task = JoinSet::new();
    task.spawn(async move {
        read_namespaces(&client, &namespaces, &mut wanted, &target, READ_EVERY).await;
    });
    let request = watched.requests.recv().await.unwrap();
    request.refuse(403, json!({}), &[]);
    watched.changed().await;
    let request = watched.requests.recv().await.unwrap();
    request.object(&namespace("b", "1", &["team"]));
    watched.changed().await;
    assert!(watched.is_granted("b", "team"));
    assert_eq!(watched.granted("gone", "team"), Grant::Unknown);
    assert_eq!(watched.granted("gone", "other"), Grant::NotGranted);
}
