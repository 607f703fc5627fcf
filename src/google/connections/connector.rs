//! Opens connections: a stream of bytes, and HTTP on it.

use bytes::Bytes;
use http::Uri;
use hyper::{
    body::{Body, Frame, SizeHint},
    client::conn::{http1, http2},
    rt::{Read, Write},
};
use hyper_util::{
    client::legacy::connect::HttpConnector,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

use super::{
    dialer::{Dialer, Opened as OpenStream},
    hosts_without_address::{HostsWithoutAddress, NoAddress},
    network_error::{self, BoxError, NoStream},
    proxy::HttpsProxy,
    resolver::Resolver,
    tls::Trust,
};
use crate::google::answers::answer::CallError;

/// What a server may send of one answer before it is read, in bytes. An operation of 64 MiB over a line of 100 ms takes half a minute.
pub(in crate::google) const STREAM_WINDOW: u32 = 256 * 1024;

/// The same of all answers on one connection. Large answers wait for their turn unread, so that there must be room for all that may
/// wait or are read, and for the small answers beside them: else a cancel would wait for them.
pub(in crate::google) const CONNECTION_WINDOW: u32 = 20 * 1024 * 1024;

/// How long an answer to a PING is waited for.
const PING_LIMIT: Duration = Duration::from_secs(5);

/// A connection is closed if sent data is not acknowledged, so that a silently dropped one does not stay for a quarter of an
/// hour after its last request.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(30);

/// Where connections lead.
#[derive(Clone, Debug)]
pub(in crate::google) struct Origin {
    /// Scheme, host and port.
    pub uri: Uri,
    /// The host as messages name it.
    pub host: String,
    /// Whether it is an administrator's endpoint override.
    pub overridden: bool,
}

impl Origin {
    /// From the URL of an endpoint.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(endpoint: &str, overridden: bool) -> Result<Self, http::uri::InvalidUri> {
        let uri: Uri = endpoint.parse()?;
        let host = uri.authority().map(|host| host.as_str().to_owned());
        Ok(Self {
            host: host.unwrap_or_default(),
            uri,
            overridden,
        })
    }
}

/// The empty body of a request. It notes when the request leaves: until then the request can be withdrawn.
pub(in crate::google) struct NoBody(Arc<AtomicBool>);

impl NoBody {
    /// `left` becomes true when the request leaves.
    pub const fn new(left: Arc<AtomicBool>) -> Self {
        Self(left)
    }
}

impl Body for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    /// The connection asks for it when it writes the head, and not before.
    fn is_end_stream(&self) -> bool {
        self.0.store(true, Ordering::SeqCst);
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}

/// An open connection.
pub(in crate::google) enum Opened {
    /// For one request at a time.
    Http1(http1::SendRequest<NoBody>),
    /// For many.
    Http2(http2::SendRequest<NoBody>),
}

/// See the module.
pub(in crate::google) struct Connector {
    trust: Trust,
    ping_after: Duration,
    dialer: Dialer,
    without_address: Mutex<HostsWithoutAddress>,
    /// Told when an HTTP/2 connection ended.
    pub ended: Arc<Notify>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// `limit` is for opening one connection, all of it. While a request is under way, a connection on which nothing came for
    /// `ping_after` is asked whether it still stands; never when it is idle.
    pub fn new(
        trust: Trust,
        limit: Duration,
        ping_after: Duration,
        proxy: Option<HttpsProxy>,
    ) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::System);
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED_LIMIT));
        Self {
            trust,
            ping_after,
            dialer: Dialer::new(tcp, proxy, limit),
            without_address: Mutex::default(),
            ended: Arc::default(),
        }
    }

    /// One for which no host has an address. It counts how often that was asked.
    #[cfg(test)]
    pub fn without_addresses(asked: Arc<std::sync::atomic::AtomicUsize>) -> Self {
        let second = Duration::from_secs(1);
        let mut connector = Self::new(Trust::new(Vec::new(), false), second, second, None);
        connector.dialer.tcp = HttpConnector::new_with_resolver(Resolver::NoAddress(asked));
        connector.dialer.tcp.enforce_http(false);
        connector
    }

    /// How often certificate authorities were read.
    #[cfg(test)]
    pub fn configurations(&self) -> usize {
        self.trust.built()
    }

    /// Opens one.
    ///
    /// # Errors
    /// With what failed; nothing was sent then.
    pub async fn open(&self, origin: &Origin) -> Result<Opened, CallError> {
        match self.connect(origin).await {
            Ok(opened) => Ok(opened),
            Err(NoStream::TooSlow) => Err(network_error::no_connection_in_time(&origin.host)),
            Err(error) => {
                // Of a proxy's address it says nothing about the host.
                let is_direct = matches!(&error, NoStream::Failed { proxy: None, .. });
                let mut causes = network_error::causes(&error);
                if is_direct
                    && causes.any(|cause| cause.downcast_ref().is_some_and(NoAddress::is_definite))
                {
                    self.without_address().note(&origin.host, Instant::now());
                }
                Err(network_error::no_connection(&error, &origin.host))
            }
        }
    }

    /// Whether a host had no address a moment ago.
    pub fn lacks_address(&self, host: &str) -> bool {
        self.without_address().contains(host, Instant::now())
    }

    fn without_address(&self) -> MutexGuard<'_, HostsWithoutAddress> {
        self.without_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self, origin: &Origin) -> Result<Opened, NoStream> {
        let dialed = self
            .dialer
            .open(&origin.uri, origin.overridden, &self.trust)
            .await?;
        let opened = match dialed {
            OpenStream::Plain(stream) => first_http1(TokioIo::new(stream)).await,
            OpenStream::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => {
                self.first_http2(TokioIo::new(tls)).await
            }
            OpenStream::Tls(tls) => first_http1(TokioIo::new(tls)).await,
        };
        opened.map_err(|error| NoStream::Failed { error, proxy: None })
    }

    async fn first_http2(
        &self,
        stream: impl Read + Write + Unpin + Send + 'static,
    ) -> Result<Opened, BoxError> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(self.ping_after)
            .keep_alive_timeout(PING_LIMIT)
            .keep_alive_while_idle(false)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let (sender, connection) = builder.handshake(stream).await?;
        let ended = self.ended.clone();
        tokio::spawn(async move {
            // How it ended, its requests say.
            let _ended = connection.await;
            ended.notify_one();
        });
        Ok(Opened::Http2(sender))
    }
}

async fn first_http1(
    stream: impl Read + Write + Unpin + Send + 'static,
) -> Result<Opened, BoxError> {
    let (sender, connection) = http1::handshake(stream).await?;
    tokio::spawn(connection);
    Ok(Opened::Http1(sender))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_wait_leave_room_for_others() {
        let waiting = u32::try_from(crate::google::client::MOST_LARGE).unwrap();
        assert!(waiting * STREAM_WINDOW + 2 * 1024 * 1024 <= CONNECTION_WINDOW);
    }
}
