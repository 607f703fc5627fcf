use serde_json::json;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::*;
use crate::{
    controller::watches::scripted_api_server::{self, Asked, object},
    telemetry::exposition::Format,
};

const SELECTION: Selection = Selection {
    path: String::new(),
    fields: Some("status.outcome="),
    resource: "operationcancellations",
};

/// What is told, as the tests compare it: everything in the order in which it comes.
struct Teller {
    told: mpsc::UnboundedReceiver<String>,
    metrics: Arc<Metrics>,
    newest: Newest,
    _task: tokio::task::JoinSet<()>,
}

async fn watching(relist_after: Duration) -> (Teller, UnboundedReceiver<Asked>) {
    let (client, asked) = scripted_api_server::start().await;
    let watches = Watches {
        client,
        metrics: Arc::default(),
        health: Arc::new(Health::waiting_for(&["cancellations"])),
    };
    let (metrics, newest) = (watches.metrics.clone(), Newest::default());
    let selection = Selection {
        path: "/apis/opcancel.github.io/v1alpha1/operationcancellations".to_owned(),
        ..SELECTION
    };
    let mut watching = Watching::new(
        &watches,
        selection,
        newest.clone(),
        relist_after,
        "cancellations",
    );
    let (sender, told) = mpsc::unbounded_channel();
    let mut task = tokio::task::JoinSet::new();
    task.spawn(async move {
        loop {
            let uid = |object: &RawObject| {
                let version = object.metadata.resource_version.as_deref().unwrap();
                format!("{}@{version}", object.metadata.uid.as_deref().unwrap())
            };
            let said = match watching.next().await {
                Told::Watched(object) => format!("watched {}", uid(&object)),
                Told::Listed {
                    object,
                    known_before,
                } => match known_before {
                    None => format!("listed {}", uid(&object)),
                    Some(known) => format!("listed {} after {known}", uid(&object)),
                },
                Told::Gone(object) => format!("gone {}", uid(&object)),
                Told::AllListed(uids) => {
                    let mut uids: Vec<_> = uids.into_iter().collect();
                    uids.sort();
                    format!("all {}", uids.join(","))
                }
            };
            if sender.send(said).is_err() {
                return;
            }
        }
    });
    let teller = Teller {
        told,
        metrics,
        newest,
        _task: task,
    };
    (teller, asked)
}

impl Teller {
    async fn tells(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.told.recv().await.unwrap(), *expected);
        }
    }
}

const LONG: Duration = Duration::from_secs(3600);

/// The next request of this kind; the others are answered as if nothing ever happened.
async fn list(asked: &mut UnboundedReceiver<Asked>) -> Asked {
    loop {
        let request = asked.recv().await.unwrap();
        if !request.is_watch() {
            return request;
        }
    }
}

#[tokio::test]
async fn a_watch_that_is_refused_as_too_old_lists_again() {
    let (mut teller, mut asked) = watching(LONG).await;
    list(&mut asked).await.list("5", &[object("a", "3")], "");
    teller.tells(&["listed a@3", "all a"]).await;
    let watch = asked.recv().await.unwrap();
    assert_eq!(watch.at("resourceVersion"), Some("5"));
    watch.refuse(410, json!({}), &[]);
    list(&mut asked).await.list("9", &[object("a", "3")], "");
    teller.tells(&["listed a@3 after 5", "all a"]).await;
    assert_eq!(asked.recv().await.unwrap().at("resourceVersion"), Some("9"));
    let metrics = teller.metrics.text(Format::Text).unwrap();
    let restarts = "opcancel_watch_restarts_total{resource=\"operationcancellations\"} 1\n";
    assert!(metrics.contains(restarts), "{metrics}");
}

#[tokio::test]
async fn errors_in_a_row_make_it_list_again() {
    let (mut teller, mut asked) = watching(LONG).await;
    list(&mut asked).await.list("5", &[], "");
    teller.tells(&["all "]).await;
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
    // The next watch may be begun together with the list.
    assert!(
        (FAILURES_IN_A_ROW..=FAILURES_IN_A_ROW + 1).contains(&failed),
        "{failed}"
    );
    teller.tells(&["all "]).await;
}

/// Before, nothing was watched from the beginning of each list until its end.
#[tokio::test]
async fn a_list_runs_beside_the_watch_and_takes_back_nothing_that_the_watch_told() {
    let (mut teller, mut asked) = watching(Duration::ZERO).await;
    let first = list(&mut asked).await;
    assert_eq!(first.at("fieldSelector"), Some("status.outcome="));
    first.list(
        "10",
        &[object("a", "1"), object("b", "2"), object("c", "3")],
        "",
    );
    teller
        .tells(&["listed a@1", "listed b@2", "listed c@3", "all a,b,c"])
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
    teller.tells(&["listed a@1 after 10"]).await;
    watch.write("MODIFIED", &object("b", "21"));
    watch.write("DELETED", &object("c", "22"));
    watch.write("ADDED", &object("d", "23"));
    teller
        .tells(&["watched b@21", "gone c@22", "watched d@23"])
        .await;
    // The page is of the time before.
    page.list(
        "20",
        &[object("b", "2"), object("c", "3"), object("e", "4")],
        "",
    );
    teller.tells(&["listed e@4 after 10", "all a,b,d,e"]).await;
    assert_eq!(teller.newest.get(), Some(23));
}

/// Before, a list that took longer than the API server remembers its moment began anew, for ever.
#[tokio::test]
async fn a_list_that_takes_long_goes_on_where_it_was() {
    let (mut teller, mut asked) = watching(LONG).await;
    list(&mut asked)
        .await
        .list("10", &[object("a", "1")], "old");
    teller.tells(&["listed a@1"]).await;
    let page = list(&mut asked).await;
    assert_eq!(page.at("continue"), Some("old"));
    page.refuse(410, json!({"continue": "new"}), &[]);
    let page = list(&mut asked).await;
    assert_eq!(page.at("continue"), Some("new"));
    page.list("99", &[object("b", "50")], "");
    teller.tells(&["listed b@50", "all a,b"]).await;
}

#[tokio::test]
async fn a_page_that_fails_is_asked_for_again_and_no_other() {
    let (mut teller, mut asked) = watching(LONG).await;
    list(&mut asked)
        .await
        .list("10", &[object("a", "1")], "second");
    list(&mut asked).await.refuse(500, json!({}), &[]);
    let page = list(&mut asked).await;
    assert_eq!(page.at("continue"), Some("second"));
    page.list("10", &[object("b", "2")], "");
    teller.tells(&["listed a@1", "listed b@2", "all a,b"]).await;
}

#[tokio::test]
async fn what_is_stored_may_go_back_and_the_watch_follows() {
    let (mut teller, mut asked) = watching(Duration::ZERO).await;
    list(&mut asked).await.list("100", &[object("a", "90")], "");
    teller.tells(&["listed a@90", "all a"]).await;
    let (mut watch, mut page) = (None, None);
    while watch.is_none() || page.is_none() {
        let request = asked.recv().await.unwrap();
        match request.is_watch() {
            true => watch = Some(request.watch()),
            false => page = Some(request),
        }
    }
    page.unwrap().list("70", &[object("a", "60")], "");
    teller.tells(&["listed a@60 after 100", "all a"]).await;
    assert_eq!(teller.newest.get(), Some(70));
    // The watch at the version that does not exist any more is given up.
    loop {
        let request = asked.recv().await.unwrap();
        if request.is_watch() {
            assert_eq!(request.at("resourceVersion"), Some("70"));
            break;
        }
    }
}
