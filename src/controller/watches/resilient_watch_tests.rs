use serde_json::json;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::*;
use crate::{
    controller::watches::scripted_api_server::{self, ReceivedRequest, object},
    telemetry::exposition::Format,
};

const SELECTION: Selection = Selection {
    path: String::new(),
    fields: Some("status.outcome="),
    labels: LabelsAre::Dropped,
    resource: "operationcancellations",
};

/// The events, in their order and as text.
struct Events {
    received: mpsc::UnboundedReceiver<String>,
    metrics: Arc<Metrics>,
    newest: Newest,
    _task: tokio::task::JoinSet<()>,
}

async fn watching(relist_after: Duration) -> (Events, UnboundedReceiver<ReceivedRequest>) {
    watching_within(Limits {
        relist_after,
        ..Limits::default()
    })
    .await
}

async fn watching_within(limits: Limits) -> (Events, UnboundedReceiver<ReceivedRequest>) {
    let (client, asked) = scripted_api_server::start().await;
    let client = WatchClient {
        kubernetes: client,
        metrics: Arc::default(),
        health: Arc::new(Health::waiting_for(&["cancellations"])),
    };
    let (metrics, newest) = (client.metrics.clone(), Newest::default());
    let selection = Selection {
        path: "/apis/opcancel.github.io/v1alpha1/operationcancellations".to_owned(),
        ..SELECTION
    };
    let mut watch = ResilientWatch::new(client, selection, newest.clone(), limits, "cancellations");
    let (sender, received) = mpsc::unbounded_channel();
    let mut task = tokio::task::JoinSet::new();
    task.spawn(async move {
        loop {
            let uid = |object: &RawObject| {
                let version = object.metadata.resource_version.as_deref().unwrap();
                format!("{}@{version}", object.metadata.uid.as_deref().unwrap())
            };
            let text = match watch.next().await {
                WatchEvent::Watched(object) => format!("watched {}", uid(&object)),
                WatchEvent::Listed {
                    object,
                    known_before,
                } => match known_before {
                    None => format!("listed {}", uid(&object)),
                    Some(known) => format!("listed {} after {known}", uid(&object)),
                },
                WatchEvent::Gone(object) => format!("gone {}", uid(&object)),
                WatchEvent::AllListed(uids) => {
                    let mut uids: Vec<_> = uids.into_iter().collect();
                    uids.sort();
                    format!("all {}", uids.join(","))
                }
            };
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    let events = Events {
        received,
        metrics,
        newest,
        _task: task,
    };
    (events, asked)
}

impl Events {
    async fn are(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.received.recv().await.unwrap(), *expected);
        }
    }
}

const LONG: Duration = Duration::from_secs(3600);

/// The next list request; watches before it stay without an answer.
async fn list(asked: &mut UnboundedReceiver<ReceivedRequest>) -> ReceivedRequest {
    loop {
        let request = asked.recv().await.unwrap();
        if !request.is_watch() {
            return request;
        }
    }
}

#[tokio::test]
async fn a_watch_that_is_refused_as_too_old_lists_again() {
    let (mut events, mut asked) = watching(LONG).await;
    list(&mut asked).await.list("5", &[object("a", "3")], "");
    events.are(&["listed a@3", "all a"]).await;
    let watch = asked.recv().await.unwrap();
    assert_eq!(watch.at("resourceVersion"), Some("5"));
    watch.refuse(410, json!({}), &[]);
    list(&mut asked).await.list("9", &[object("a", "3")], "");
    events.are(&["listed a@3 after 5", "all a"]).await;
    assert_eq!(asked.recv().await.unwrap().at("resourceVersion"), Some("9"));
    let metrics = events.metrics.text(Format::Text).unwrap();
    let restarts = "opcancel_watch_restarts_total{resource=\"operationcancellations\"} 1\n";
    assert!(metrics.contains(restarts), "{metrics}");
}

/// Before, only a status in an `ERROR` event counted, so the next watch began at the version that the API server had refused.
#[tokio::test]
async fn a_status_without_an_event_that_says_too_old_lists_again() {
    let (mut events, mut asked) = watching(LONG).await;
    list(&mut asked).await.list("5", &[object("a", "3")], "");
    events.are(&["listed a@3", "all a"]).await;
    let watch = asked.recv().await.unwrap().watch();
    let gone = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version: 5 (8)", "reason": "Expired", "code": 410});
    watch.write_text(format!("{gone}\n"));
    drop(watch);
    let next = asked.recv().await.unwrap();
    assert!(!next.is_watch());
    next.list("9", &[object("a", "3")], "");
    events.are(&["listed a@3 after 5", "all a"]).await;
    assert_eq!(asked.recv().await.unwrap().at("resourceVersion"), Some("9"));
}

/// A middlebox forgets the connection: it stays open, and no byte comes any more.
#[tokio::test]
async fn a_watch_that_falls_silent_begins_again_and_a_list_finds_what_it_missed() {
    let (mut events, mut asked) = watching_within(Limits {
        relist_after: LONG,
        silence: Duration::from_millis(300),
    })
    .await;
    list(&mut asked).await.list("5", &[object("a", "3")], "");
    events.are(&["listed a@3", "all a"]).await;
    let silent = asked.recv().await.unwrap().watch();
    silent.write("MODIFIED", &object("a", "6"));
    events.are(&["watched a@6"]).await;
    let next = asked.recv().await.unwrap();
    assert_eq!(
        (next.is_watch(), next.at("resourceVersion")),
        (true, Some("6"))
    );
    let watch = next.watch();
    let (a, b) = (object("a", "6"), object("b", "7"));
    watch.write("BOOKMARK", &a);
    list(&mut asked).await.list("9", &[a, b], "");
    events
        .are(&["listed a@6 after 6", "listed b@7 after 6", "all a,b"])
        .await;
    drop(silent);
}

#[tokio::test]
async fn a_damaged_event_is_requested_again() {
    for damaged in ["<html>\n", "{html}\n"] {
        let (mut events, mut asked) = watching(LONG).await;
        list(&mut asked).await.list("5", &[], "");
        events.are(&["all "]).await;
        let watch = asked.recv().await.unwrap().watch();
        watch.write_text(damaged);
        let next = asked.recv().await.unwrap();
        assert!(next.is_watch(), "{damaged}");
        assert_eq!(next.at("resourceVersion"), Some("5"), "{damaged}");
    }
}

#[tokio::test]
async fn errors_in_a_row_make_it_list_again() {
    let (mut events, mut asked) = watching(LONG).await;
    list(&mut asked).await.list("5", &[], "");
    events.are(&["all "]).await;
    let mut failed = 0;
    loop {
        let request = asked.recv().await.unwrap();
        if !request.is_watch() {
            request.list("6", &[], "");
            break;
        }
        failed += 1;
        request.refuse(500, json!({}), &[]);
    }
    // The next watch may begin together with the list.
    assert!(
        (FAILURES_BEFORE_LIST..=FAILURES_BEFORE_LIST + 1).contains(&failed),
        "{failed}"
    );
    events.are(&["all "]).await;
}

/// Before, nothing was watched from the beginning of each list until its end.
#[tokio::test]
async fn a_list_runs_beside_the_watch_and_takes_back_nothing_that_the_watch_told() {
    let (mut events, mut asked) = watching(Duration::ZERO).await;
    let first = list(&mut asked).await;
    assert_eq!(first.at("fieldSelector"), Some("status.outcome="));
    first.list(
        "10",
        &[object("a", "1"), object("b", "2"), object("c", "3")],
        "",
    );
    events
        .are(&["listed a@1", "listed b@2", "listed c@3", "all a,b,c"])
        .await;
    // The next list is due at once; its second page waits.
    let (mut watch, mut page) = (None, None);
    while watch.is_none() || page.is_none() {
        let request = asked.recv().await.unwrap();
        if request.is_watch() {
            assert_eq!(request.at("resourceVersion"), Some("10"));
            watch = Some(request.watch());
        } else if request.at("continue").is_none() {
            request.list("20", &[object("a", "1")], "more");
        } else {
            page = Some(request);
        }
    }
    let (watch, page) = (watch.unwrap(), page.unwrap());
    events.are(&["listed a@1 after 10"]).await;
    watch.write("MODIFIED", &object("b", "21"));
    watch.write("DELETED", &object("c", "22"));
    watch.write("ADDED", &object("d", "23"));
    events
        .are(&["watched b@21", "gone c@22", "watched d@23"])
        .await;
    // The page shows an earlier moment.
    page.list(
        "20",
        &[object("b", "2"), object("c", "3"), object("e", "4")],
        "",
    );
    events.are(&["listed e@4 after 10", "all a,b,d,e"]).await;
    assert_eq!(events.newest.get(), Some(23));
}

/// Before, a list that took longer than the API server keeps its moment began again, for ever.
#[tokio::test]
async fn a_list_that_takes_long_goes_on_where_it_was() {
    let (mut events, mut asked) = watching(LONG).await;
    list(&mut asked)
        .await
        .list("10", &[object("a", "1")], "old");
    events.are(&["listed a@1"]).await;
    let page = list(&mut asked).await;
    assert_eq!(page.at("continue"), Some("old"));
    page.refuse(410, json!({"continue": "new"}), &[]);
    let page = list(&mut asked).await;
    assert_eq!(page.at("continue"), Some("new"));
    page.list("99", &[object("b", "50")], "");
    events.are(&["listed b@50", "all a,b"]).await;
}

#[tokio::test]
async fn a_page_that_fails_is_asked_for_again_and_no_other() {
    let (mut events, mut asked) = watching(LONG).await;
    list(&mut asked)
        .await
        .list("10", &[object("a", "1")], "second");
    list(&mut asked).await.refuse(500, json!({}), &[]);
    let page = list(&mut asked).await;
    assert_eq!(page.at("continue"), Some("second"));
    page.list("10", &[object("b", "2")], "");
    events.are(&["listed a@1", "listed b@2", "all a,b"]).await;
}

#[tokio::test]
async fn what_is_stored_may_go_back_and_the_watch_follows() {
    let (mut events, mut asked) = watching(Duration::ZERO).await;
    list(&mut asked).await.list("100", &[object("a", "90")], "");
    events.are(&["listed a@90", "all a"]).await;
    let (mut watch, mut page) = (None, None);
    while watch.is_none() || page.is_none() {
        let request = asked.recv().await.unwrap();
        match request.is_watch() {
            true => watch = Some(request.watch()),
            false => page = Some(request),
        }
    }
    page.unwrap().list("70", &[object("a", "60")], "");
    events.are(&["listed a@60 after 100", "all a"]).await;
    assert_eq!(events.newest.get(), Some(70));
    // The watch at the version that no longer exists is dropped.
    loop {
        let request = asked.recv().await.unwrap();
        if request.is_watch() {
            assert_eq!(request.at("resourceVersion"), Some("70"));
            break;
        }
    }
}

#[tokio::test]
async fn a_watch_that_ends_at_once_is_paced_and_counted() {
    let (events, mut asked) = watching(LONG).await;
    list(&mut asked).await.list("5", &[], "");
    for _ in 0..3 {
        // Dropped at once, it ends.
        drop(asked.recv().await.unwrap().watch());
    }
    let third = "opcancel_short_watches_total{resource=\"operationcancellations\"} 3\n";
    while !events.metrics.text(Format::Text).unwrap().contains(third) {
        tokio::task::yield_now().await;
    }
    let fourth = tokio::time::timeout(FIRST_PAUSE / 2, asked.recv()).await;
    assert!(fourth.is_err(), "the fourth waits before it is sent");
}

#[test]
fn a_watch_that_ends_at_once_is_begun_ever_more_seldom() {
    let (mut watches, start) = (ShortWatches::default(), Instant::now());
    let mut now = start;
    let mut pauses = Vec::new();
    while now < start + Duration::from_secs(3600) {
        watches.begin(now);
        now += Duration::from_millis(1);
        let WatchEnd::Short(pause) = watches.end(now) else {
            panic!("it was short");
        };
        pauses.push(pause);
        now += pause;
    }
    assert!(pauses.len() < 140, "{}", pauses.len());
    assert_eq!(pauses[..2], [Duration::ZERO; 2], "everyday life");
    assert_eq!(pauses[2], FIRST_PAUSE);
    assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
    let another = &mut ShortWatches::default();
    another.begin(now);
    assert_eq!(another.end(now), WatchEnd::Short(Duration::ZERO), "another");
    watches.begin(now);
    now += Duration::from_secs(60);
    assert_eq!(watches.end(now), WatchEnd::Lasted);
    watches.begin(now);
    assert_eq!(
        watches.end(now),
        WatchEnd::Short(Duration::ZERO),
        "it lasted before"
    );
    assert_eq!(watches.end(now), WatchEnd::NotBegun);
}
