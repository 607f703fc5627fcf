//! The body of an answer while it is sent: generated piece by piece, so that a huge one needs no memory; paced or truncated, if
//! the scenario says so.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::Closed;
use crate::transport::content::Content;

/// A body that is being sent.
pub(super) struct ResponseBody {
    content: Content,
    sent: u64,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    yielded: bool,
}

impl ResponseBody {
    pub(super) fn new(content: Content) -> Self {
        Self {
            content,
            sent: 0,
            pause: None,
            yielded: false,
        }
    }

    /// Whether the body is shorter than its head says.
    pub(super) fn is_truncated(&self) -> bool {
        self.content.claimed_length() > self.content.length()
    }

    fn is_whole(&self) -> bool {
        self.sent >= self.content.claimed_length()
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let piece = self.content.piece(self.sent);
        if !piece.is_empty() {
            self.sent += piece.len() as u64;
            if let (Some(every), false) = (self.content.pause(), self.is_whole()) {
                let until = Instant::now() + every;
                self.pause = Some(Box::pin(tokio::time::sleep_until(until.into())));
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if self.is_whole() {
            return Poll::Ready(None);
        }
        if !self.yielded {
            // hyper writes its buffer before it polls again; an immediate error would discard the buffer.
            self.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Closed)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_whole()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_truncated() {
            // The head has the claimed length, which a hint would contradict.
            SizeHint::default()
        } else {
            SizeHint::with_exact(self.content.length() - self.sent)
        }
    }
}
