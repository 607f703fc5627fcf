//! Opens connections: DNS, TCP, the tunnel of a proxy, TLS, HTTP.

use bytes::Bytes;
use http::{Uri, uri::Scheme};
use hyper::{
    body::{Body, Frame, SizeHint},
    client::conn::{http1, http2},
    rt::{Read, Write},
};
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, dns::Name, proxy::Tunnel},
        proxy::matcher::Matcher,
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::pki_types::ServerName;
use std::{
    convert::Infallible,
    error::Error,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
    vec,
};
use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;
use tower::Service;

use super::{
    hosts_without_address::{HostsWithoutAddress, NoAddress},
    network_error,
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
    limit: Duration,
    ping_after: Duration,
    tcp: HttpConnector<Resolver>,
    proxies: Option<Matcher>,
    without_address: Mutex<HostsWithoutAddress>,
    /// Told when an HTTP/2 connection ended.
    pub ended: Arc<Notify>,
}

impl std::fmt::Debug for Connector {
    /// Without the proxies, whose addresses may hold passwords.
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
        proxy_from_environment: bool,
    ) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::System);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED_LIMIT));
        Self {
            trust,
            limit,
            ping_after,
            tcp,
            proxies: proxy_from_environment.then(Matcher::from_env),
            without_address: Mutex::default(),
            ended: Arc::default(),
        }
    }

    /// One for which no host has an address. It counts how often that was asked.
    #[cfg(test)]
    pub fn without_addresses(asked: Arc<std::sync::atomic::AtomicUsize>) -> Self {
        let second = Duration::from_secs(1);
        let mut connector = Self::new(Trust::new(Vec::new(), false), second, second, false);
        connector.tcp = HttpConnector::new_with_resolver(Resolver::NoAddress(asked));
        connector.tcp.enforce_http(false);
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
        match timeout(self.limit, self.connect(origin)).await {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(error)) => {
                let mut causes = network_error::causes(error.as_ref());
                if causes.any(|cause| cause.downcast_ref().is_some_and(NoAddress::is_definite)) {
                    self.without_address().note(&origin.host, Instant::now());
                }
                Err(network_error::no_connection(error.as_ref(), &origin.host))
            }
            Err(_) => Err(network_error::no_connection_in_time(&origin.host)),
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

    async fn connect(&self, origin: &Origin) -> Result<Opened, BoxError> {
        let uri = &origin.uri;
        if uri.scheme() == Some(&Scheme::HTTP) {
            return first_http1(called(self.tcp.clone(), uri).await?).await;
        }
        let proxy = self
            .proxies
            .as_ref()
            .and_then(|proxies| proxies.intercept(uri));
        let stream = match proxy {
            None => called(self.tcp.clone(), uri).await?,
            Some(proxy) if proxy.uri().scheme() == Some(&Scheme::HTTP) => {
                let tunnel = Tunnel::new(proxy.uri().clone(), self.tcp.clone());
                let tunnel = match proxy.basic_auth() {
                    Some(auth) => tunnel.with_auth(auth.clone()),
                    None => tunnel,
                };
                called(tunnel, uri).await?
            }
            Some(_) => return Err("the proxy must be reached by http://".into()),
        };
        let config = self.trust.configuration(origin.overridden)?;
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())?;
        let tls = TlsConnector::from(config)
            .connect(name, stream.into_inner())
            .await?;
        let speaks_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        if speaks_http2 {
            self.first_http2(TokioIo::new(tls)).await
        } else {
            first_http1(TokioIo::new(tls)).await
        }
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

type BoxError = Box<dyn Error + Send + Sync>;

async fn first_http1(
    stream: impl Read + Write + Unpin + Send + 'static,
) -> Result<Opened, BoxError> {
    let (sender, connection) = http1::handshake(stream).await?;
    tokio::spawn(connection);
    Ok(Opened::Http1(sender))
}

async fn called<S>(mut service: S, uri: &Uri) -> Result<TokioIo<TcpStream>, BoxError>
where
    S: Service<Uri, Response = TokioIo<TcpStream>>,
    S::Error: Into<BoxError>,
{
    poll_fn(|context| service.poll_ready(context))
        .await
        .map_err(Into::into)?;
    service.call(uri.clone()).await.map_err(Into::into)
}

/// Looks up the addresses of a host.
#[derive(Clone, Debug)]
pub(in crate::google) enum Resolver {
    /// By the system's resolver, in threads of its own.
    System,
    /// No host has one; how often that was asked.
    #[cfg(test)]
    NoAddress(Arc<std::sync::atomic::AtomicUsize>),
}

impl Resolver {
    async fn look_up(self, host: Name) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((host.as_str(), 0)).await?.collect()),
            #[cfg(test)]
            Self::NoAddress(asked) => {
                asked.fetch_add(1, Ordering::Relaxed);
                let text = "failed to lookup address information: Name or service not known";
                Err(io::Error::other(text))
            }
        }
    }
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = NoAddress;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoAddress>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoAddress>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.look_up(name).await;
            found.map(Vec::into_iter).map_err(NoAddress::new)
        })
    }
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
