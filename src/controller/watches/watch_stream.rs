//! One watch: what it tells, until it ends.

use std::time::Duration;

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
use tokio::time::timeout;

use crate::controller::api_server::{
    api_answer::{self, Answer, Refused},
    json_sieve::{Piece, Shape},
    raw_object::RawObject,
};

/// One watch lasts this many seconds, then the next goes on from there.
const WATCH_SECONDS: u32 = 60;

/// A watch that is silent for longer than it lasts is dead.
const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 5);

/// What a watch tells.
#[derive(Debug)]
pub enum WatchLine {
    /// It was begun.
    Begun,
    /// An object, new or changed.
    Applied(Box<RawObject>),
    /// It is gone, or is not selected any more.
    Deleted(Box<RawObject>),
    /// Nothing happened until this version.
    Bookmark(Option<String>),
    /// What is no event of an object of this kind.
    Unreadable,
}

/// The events after `version` of the objects below a URL path. It ends with the first failure.
pub fn watch(
    client: Client,
    path: String,
    fields: Option<&'static str>,
    version: String,
) -> BoxStream<'static, Result<WatchLine, Refused>> {
    let begin = async move {
        let params = WatchParams {
            field_selector: fields.map(str::to_owned),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            ..WatchParams::default()
        };
        let request = Request::new(path)
            .watch(&params, &version)
            .map_err(kube::Error::BuildRequest)?;
        let asked = api_answer::ask(&client, request, Shape::Events);
        timeout(SILENCE, asked)
            .await
            .unwrap_or_else(|_| Err(api_answer::silent()))
    };
    stream::once(begin)
        .flat_map(|begun| match begun {
            Ok(answer) => stream::once(async { Ok(WatchLine::Begun) })
                .chain(stream::unfold(Some(answer), next))
                .boxed(),
            Err(refused) => stream::once(async { Err(refused) }).boxed(),
        })
        .boxed()
}

async fn next(answer: Option<Answer>) -> Option<(Result<WatchLine, Refused>, Option<Answer>)> {
    let mut answer = answer?;
    match answer.next_within(SILENCE).await {
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
    let Ok(event) = serde_json::from_slice::<Event<'_>>(json) else {
        return Ok(WatchLine::Unreadable);
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
        let gone = br#"{"type":"ERROR","object":{"kind":"Status","metadata":{},"status":"Failure","code":410,"reason":"Expired"}}"#;
        let refused = super::read(gone).unwrap_err();
        assert_eq!(kube_error::code(&refused.error), Some(410));
    }
}
