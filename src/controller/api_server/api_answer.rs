//! The API server's answers, read as they come: of an object no more is in memory than what is kept of it (see `json_sieve`).

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::BodyExt;
use kube::{Client, Error, client::Body, core::Status};
use serde::de::Error as _;
use tokio::time::timeout;

use super::{
    json_sieve::{JsonSieve, Piece, Shape},
    raw_object::RawObject,
};

/// The longest error that is read as JSON. The API server may repeat a whole object in one; of a longer one only the end is shown.
const LONGEST_ERROR: usize = 64 * 1024;

/// So much of the end of a longer one is kept.
const END_OF_ERROR: usize = 2048;

/// The longest `Retry-After` that is obeyed. The API server asks for a second.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// A request that got no good answer.
#[derive(Debug)]
pub struct Refused {
    /// What came, or why nothing did.
    pub error: Error,
    /// How long the API server wants to be left alone.
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

/// A good answer, of which nothing was read yet.
pub struct Answer {
    body: Body,
    sieve: JsonSieve,
    /// What came and was not read.
    bytes: Bytes,
}

/// Sends a request; waits for the head of the answer.
///
/// # Errors
/// If none comes, or one that is no success.
pub async fn ask(
    client: &Client,
    request: Request<Vec<u8>>,
    shape: Shape,
) -> Result<Answer, Refused> {
    let answer = client.send(request.map(Body::from)).await?;
    if !answer.status().is_success() {
        return Err(refused(answer).await);
    }
    Ok(Answer {
        body: answer.into_body(),
        sieve: JsonSieve::new(shape),
        bytes: Bytes::new(),
    })
}

/// Sends a request whose answer is one object, and reads it.
///
/// # Errors
/// If none comes, or one that is no success, or no object.
pub async fn object(client: &Client, request: Request<Vec<u8>>) -> Result<RawObject, Refused> {
    let mut answer = ask(client, request, Shape::Object).await?;
    match answer.next().await? {
        Some(Piece::Item(json)) => serde_json::from_slice(&json).map_err(no_json),
        Some(_) => Err(no_json(serde_json::Error::custom(
            "the object is too large",
        ))),
        None => Err(cut_short()),
    }
}

impl Answer {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Piece>, Refused> {
        loop {
            let bytes = std::mem::take(&mut self.bytes);
            if let Some((piece, rest)) = self.sieve.next(&bytes) {
                self.bytes = bytes.slice_ref(rest);
                return Ok(Some(piece));
            }
            match self.body.frame().await {
                None => return Ok(None),
                // Trailers are nobody's.
                Some(Ok(frame)) => self.bytes = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// The next piece, if the server gives a sign of life in time.
    ///
    /// # Errors
    /// As [`Self::next`], and if nothing comes for so long.
    pub async fn next_within(&mut self, limit: Duration) -> Result<Option<Piece>, Refused> {
        match timeout(limit, self.next()).await {
            Ok(next) => next,
            Err(_) => Err(silent()),
        }
    }

    /// Whether all of it was read, and nothing is open.
    pub const fn is_complete(&self) -> bool {
        self.sieve.is_complete()
    }
}

/// Nothing came in time.
pub fn silent() -> Refused {
    Refused::from(Error::Service("no answer in time".into()))
}

/// It ended too early.
pub fn cut_short() -> Refused {
    no_json(serde_json::Error::custom("the answer is cut short"))
}

/// What came is not what was asked for.
pub fn no_json(error: serde_json::Error) -> Refused {
    Refused::from(Error::SerdeError(error))
}

/// What a piece that is the event of a failed watch says.
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

/// What an error's body says, or as much of it as there is.
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
