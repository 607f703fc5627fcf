//! One watch request, until it ends.

use std::{borrow::Cow, time::Duration};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use kube::{
    Client,
    core::{Request, Status, params::WatchParams},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::controller::api_server::{
    api_answer::{self, Answer, Refused},
    json_sieve::{LabelsAre, Piece, Shape},
    raw_object::RawObject,
};

/// The API server ends a watch after this many seconds; the next one continues from there.
const WATCH_SECONDS: u32 = 60;

/// A watch without any data for longer than it may last is dead.
pub const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 5);

/// One event of a watch.
#[derive(Debug)]
pub enum WatchLine {
    /// The watch began.
    Begun,
    /// A new or changed object.
    Applied(Box<RawObject>),
    /// An object that was deleted, or that the selector no longer matches.
    Deleted(Box<RawObject>),
    /// There were no events up to this version.
    Bookmark(Option<String>),
    /// Not an event of an object of this kind.
    Unreadable,
}

/// The events after `version` of the objects under a URL path. The stream ends at the first error, and if no data comes for
/// `silence`. If the labels are kept, only the metadata is requested.
pub fn watch(
    client: Client,
    path: String,
    fields: Option<Cow<'static, str>>,
    labels: LabelsAre,
    version: String,
    silence: Duration,
) -> BoxStream<'static, Result<WatchLine, Refused>> {
    let begin = async move {
        let params = WatchParams {
            field_selector: fields.map(Cow::into_owned),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            ..WatchParams::default()
        };
        let requests = Request::new(path);
        let request = match labels {
            LabelsAre::Kept => requests.watch_metadata(&params, &version),
            LabelsAre::Dropped => requests.watch(&params, &version),
        };
        let request = request.map_err(kube::Error::BuildRequest)?;
        let asked = api_answer::ask(&client, request, Shape::Events, labels);
        api_answer::within(silence, asked).await
    };
    stream::once(begin)
        .flat_map(move |begun| match begun {
            Ok(answer) => stream::once(async { Ok(WatchLine::Begun) })
                .chain(stream::unfold(Some(answer), move |answer| {
                    next(answer, silence)
                }))
                .boxed(),
            Err(refused) => stream::once(async { Err(refused) }).boxed(),
        })
        .boxed()
}

async fn next(
    answer: Option<Answer>,
    silence: Duration,
) -> Option<(Result<WatchLine, Refused>, Option<Answer>)> {
    let mut answer = answer?;
    match api_answer::within(silence, answer.next()).await {
        Ok(None) => None,
        Ok(Some(Piece::Item(json))) => match read(&json) {
            Ok(line) => Some((Ok(line), Some(answer))),
            Err(refused) => Some((Err(refused), None)),
        },
        Ok(Some(_)) => Some((Ok(WatchLine::Unreadable), Some(answer))),
        Err(refused) => Some((Err(refused), None)),
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

fn read(json: &[u8]) -> Result<WatchLine, Refused> {
    let event = match serde_json::from_slice::<Event<'_>>(json) {
        Ok(event) => event,
        Err(error) if error.is_data() => {
            return match bare_status(json) {
                Some(status) => Err(api_answer::failed(status)),
                None => Ok(WatchLine::Unreadable),
            };
        }
        // The event is lost: only a new watch from the version before brings it again.
        Err(error) => return Err(api_answer::no_json(error)),
    };
    if event.kind == "ERROR" {
        let status = serde_json::from_str::<Status>(event.object.get());
        return Err(api_answer::failed(status.map_err(api_answer::no_json)?));
    }
    let Ok(object) = serde_json::from_str::<Box<RawObject>>(event.object.get()) else {
        return Ok(WatchLine::Unreadable);
    };
    Ok(match event.kind {
        "ADDED" | "MODIFIED" => WatchLine::Applied(object),
        "DELETED" => WatchLine::Deleted(object),
        "BOOKMARK" => WatchLine::Bookmark(object.metadata.resource_version),
        _ => WatchLine::Unreadable,
    })
}

/// The failure of a watch that is not in an `ERROR` event. Some API servers send it so (kube-rs issue 1986).
fn bare_status(json: &[u8]) -> Option<Status> {
    #[derive(Deserialize)]
    struct BareStatus<'a> {
        kind: &'a str,
        #[serde(flatten)]
        status: Status,
    }
    let read = serde_json::from_slice::<BareStatus<'_>>(json).ok()?;
    (read.kind == "Status").then_some(read.status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::api_server::kube_error;

    #[test]
    fn each_kind_of_event_is_read() {
        let object =
            r#"{"metadata":{"uid":"u","resourceVersion":"7","annotations":null},"spec":{}}"#;
        let read = |kind: &str| {
            super::read(format!(r#"{{"type":"{kind}","object":{object}}}"#).as_bytes())
        };
        for kind in ["ADDED", "MODIFIED"] {
            assert!(
                matches!(read(kind), Ok(WatchLine::Applied(object)) if object.metadata.uid.as_deref() == Some("u"))
            );
        }
        assert!(matches!(read("DELETED"), Ok(WatchLine::Deleted(_))));
        assert!(
            matches!(read("BOOKMARK"), Ok(WatchLine::Bookmark(Some(version))) if version == "7")
        );
        assert!(matches!(read("FROM_THE_FUTURE"), Ok(WatchLine::Unreadable)));
        // An event that is damaged was about an object, and must not get lost.
        for damaged in ["{html}", r#"{"type":"ADDED","object":{"metadata":}}"#] {
            assert!(super::read(damaged.as_bytes()).is_err(), "{damaged}");
        }
        let gone =
            r#"{"code":410,"kind":"Status","metadata":{},"status":"Failure","reason":"Expired"}"#;
        let event = format!(r#"{{"type":"ERROR","object":{gone}}}"#);
        for gone in [gone, event.as_str()] {
            let refused = super::read(gone.as_bytes()).unwrap_err();
            assert_eq!(kube_error::code(&refused.error), Some(410), "{gone}");
        }
        // Not a failure of the watch.
        for other in [r#"{"kind":"Pod","code":410}"#, r#"{"code":410}"#] {
            let read = super::read(other.as_bytes());
            assert!(matches!(read, Ok(WatchLine::Unreadable)), "{other}");
        }
    }
}
