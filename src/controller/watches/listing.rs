//! One full list, read page by page and object by object.
//!
//! The pages of a list show the same moment for as long as the API server keeps it: about five minutes. A list that takes longer
//! continues from the same place with newer objects; the watch beside it closes the gap. If a page fails, only that page is
//! requested again.

use std::time::Duration;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use kube::{
    Client,
    core::{ListMeta, Request, params::ListParams},
};
use tokio::time::{Instant, sleep_until};

use super::retry_pace::RetryPace;
use crate::controller::api_server::{
    api_answer::{self, Answer, Refused},
    json_sieve::{LabelsAre, Piece, Shape},
    kube_error,
    raw_object::RawObject,
};

/// Objects in a page. The page is not held in memory here, but the API server builds it as a whole.
const PAGE: u32 = 100;

/// A page whose next byte takes longer than this is requested again.
const SILENCE: Duration = Duration::from_secs(30);

/// What a list yields, in this order: the objects of the first page, the version, all other objects, the end; failures in between.
#[derive(Debug)]
pub enum Listing {
    /// An object. After a failure some objects come again.
    Object(Box<RawObject>),
    /// Something that is no object, or larger than any object of this kind may be. It is left out.
    Unreadable,
    /// The version of the list, from which a watch has to continue.
    Version(String),
    /// A page failed, for this many times in a row. The list continues.
    Failed(Refused, u32),
    /// The list is complete.
    End,
}

/// Lists all objects under a URL path. If the labels are kept, only the metadata is requested.
pub fn list(
    client: Client,
    path: String,
    fields: Option<&'static str>,
    labels: LabelsAre,
) -> BoxStream<'static, Listing> {
    let reader = Reader {
        client,
        request: Request::new(path),
        fields,
        labels,
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
    labels: LabelsAre,
    state: State,
    /// The token of the next page; `None` for the first.
    more: Option<String>,
    pace: RetryPace,
    /// No page before this time.
    next_at: Option<Instant>,
}

enum State {
    /// The next page has to be requested.
    Page,
    Reading(Box<Answer>, Option<ListMeta>),
    /// All pages were read; [`Listing::End`] follows.
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
                State::Reading(answer, metadata) => {
                    match api_answer::within(SILENCE, answer.next()).await {
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
                    }
                }
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
        let request = match self.labels {
            LabelsAre::Kept => self.request.list_metadata(&params),
            LabelsAre::Dropped => self.request.list(&params),
        };
        let request = request.map_err(kube::Error::BuildRequest)?;
        let asked = api_answer::ask(&self.client, request, Shape::List, self.labels);
        api_answer::within(SILENCE, asked).await
    }

    /// Returns the list's version after the first page.
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
            // The answer has the token with which the list continues.
            Some(410) => self.more = kube_error::continue_token(&refused.error),
            Some(400) => self.more = None,
            _ => {}
        }
        Listing::Failed(refused, self.pace.failures())
    }
}
