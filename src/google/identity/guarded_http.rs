//! The HTTP client for all requests about tokens.
//!
//! Guarantees: no redirects (an STS that answers 307 would send the subject token to another server), no proxy but that of `--https-proxy`,
//! time limits for the connection and the whole request, keepalive probes, answers of at most 64 KiB, TLS 1.2 or newer, no retries, no
//! connection reuse. Google's library (google-cloud-auth 1.18) is not used because it cannot forbid redirects, limit the time or cap
//! answers.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use reqwest::Url;
use serde_json::Value;
use std::{fmt, sync::Arc, time::Duration};
use tokio_util::task::AbortOnDropHandle;

use super::secret::Secret;
use crate::google::{
    catalogue::endpoint::is_loopback,
    connections::{
        dialer::{Dialer, Opened},
        network_error::{self, NoStream},
        proxy::HttpsProxy,
        resolver::Resolver,
        tls::Trust,
    },
    identity::token::Token,
    user_agent::USER_AGENT,
};

/// Maximum size of an answer, in bytes (docs/security.md#tokens).
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// Limit for opening a connection, as a part of the whole.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval and number of TCP keepalive probes. An answer can take a minute, and a middlebox may have dropped the connection by then.
/// After three unanswered probes, or as long without an acknowledgement of sent data, the connection is closed.
const PROBE_AFTER: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// A whole answer.
#[derive(Clone)]
pub struct GuardedResponse {
    /// The HTTP status.
    pub status: u16,
    /// At most 64 KiB. It may contain a token, so it is never shown.
    pub body: bytes::Bytes,
}

/// A client for one address.
#[derive(Clone)]
pub(super) struct GuardedHttp {
    dialer: Arc<Dialer>,
    trust: Arc<Trust>,
    url: Url,
    limit: Duration,
}

/// Only the host: the query may contain a secret.
impl fmt::Debug for GuardedHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GuardedHttp").field(&self.host()).finish()
    }
}

impl GuardedHttp {
    /// Opens no connection yet. `limit` is for one request from its start to the last byte of the answer. Without a `proxy` the
    /// connection is direct; on loopback it always is.
    ///
    /// # Errors
    /// With the reason in words: this system has no certificate authorities.
    pub fn new(url: Url, limit: Duration, proxy: Option<&HttpsProxy>) -> Result<Self, String> {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::System);
        tcp.set_keepalive(Some(PROBE_AFTER));
        tcp.set_keepalive_interval(Some(PROBE_AFTER));
        tcp.set_keepalive_retries(Some(PROBES));
        tcp.set_tcp_user_timeout(Some(PROBE_AFTER * PROBES));
        let trust = Trust::new(Vec::new(), true);
        // Plain HTTP needs no authorities: an image without any must still reach the metadata server.
        if url.scheme() != "http" {
            trust
                .configuration(false)
                .map_err(|error| network_error::tls_failure(&error))?;
        }
        Ok(Self {
            dialer: Arc::new(Dialer::new(tcp, proxy.cloned(), CONNECT_TIMEOUT)),
            trust: Arc::new(trust),
            url,
            limit,
        })
    }

    /// The host as messages name it.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The address itself.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// A client for another path of the same server.
    pub fn with_path(&self, path: &str) -> Self {
        let mut other = self.clone();
        other.url.set_path(path);
        other
    }

    /// A GET with these headers.
    ///
    /// # Errors
    /// With the reason in words, if there is no answer that may be read.
    pub async fn get(&self, headers: HeaderMap) -> Result<GuardedResponse, String> {
        self.send(Method::GET, headers, Bytes::new()).await
    }

    /// A POST of a form; `client` is what the caller itself authenticates with (RFC 6749, section 2.3.1).
    ///
    /// # Errors
    /// As [`GuardedHttp::get`].
    pub async fn post_form(
        &self,
        form: &[(&str, &str)],
        client: Option<(&str, &Secret)>,
    ) -> Result<GuardedResponse, String> {
        let mut headers = posted("application/x-www-form-urlencoded");
        if let Some((id, secret)) = client {
            let pair = BASE64_STANDARD.encode(format!("{id}:{}", secret.text()));
            let mut basic = HeaderValue::try_from(format!("Basic {pair}"))
                .map_err(|_| "the client's secret cannot be sent in a header")?;
            basic.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, basic);
        }
        self.send(Method::POST, headers, form_text(form).into())
            .await
    }

    /// A POST of JSON, under a token.
    ///
    /// # Errors
    /// As [`GuardedHttp::get`].
    pub async fn post_json(&self, token: &Token, body: &Value) -> Result<GuardedResponse, String> {
        let authorization = token
            .authorization()
            .ok_or("the token cannot be sent in a header")?;
        let mut headers = posted("application/json");
        headers.insert(header::AUTHORIZATION, authorization);
        self.send(Method::POST, headers, body.to_string().into())
            .await
    }

    async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<GuardedResponse, String> {
        let exchange = async { self.exchange(self.request(method, headers, body)?).await };
        match tokio::time::timeout(self.limit, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {:?}", self.limit)),
        }
    }

    fn request(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, String> {
        let unusable = |_| "the URL cannot be requested".to_owned();
        let path = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = Uri::try_from(path).map_err(unusable)?;
        let kept = request.headers_mut();
        *kept = headers;
        let host = HeaderValue::try_from(self.host());
        kept.insert(
            header::HOST,
            host.map_err(|_| "the host cannot be sent in a header")?,
        );
        let agent = HeaderValue::from_static(USER_AGENT);
        kept.insert(header::USER_AGENT, agent);
        let anything = HeaderValue::from_static("*/*");
        kept.entry(header::ACCEPT).or_insert(anything);
        Ok(request)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<GuardedResponse, String> {
        let broke = |error: hyper::Error| network_error::broken(&error, &[]);
        let uri = Uri::try_from(self.url.as_str())
            .map_err(|_| "the URL cannot be requested".to_owned())?;
        let stream = match self.dialer.open(&uri, false, &self.trust).await {
            Ok(Opened::Plain(stream)) => stream,
            Ok(Opened::Tls(stream)) => Box::new(stream),
            Err(NoStream::TooSlow) => {
                return Err(format!("no connection within {CONNECT_TIMEOUT:?}"));
            }
            Err(error) => return Err(network_error::no_stream(&error)),
        };
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(broke)?;
        // Requests are an hour apart, and nothing may be left over that a restarted server has forgotten.
        let _ends_with_the_request = AbortOnDropHandle::new(tokio::spawn(connection));
        let response = sender.send_request(request).await.map_err(broke)?;
        read_whole(response.status(), response.into_body())
            .await
            .map_err(|error| match error {
                Unread::Broken(error) => broke(error),
                Unread::Refused(why) => why,
            })
    }
}

/// The headers of a POST.
fn posted(content_type: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::ACCEPT, json);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers
}

enum Unread {
    Broken(hyper::Error),
    Refused(String),
}

async fn read_whole(
    status: StatusCode,
    mut answer: hyper::body::Incoming,
) -> Result<GuardedResponse, Unread> {
    let status = status.as_u16();
    if (300..400).contains(&status) {
        return Err(Unread::Refused(format!(
            "HTTP {status}: redirects are not followed"
        )));
    }
    let mut body = BytesMut::new();
    while let Some(frame) = answer.frame().await {
        let frame = frame.map_err(Unread::Broken)?;
        let Some(chunk) = frame.data_ref() else {
            continue;
        };
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Unread::Refused(format!(
                "HTTP {status} with an answer of more than {MAX_ANSWER} bytes"
            )));
        }
        body.extend_from_slice(chunk);
    }
    Ok(GuardedResponse {
        status,
        body: body.freeze(),
    })
}

/// application/x-www-form-urlencoded, as the URL standard has it.
fn form_text(form: &[(&str, &str)]) -> String {
    let encoded = Url::parse_with_params("http://form", form);
    encoded
        .ok()
        .and_then(|url| url.query().map(str::to_owned))
        .unwrap_or_default()
}

/// How a form spells a value: a server may echo it so.
pub(super) fn form_value(value: &str) -> String {
    form_text(&[("", value)]).trim_start_matches('=').to_owned()
}

/// Reads the address of a token server: https, or http for this machine alone.
///
/// # Errors
/// With what would be right; the text itself is not shown.
pub(super) fn token_url(text: &str) -> Result<Url, String> {
    const RIGHT: &str = "must be an https:// URL (http:// only for loopback hosts), without a user name, \"?\" or \"#\"";
    let url = Url::parse(text).map_err(|_| RIGHT.to_owned())?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let safe = match url.scheme() {
        "https" => true,
        "http" => url.host_str().is_some_and(is_loopback),
        _ => false,
    };
    if plain && safe {
        Ok(url)
    } else {
        Err(RIGHT.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_not_shown() {
        crate::google::connections::tls::install_provider();
        let url = Url::parse("http://127.0.0.1:1/token?code=hidden").unwrap();
        let http = GuardedHttp::new(url, Duration::from_secs(1), None).unwrap();
        assert_eq!(format!("{http:?}"), "GuardedHttp(\"127.0.0.1:1\")");
    }

    #[test]
    fn forms_are_encoded() {
        let form = [("a", "x y"), ("b", "1//0+&=%\u{e4}")];
        assert_eq!(form_text(&form), "a=x+y&b=1%2F%2F0%2B%26%3D%25%C3%A4");
        assert_eq!(form_value("1//0"), "1%2F%2F0");
    }

    #[test]
    fn token_servers_are_reached_over_tls_or_on_loopback() {
        for good in [
            "https://sts.googleapis.com/v1/token",
            "http://127.0.0.1:1/token",
            "http://[::1]:1/token",
            "http://localhost/token",
        ] {
            assert!(token_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "sts.googleapis.com",
            "http://sts.googleapis.com/v1/token",
            "http://127.0.0.1.evil.example/",
            "http://169.254.169.254/",
            "https://user@sts.googleapis.com/",
            "https://:secret@sts.googleapis.com/",
            "https://sts.googleapis.com/?key=secret",
            "https://sts.googleapis.com/#x",
            "file:///etc/passwd",
        ] {
            let error = token_url(bad).unwrap_err();
            assert!(
                !error.contains("secret") && error.contains("https://"),
                "{bad}"
            );
        }
    }
}
