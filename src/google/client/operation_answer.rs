//! Reading an operation from an answer in pieces, and few large answers at a time.
//!
//! Guarantees: nothing of the answer is kept but what [`OperationStream`] copies and the beginning that an error quotes; at
//! most [`MAX_OPERATION`] bytes are read; every wait is bounded. Caveat: while an answer waits for its turn, what the windows of
//! HTTP/2 or the buffers of HTTP/1.1 let in is held (`connection.rs` says how much).

use bytes::BytesMut;
use reqwest::Response;
use std::time::{Duration, Instant};
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::{sleep, timeout},
};

use crate::google::{
    answers::{
        answer::{CallError, ErrorKind, Operation},
        operation_json::read_operation,
        operation_stream::OperationStream,
        rpc_error::{self, unrecognised, unrecognised_and_unquoted},
    },
    catalogue::OperationForm,
    connections::network_error,
    names::operation_name::OperationName,
};

/// Maximum size of an operation, in bytes. An inline export of an agent has some tens of megabytes.
pub const MAX_OPERATION: usize = 64 * 1024 * 1024;

/// An answer above this size, in bytes, is large and waits for a permit.
pub const LARGE: usize = 1024 * 1024;

/// Number of large answers that are read concurrently.
const AT_ONCE: usize = 2;

/// How fast each of them is read, in bytes a second: reading megabytes must not take the processor from what is small and new.
/// Together they are read at 64 MiB a second, so that a last one of 64 that have 50 MiB each ends within a minute.
const PACE: u32 = 32 * 1024 * 1024;

/// Maximum number of large answers that wait. A further one fails and is retried later.
const MOST_WAITING: usize = 64;

/// Maximum number of large answers in progress.
#[cfg(test)]
pub const MOST_LARGE: usize = AT_ONCE + MOST_WAITING;

/// Longest wait for a permit.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Size of the kept beginning of an answer, in bytes. It is quoted if the answer is not an operation.
const BEGINNING: usize = 4096;

/// Reads operations, for all endpoints of the process.
#[derive(Debug)]
pub(super) struct OperationReader {
    turns: Semaphore,
    places: Semaphore,
    /// Longest wait for a further byte.
    idle_timeout: Duration,
    /// Longest time that reading may take, without the wait for the turn.
    read_timeout: Duration,
}

/// The expected operation, and the source of the answer.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    pub name: &'a OperationName,
    pub form: OperationForm,
    pub host: &'a str,
    pub secrets: &'a [&'a str],
}

impl OperationReader {
    pub fn new(idle_timeout: Duration, read_timeout: Duration) -> Self {
        Self {
            turns: Semaphore::new(AT_ONCE),
            places: Semaphore::new(MOST_WAITING),
            idle_timeout,
            read_timeout,
        }
    }

    /// Reads the body of a response with the HTTP status 200. `large` is notified once if the answer is above [`LARGE`], before it
    /// waits for its turn.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecognised`] if it is no operation, another one, or too long; [`ErrorKind::Timeout`] if bytes or the end
    /// do not come, or its turn does not; [`ErrorKind::Network`] if the connection breaks.
    pub async fn read(
        &self,
        mut response: Response,
        expected: Expected<'_>,
        large: &Notify,
    ) -> Result<Operation, CallError> {
        let Expected { host, secrets, .. } = expected;
        let status = response.status().as_u16();
        let mut stream = OperationStream::new(expected.form);
        let mut wrong = None;
        let mut beginning = BytesMut::new();
        let mut size = 0_usize;
        let mut took = Duration::ZERO;
        let mut turn = None;
        // If it says so itself, not even its beginning is read before its turn.
        let is_announced = |length| length > LARGE as u64 && length <= MAX_OPERATION as u64;
        if response.content_length().is_some_and(is_announced) {
            large.notify_one();
            turn = Some(self.turn(host).await?);
        }
        loop {
            let begun = Instant::now();
            let limit = self
                .read_timeout
                .saturating_sub(took)
                .min(self.idle_timeout);
            let chunk = timeout(limit, response.chunk())
                .await
                .map_err(|_| self.timed_out(host, limit))?
                .map_err(|error| network_error::from_reqwest(error, host, secrets))?;
            let Some(chunk) = chunk else { break };
            let length = chunk.len();
            size = size.saturating_add(length);
            if size > MAX_OPERATION {
                return Err(too_long(status, MAX_OPERATION));
            }
            let room = BEGINNING.saturating_sub(beginning.len()).min(chunk.len());
            beginning.extend_from_slice(chunk.get(..room).unwrap_or_default());
            if wrong.is_none() {
                wrong = stream.push(&chunk).err();
            }
            if wrong.is_some() && size > BEGINNING {
                break;
            }
            drop(chunk);
            took += begun.elapsed();
            if turn.is_some() {
                sleep(pause(length, begun.elapsed())).await;
            } else if size > LARGE {
                large.notify_one();
                turn = Some(self.turn(host).await?);
            }
        }
        let read = match wrong {
            Some(wrong) => Err(wrong),
            None => stream.finish().and_then(|copy| {
                read_operation(&copy, expected.form, Some(expected.name), secrets)
            }),
        };
        let operation = read.map_err(|wrong| {
            let was_cut = size > beginning.len();
            match quotable(&beginning, was_cut) {
                [] if was_cut => unrecognised_and_unquoted(Some(status), &wrong),
                quotable => unrecognised(Some(status), quotable, &wrong, secrets),
            }
        })?;
        Ok(Operation {
            reading_took: (size > LARGE).then_some(took),
            ..operation
        })
    }

    /// Leave to read the rest of a large answer. First come, first served.
    async fn turn(&self, host: &str) -> Result<SemaphorePermit<'_>, CallError> {
        let none = || {
            let message = format!(
                "the answer from {host} is above {LARGE} bytes, and too many such answers are being read"
            );
            rpc_error::error(ErrorKind::Timeout, None, message)
        };
        let _place = self.places.try_acquire().map_err(|_| none())?;
        match timeout(LONGEST_WAIT, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            // It took too long; the semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(none()),
        }
    }

    fn timed_out(&self, host: &str, limit: Duration) -> CallError {
        let message = if limit == self.idle_timeout {
            format!("the answer from {host} stopped: no further byte within {limit:?}")
        } else {
            format!(
                "the answer from {host} did not end within {:?}",
                self.read_timeout
            )
        };
        rpc_error::error(ErrorKind::Timeout, None, message)
    }
}

/// How long to wait after so many bytes that took so long, to keep to [`PACE`].
fn pause(length: usize, took: Duration) -> Duration {
    let due = Duration::from_secs(1) * u32::try_from(length).unwrap_or(u32::MAX) / PACE;
    due.saturating_sub(took)
}

/// An answer of which no more is read.
pub(super) fn too_long(status: u16, most: usize) -> CallError {
    let message = format!("HTTP {status} with an answer of more than {most} bytes");
    rpc_error::error(ErrorKind::Unrecognised, Some(status), message)
}

/// What may be quoted of the beginning of an answer. Where it was cut, the last word goes: it may be the beginning of a token, too
/// short to be known as one.
fn quotable(beginning: &[u8], was_cut: bool) -> &[u8] {
    if !was_cut {
        return beginning;
    }
    let end = beginning.iter().rposition(u8::is_ascii_whitespace);
    beginning.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_beginning_ends_with_a_whole_word() {
        for (beginning, was_cut, quoted) in [
            ("Sign in ya29.abc", false, "Sign in ya29.abc"),
            ("Sign in ya29.abc", true, "Sign in"),
            ("ya29.abc", true, ""),
            ("", true, ""),
        ] {
            let shown = quotable(beginning.as_bytes(), was_cut);
            assert_eq!(shown, quoted.as_bytes(), "{beginning} {was_cut}");
        }
    }

    #[tokio::test]
    async fn one_too_many_does_not_wait() {
        let reader = OperationReader::new(Duration::from_secs(1), Duration::from_secs(1));
        let _turns = [
            reader.turn("h").await.unwrap(),
            reader.turn("h").await.unwrap(),
        ];
        let mut waiting: Vec<_> = (0..MOST_WAITING)
            .map(|_| Box::pin(reader.turn("h")))
            .collect();
        for turn in &mut waiting {
            assert!(futures::poll!(turn).is_pending());
        }
        let error = reader.turn("h").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout);
        drop(waiting);
        assert!(futures::poll!(Box::pin(reader.turn("h"))).is_pending());
    }
}
