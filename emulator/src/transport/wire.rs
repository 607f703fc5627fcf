//! The bytes of one connection, plain or TLS, and the ways in which it can die that HTTP has no word for.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// A connection's bytes.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What is to become of a connection.
pub(super) enum Order {
    /// Closed with a TCP reset.
    Reset,
    /// Reads nothing and writes nothing any more, and stays open.
    BlackHole,
    /// Sends these last bytes and closes.
    Last(Vec<u8>),
}

impl Order {
    /// A GOAWAY frame of HTTP/2 (RFC 9113, 6.8) and the end. Without `unprocessed` its last stream is the highest that there
    /// can be, so that the caller must think that its request was looked at.
    pub(super) fn go_away(code: u32, unprocessed: bool) -> Self {
        let last: u32 = if unprocessed { 0 } else { 0x7fff_ffff };
        // Length 8, type 7, no flags, stream 0.
        let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0];
        frame.extend(last.to_be_bytes());
        frame.extend(code.to_be_bytes());
        Self::Last(frame)
    }
}

/// The order for a connection, if one was given.
#[derive(Default)]
pub(super) struct Orders(Mutex<Option<Order>>);

impl Orders {
    /// Gives it; the connection obeys at its next write.
    pub(super) fn give(&self, order: Order) {
        *self.lock() = Some(order);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Order>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_black_hole(&self) -> bool {
        matches!(*self.lock(), Some(Order::BlackHole))
    }
}

/// A connection that obeys orders.
pub(super) struct Wire {
    stream: Stream,
    orders: Arc<Orders>,
}

/// What a write has to do instead of writing.
enum Instead {
    Write,
    Swallow,
    Fail,
}

impl Wire {
    pub(super) fn new(stream: Stream, orders: Arc<Orders>) -> Self {
        Self { stream, orders }
    }

    /// Carries out the order, as far as it is carried out by writing. hyper writes whole frames, so that the last bytes come
    /// at a frame's end; a peer that reads so slowly that it has got half a frame gets nonsense.
    fn obey(&mut self, cx: &mut Context<'_>) -> Poll<Instead> {
        let mut order = self.orders.lock();
        match order.as_mut() {
            None => Poll::Ready(Instead::Write),
            Some(Order::BlackHole) => Poll::Ready(Instead::Swallow),
            Some(Order::Reset) => Poll::Ready(Instead::Fail),
            Some(Order::Last(bytes)) => {
                let stream = &mut self.stream;
                while !bytes.is_empty() {
                    match ready!(stream.pinned().poll_write(cx, bytes)) {
                        Ok(written) if written > 0 => drop(bytes.drain(..written.min(bytes.len()))),
                        _ => return Poll::Ready(Instead::Fail),
                    }
                }
                // Its success changes nothing: this was the end.
                let _ = ready!(stream.pinned().poll_flush(cx));
                let _ = ready!(stream.pinned().poll_shutdown(cx));
                Poll::Ready(Instead::Fail)
            }
        }
    }
}

impl Stream {
    /// Whether TLS agreed on HTTP/2; a plain connection never does.
    pub(super) fn agreed_on_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    fn pinned(&mut self) -> Pin<&mut (dyn Both + '_)> {
        match self {
            Self::Plain(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

trait Both: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Both for T {}

/// Makes the system send a reset in place of an orderly end when the socket is dropped.
pub(super) fn reset_when_dropped(socket: &TcpStream) {
    if let Err(error) = socket.set_zero_linger() {
        tracing::debug!(%error, "SO_LINGER was refused; the connection ends in order");
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if matches!(*self.orders.lock(), Some(Order::Reset)) {
            reset_when_dropped(self.stream.socket());
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.orders.is_black_hole() {
            return Poll::Pending;
        }
        self.stream.pinned().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.obey(cx)) {
            Instead::Write => self.stream.pinned().poll_write(cx, bytes),
            Instead::Swallow => Poll::Ready(Ok(bytes.len())),
            Instead::Fail => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.obey(cx)) {
            Instead::Write => self.stream.pinned().poll_flush(cx),
            Instead::Swallow => Poll::Ready(Ok(())),
            Instead::Fail => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.obey(cx)) {
            Instead::Write => self.stream.pinned().poll_shutdown(cx),
            Instead::Swallow | Instead::Fail => Poll::Ready(Ok(())),
        }
    }
}
