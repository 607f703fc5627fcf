//! One full list: page after page, object by object, until all of it was read.
//!
//! The pages of a list show one moment, as long as the API server remembers it: about five minutes. A list that takes longer goes on
//! from where it was, with what is stored by then; the watch that runs beside it makes up for that. A page that fails is asked for
//! again, the pages before it are not.

use std::time::Duration;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use kube::{
    Client,
    core::{ListMeta, Request, params::ListParams},
};
use tokio::time::{Instant, sleep_until, timeout};

use super::retry_pace::RetryPace;
use crate::controller::api_server::{
    api_answer::{self, Answer, Refused},
    json_sieve::{Piece, Shape},
    kube_error,
    raw_object::RawObject,
};

/// A page has so many objects. It is not held in memory here, but the API server makes it as a whole.
const PAGE: u32 = 100;

/// A page whose next byte takes longer than this is asked for again.
const SILENCE: Duration = Duration::from_secs(30);

/// What a list tells, in this order: objects of the first page, its version, all other objects, its end. Failures come in between.
#[derive(Debug)]
pub enum Listing {
    /// An object. After a failure some of them come again.
    Object(Box<RawObject>),
    /// One that is larger than any object of its kind may be, or no object: it is left out.
    Unreadable,
    /// What changes after this version is not in the list: a watch is to begin there, if none runs.
    Version(String),
    /// A page failed, so often in a row. The list goes on.
    Failed(Refused, u32),
    /// All of it was read.
    End,
}

/// The list of all objects below a URL path.
pub fn list(
    client: Client,
    path: String,
    fields: Option<&'static str>,
) -> BoxStream<'static, Listing> {
    let reader = Reader {
        client,
        request: Request::new(path),
        fields,
        state: State::Page,
        more: None,
        pace: RetryPace::default(),
        next_at: None,
    };
    stream::unfold(reader, |mut reader| async move {
        let listing = reader.next().await?;
        Some((listing, reader))
    })
    .boxed()
}

struct Reader {
    client: Client,
    request: Request,
    fields: Option<&'static str>,
    state: State,
    /// Which page comes next; the first one if there is no such token.
    more: Option<String>,
    pace: RetryPace,
    /// No page before this time.
    next_at: Option<Instant>,
}

enum State {
    /// The next page is to be asked for.
    Page,
    Reading(Box<Answer>, Option<ListMeta>),
    /// All was read, and has to be said.
    End,
    Over,
}

impl Reader {
    async fn next(&mut self) -> Option<Listing> {
        loop {
            match &mut self.state {
                State::Page => {
                    if let Some(at) = self.next_at.take() {
                        sleep_until(at).await;
                    }
                    match self.begin_page().await {
                        Ok(answer) => self.state = State::Reading(Box::new(answer), None),
                        Err(refused) => return Some(self.failed(refused)),
                    }
                }
                State::Reading(answer, metadata) => match answer.next_within(SILENCE).await {
                    Ok(Some(Piece::Item(json))) => {
                        return Some(match serde_json::from_slice(&json) {
                            Ok(object) => Listing::Object(object),
                            Err(_) => Listing::Unreadable,
                        });
                    }
                    Ok(Some(Piece::TooLarge)) => return Some(Listing::Unreadable),
                    Ok(Some(Piece::ListMetadata(json))) => {
                        *metadata = serde_json::from_slice(&json).ok();
                    }
                    Ok(None) => {
                        let metadata = metadata.take().filter(|_| answer.is_complete());
                        match self.page_ended(metadata) {
                            Ok(None) => {}
                            Ok(version) => return version.map(Listing::Version),
                            Err(refused) => return Some(self.failed(refused)),
                        }
                    }
                    Err(refused) => return Some(self.failed(refused)),
                },
                State::End => {
                    self.state = State::Over;
                    return Some(Listing::End);
                }
                State::Over => return None,
            }
        }
    }

    async fn begin_page(&mut self) -> Result<Answer, Refused> {
        let params = ListParams {
            field_selector: self.fields.map(str::to_owned),
            limit: Some(PAGE),
            continue_token: self.more.clone(),
            ..ListParams::default()
        };
        let request = self
            .request
            .list(&params)
            .map_err(kube::Error::BuildRequest)?;
        let asked = api_answer::ask(&self.client, request, Shape::List);
        timeout(SILENCE, asked)
            .await
            .unwrap_or_else(|_| Err(api_answer::silent()))
    }

    /// The list's version, after the first page.
    fn page_ended(&mut self, metadata: Option<ListMeta>) -> Result<Option<String>, Refused> {
        let metadata = metadata.ok_or_else(api_answer::cut_short)?;
        let version = metadata.resource_version.unwrap_or_default();
        if version.is_empty() {
            return Err(api_answer::cut_short());
        }
        self.pace.succeeded();
        let is_first = self.more.is_none();
        self.more = metadata.continue_.filter(|token| !token.is_empty());
        self.state = match self.more {
            Some(_) => State::Page,
            None => State::End,
        };
        Ok(is_first.then_some(version))
    }

    fn failed(&mut self, refused: Refused) -> Listing {
        self.state = State::Page;
        self.next_at = Some(Instant::now() + self.pace.failed(refused.retry_after));
        match kube_error::code(&refused.error) {
            // It says with which token the list goes on from there.
            Some(410) => self.more = kube_error::continue_token(&refused.error),
            Some(400) => self.more = None,
            _ => {}
        }
        Listing::Failed(refused, self.pace.failures())
    }
}
