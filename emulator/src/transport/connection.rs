//! One connection, plain or TLS, and the ways to break it that HTTP has no means for.

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

/// The socket, or TLS on it.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What the connection does in place of its next write.
pub(super) enum Command {
    /// Closes with a TCP reset.
    Reset,
    /// Stays open, but reads and writes nothing any more.
    BlackHole,
    /// Sends these last bytes and closes.
    Last(Vec<u8>),
}

impl Command {
    /// Sends a GOAWAY frame of HTTP/2 (RFC 9113, 6.8) and closes. Without `unprocessed`, its last stream is the highest possible
    /// one, so the client must assume that its request was processed.
    pub(super) fn go_away(code: u32, unprocessed: bool) -> Self {
        let last: u32 = if unprocessed { 0 } else { 0x7fff_ffff };
        // Length 8, type 7, no flags, stream 0.
        let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0];
        frame.extend(last.to_be_bytes());
        frame.extend(code.to_be_bytes());
        Self::Last(frame)
    }
}

/// The command for a connection, if there is one.
#[derive(Default)]
pub(super) struct CommandSlot(Mutex<Option<Command>>);

impl CommandSlot {
    /// Sets the command; the connection executes it at its next write.
    pub(super) fn send(&self, command: Command) {
        *self.lock() = Some(command);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Command>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_black_hole(&self) -> bool {
        matches!(*self.lock(), Some(Command::BlackHole))
    }
}

/// A connection that executes commands.
pub(super) struct Connection {
    stream: Stream,
    commands: Arc<CommandSlot>,
}

/// What becomes of the bytes of a write.
enum WriteOutcome {
    Write,
    Discard,
    Fail,
}

impl Connection {
    pub(super) fn new(stream: Stream, commands: Arc<CommandSlot>) -> Self {
        Self { stream, commands }
    }

    /// Executes the part of the command that concerns writing. hyper writes whole frames, so the last bytes follow a complete
    /// frame; only a peer that reads very slowly may have got half a frame before them.
    fn execute(&mut self, cx: &mut Context<'_>) -> Poll<WriteOutcome> {
        let mut command = self.commands.lock();
        match command.as_mut() {
            None => Poll::Ready(WriteOutcome::Write),
            Some(Command::BlackHole) => Poll::Ready(WriteOutcome::Discard),
            Some(Command::Reset) => Poll::Ready(WriteOutcome::Fail),
            Some(Command::Last(bytes)) => {
                let stream = &mut self.stream;
                while !bytes.is_empty() {
                    match ready!(stream.pinned().poll_write(cx, bytes)) {
                        Ok(written) if written > 0 => drop(bytes.drain(..written.min(bytes.len()))),
                        _ => return Poll::Ready(WriteOutcome::Fail),
                    }
                }
                // The result does not matter: the connection ends here.
                let _ = ready!(stream.pinned().poll_flush(cx));
                let _ = ready!(stream.pinned().poll_shutdown(cx));
                Poll::Ready(WriteOutcome::Fail)
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

    fn pinned(&mut self) -> Pin<&mut (dyn ReadWrite + '_)> {
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

trait ReadWrite: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> ReadWrite for T {}

/// Makes the system send a reset instead of an orderly close when the socket is dropped.
pub(super) fn reset_when_dropped(socket: &TcpStream) {
    if let Err(error) = socket.set_zero_linger() {
        tracing::debug!(%error, "cannot set SO_LINGER; the connection closes without a reset");
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if matches!(*self.commands.lock(), Some(Command::Reset)) {
            reset_when_dropped(self.stream.socket());
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.commands.is_black_hole() {
            return Poll::Pending;
        }
        self.stream.pinned().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.execute(cx)) {
            WriteOutcome::Write => self.stream.pinned().poll_write(cx, bytes),
            WriteOutcome::Discard => Poll::Ready(Ok(bytes.len())),
            WriteOutcome::Fail => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.execute(cx)) {
            WriteOutcome::Write => self.stream.pinned().poll_flush(cx),
            WriteOutcome::Discard => Poll::Ready(Ok(())),
            WriteOutcome::Fail => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.execute(cx)) {
            WriteOutcome::Write => self.stream.pinned().poll_shutdown(cx),
            WriteOutcome::Discard | WriteOutcome::Fail => Poll::Ready(Ok(())),
        }
    }
}
