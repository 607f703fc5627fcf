//! Opens byte streams: DNS and TCP, directly to a server or through the tunnel of a proxy, and TLS.

use http::{Uri, uri::Scheme};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{future::poll_fn, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower::Service;

use super::{
    network_error::{self, BoxError, NoStream},
    proxy::HttpsProxy,
    resolver::Resolver,
    tls::Trust,
};
use crate::google::catalogue::endpoint::is_loopback;

/// Bytes in both directions.
pub(in crate::google) trait ByteStream:
    AsyncRead + AsyncWrite + Send + Unpin
{
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// An open byte stream.
pub(in crate::google) type Stream = Box<dyn ByteStream>;

/// See the module.
pub(in crate::google) struct Dialer {
    pub tcp: HttpConnector<Resolver>,
    proxy: Option<HttpsProxy>,
    limit: Duration,
}

impl Dialer {
    /// `limit` is for opening one stream, all of it.
    pub fn new(
        mut tcp: HttpConnector<Resolver>,
        proxy: Option<HttpsProxy>,
        limit: Duration,
    ) -> Self {
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { tcp, proxy, limit }
    }

    /// Opens a stream to a server, with TLS unless its scheme is `http`. Plain HTTP, loopback hosts and endpoint overrides are never reached
    /// through the proxy.
    ///
    /// # Errors
    /// With what failed; nothing was sent to the server then.
    pub async fn open(
        &self,
        uri: &Uri,
        overridden: bool,
        trust: &Trust,
    ) -> Result<Opened, NoStream> {
        let deadline = Instant::now() + self.limit;
        let is_plain = uri.scheme() == Some(&Scheme::HTTP);
        let is_near = is_loopback(uri.host().unwrap_or_default());
        let proxy = self
            .proxy
            .as_ref()
            .filter(|_| !is_plain && !is_near && !overridden);
        let stream = match proxy {
            Some(proxy) => self.tunnel(proxy, uri, trust, deadline).await?,
            None => match timeout_at(deadline, connect(self.tcp.clone(), uri)).await {
                Ok(connected) => Box::new(connected.map_err(direct)?),
                Err(_) => return Err(NoStream::TooSlow),
            },
        };
        if is_plain {
            return Ok(Opened::Plain(stream));
        }
        let failed = |error| NoStream::Failed {
            error,
            proxy: proxy.cloned(),
        };
        let config = trust
            .configuration(overridden)
            .map_err(|error| failed(error.into()))?;
        match timeout_at(deadline, handshake(config, uri, stream)).await {
            Ok(secured) => Ok(Opened::Tls(Box::new(secured.map_err(failed)?))),
            Err(_) => match proxy {
                Some(proxy) => Err(proxy
                    .too_slow("opened the tunnel, but TLS with the server took too long")
                    .into()),
                None => Err(NoStream::TooSlow),
            },
        }
    }

    async fn tunnel(
        &self,
        proxy: &HttpsProxy,
        uri: &Uri,
        trust: &Trust,
        deadline: Instant,
    ) -> Result<Stream, NoStream> {
        let reached = timeout_at(deadline, self.reach(proxy, trust)).await;
        let limit = self.limit;
        let mut stream = match reached {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                let why = network_error::no_connection_to_proxy(error.as_ref());
                return Err(proxy.error(format!("cannot be reached: {why}")).into());
            }
            Err(_) => {
                let wrong = format!("cannot be reached: no connection within {limit:?}");
                return Err(proxy.too_slow(wrong).into());
            }
        };
        let to = format!(
            "{}:{}",
            uri.host().unwrap_or_default(),
            uri.port_u16().unwrap_or(443)
        );
        match timeout_at(deadline, proxy.open_tunnel(&mut stream, &to)).await {
            Ok(opened) => opened?,
            Err(_) => {
                let wrong = format!("did not answer within {limit:?}");
                return Err(proxy.too_slow(wrong).into());
            }
        }
        Ok(stream)
    }

    async fn reach(&self, proxy: &HttpsProxy, trust: &Trust) -> Result<Stream, BoxError> {
        let stream = connect(self.tcp.clone(), proxy.uri()).await?;
        if proxy.speaks_tls() {
            let config = trust.proxy_configuration()?;
            let secured = handshake(config, proxy.uri(), stream).await?;
            Ok(Box::new(secured))
        } else {
            Ok(Box::new(stream))
        }
    }
}

/// An open stream.
pub(in crate::google) enum Opened {
    /// Without TLS.
    Plain(Stream),
    /// With TLS.
    Tls(Box<TlsStream<Stream>>),
}

fn direct(error: BoxError) -> NoStream {
    NoStream::Failed { error, proxy: None }
}

async fn connect(mut tcp: HttpConnector<Resolver>, uri: &Uri) -> Result<TcpStream, BoxError> {
    poll_fn(|context| tcp.poll_ready(context)).await?;
    Ok(tcp.call(uri.clone()).await.map(TokioIo::into_inner)?)
}

async fn handshake<S: ByteStream>(
    config: Arc<ClientConfig>,
    uri: &Uri,
    stream: S,
) -> Result<TlsStream<S>, BoxError> {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned())?;
    Ok(TlsConnector::from(config).connect(name, stream).await?)
}
