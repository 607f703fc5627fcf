//! The API server's answers, read as a stream: only the needed parts of an object are in memory (see `json_sieve`).

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::BodyExt;
use kube::{Client, Error, client::Body, core::Status};
use serde::de::Error as _;
use tokio::time::timeout;

use super::{
    json_sieve::{JsonSieve, LabelsAre, Piece, Shape},
    raw_object::RawObject,
};

/// The longest error that is read as JSON. An error may repeat a whole object; of a longer one only the end is shown.
const LONGEST_ERROR: usize = 64 * 1024;

/// How much of the end of a longer error is kept.
const END_OF_ERROR: usize = 2048;

/// The longest `Retry-After` that is accepted. The API server asks for one second.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// A request without a successful answer.
#[derive(Debug)]
pub struct Refused {
    /// The error answer, or why there was no answer.
    pub error: Error,
    /// How long the API server asks to wait.
    pub retry_after: Option<Duration>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
        }
    }
}

/// A successful answer whose body is read piece by piece.
pub struct Answer {
    body: Body,
    sieve: JsonSieve,
    /// Received, but not read yet.
    bytes: Bytes,
}

/// Sends a request and waits for the head of the answer.
///
/// # Errors
/// If there is no answer, or it is an error.
pub async fn ask(
    client: &Client,
    request: Request<Vec<u8>>,
    shape: Shape,
    labels: LabelsAre,
) -> Result<Answer, Refused> {
    Ok(Answer {
        body: send(client, request).await?,
        sieve: JsonSieve::new(shape, labels),
        bytes: Bytes::new(),
    })
}

/// Sends a request whose answer is one object, and reads the object.
///
/// # Errors
/// If there is no answer, or it is an error or no object.
pub async fn object(client: &Client, request: Request<Vec<u8>>) -> Result<RawObject, Refused> {
    object_with(client, request, LabelsAre::Dropped).await
}

/// The same, with or without labels.
///
/// # Errors
/// As [`object`].
pub async fn object_with(
    client: &Client,
    request: Request<Vec<u8>>,
    labels: LabelsAre,
) -> Result<RawObject, Refused> {
    let mut answer = ask(client, request, Shape::Object, labels).await?;
    match answer.next().await? {
        Some(Piece::Item(json)) => serde_json::from_slice(&json).map_err(no_json),
        Some(_) => Err(no_json(serde_json::Error::custom(
            "the object is too large",
        ))),
        None => Err(cut_short()),
    }
}

/// Sends a request and reads the whole answer, of at most this many bytes.
///
/// # Errors
/// If there is no answer, or it is an error, or larger.
pub async fn body(
    client: &Client,
    request: Request<Vec<u8>>,
    most: usize,
) -> Result<Vec<u8>, Refused> {
    let (mut body, mut whole) = (send(client, request).await?, Vec::new());
    while let Some(frame) = body.frame().await {
        let bytes = frame?.into_data().unwrap_or_default();
        if whole.len() + bytes.len() > most {
            return Err(no_json(serde_json::Error::custom(
                "the answer is too large",
            )));
        }
        whole.extend_from_slice(&bytes);
    }
    Ok(whole)
}

/// Sends a request. Returns the body of a successful answer, which is still to be read.
async fn send(client: &Client, request: Request<Vec<u8>>) -> Result<Body, Refused> {
    let answer = client.send(request.map(Body::from)).await?;
    if !answer.status().is_success() {
        return Err(refused(answer).await);
    }
    Ok(answer.into_body())
}

impl Answer {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// If the connection breaks, or a watch sends something else than events.
    pub async fn next(&mut self) -> Result<Option<Piece>, Refused> {
        loop {
            let bytes = std::mem::take(&mut self.bytes);
            let next = self.sieve.next(&bytes);
            if self.sieve.is_broken() {
                let error = serde_json::Error::custom("the watch sent something that is no event");
                return Err(no_json(error));
            }
            if let Some((piece, rest)) = next {
                self.bytes = bytes.slice_ref(rest);
                return Ok(Some(piece));
            }
            match self.body.frame().await {
                None => return Ok(None),
                // Trailers carry nothing that is needed.
                Some(Ok(frame)) => self.bytes = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// Whether the JSON is complete.
    pub const fn is_complete(&self) -> bool {
        self.sieve.is_complete()
    }
}

/// Waits for an answer, or a part of one, for at most `limit`.
///
/// # Errors
/// Those of the answer, and if it does not come in time.
pub async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, impl Into<Refused>>>,
) -> Result<T, Refused> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Error::Service("no answer in time".into()).into()),
    }
}

/// The answer ended too early.
pub fn cut_short() -> Refused {
    no_json(serde_json::Error::custom("the answer is cut short"))
}

/// The answer is not the expected JSON.
pub fn no_json(error: serde_json::Error) -> Refused {
    Refused::from(Error::SerdeError(error))
}

/// The `ERROR` event of a watch.
pub fn failed(status: Status) -> Refused {
    Refused::from(Error::Api(Box::new(status)))
}

async fn refused(answer: Response<Body>) -> Refused {
    let code = answer.status();
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
    let mut body = answer.into_body();
    let (mut text, mut length) = (Vec::new(), 0usize);
    while let Some(frame) = body.frame().await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(bytes)) => {
                length = length.saturating_add(bytes.len());
                text.extend_from_slice(&bytes);
                if length > LONGEST_ERROR && text.len() > END_OF_ERROR {
                    text.drain(..text.len() - END_OF_ERROR);
                }
            }
            Ok(Err(_)) => {}
            Err(error) => {
                return Refused { error, retry_after };
            }
        }
    }
    Refused {
        error: Error::Api(Box::new(status(code, &text, length))),
        retry_after,
    }
}

/// The status in an error's body; made up from the text if it is no `Status`.
fn status(code: StatusCode, text: &[u8], length: usize) -> Status {
    let read = serde_json::from_slice::<Status>(text)
        .ok()
        .filter(|_| length <= LONGEST_ERROR);
    read.unwrap_or_else(|| {
        let reason = code.canonical_reason().unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        Status::failure(text.trim(), reason)
    })
    .with_code(code.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_very_long_error_the_end_is_kept() {
        let status = |text: &[u8], length| status(StatusCode::BAD_REQUEST, text, length);
        let short = status(br#"{"message":"m","reason":"BadRequest","code":400}"#, 50);
        assert_eq!((short.message.as_str(), short.code), ("m", 400));
        let long = status(b"...\": strict decoding error: x\"}", 2_000_000);
        assert!(long.message.contains("strict decoding error"));
        assert_eq!((long.reason.as_str(), long.code), ("Bad Request", 400));
        let none = status(b"<html>", 6);
        assert_eq!(none.message, "<html>");
    }
}
