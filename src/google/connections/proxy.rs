//! The HTTP proxy of `--https-proxy`: its address, its credentials, and the tunnel through it (CONNECT, RFC 9110, section 9.3.6).
//!
//! Guarantees: the password is in no message and no `Debug` output; at most 16 KiB of an answer are read; the bytes of the
//! tunnel are the server's alone. Caveat: at an `http://` proxy the password passes the network unencrypted.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{Uri, uri::Scheme};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::google::{text_file::read_capped, user_agent::USER_AGENT};

/// Maximum size of a proxy's answer, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Maximum size of the credentials file, in bytes.
const MAX_CREDENTIALS: u64 = 4 * 1024;

/// The flag that names the credentials file.
const CREDENTIALS_FLAG: &str = "--https-proxy-credentials-file";

/// A proxy for the connections to Google.
#[derive(Clone)]
pub struct HttpsProxy {
    uri: Uri,
    /// Host and port, as messages name the proxy.
    address: String,
    /// Read for each connection, so that a rotated Secret needs no restart.
    credentials_file: Option<PathBuf>,
}

impl fmt::Debug for HttpsProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpsProxy").field(&self.address).finish()
    }
}

/// The value of `--https-proxy`, not checked yet. Nothing shows it: it may hold a password by mistake.
#[derive(Clone)]
pub struct ProxyUrl(String);

impl From<&str> for ProxyUrl {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyUrl(not shown)")
    }
}

/// Why the flags name no usable proxy. The URL is not in the message, because it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidProxy(String);

/// A proxy that opens no tunnel, or does not lead to the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proxy {proxy} {wrong}")]
pub(in crate::google) struct ProxyError {
    proxy: String,
    wrong: String,
    /// Whether it took too long.
    pub timed_out: bool,
}

impl HttpsProxy {
    /// A proxy that requires no credentials: `http://HOST:PORT` or `https://HOST:PORT`.
    ///
    /// # Errors
    /// If the URL is of another form.
    pub fn new(url: &ProxyUrl) -> Result<Self, InvalidProxy> {
        let ProxyUrl(url) = url;
        if url.contains('@') {
            return Err(InvalidProxy(format!(
                "--https-proxy: the URL must not contain a user or a password; write USER:PASSWORD into a file and use {CREDENTIALS_FLAG}"
            )));
        }
        let uri = proxy_uri(url).ok_or_else(|| {
            InvalidProxy(
                "--https-proxy: use http://HOST:PORT or https://HOST:PORT, for example http://proxy.example.com:3128"
                    .to_owned(),
            )
        })?;
        Ok(Self {
            address: uri.authority().map(ToString::to_string).unwrap_or_default(),
            uri,
            credentials_file: None,
        })
    }

    /// The same with the file that holds `USER:PASSWORD`.
    ///
    /// # Errors
    /// If the file cannot be used now.
    pub fn with_credentials_file(self, file: PathBuf) -> Result<Self, InvalidProxy> {
        let proxy = Self {
            credentials_file: Some(file),
            ..self
        };
        proxy.authorization().map_err(InvalidProxy)?;
        Ok(proxy)
    }

    /// The proxy that the two flags name, if any.
    ///
    /// # Errors
    /// As the functions above.
    pub fn from_flags(
        url: Option<&ProxyUrl>,
        credentials_file: Option<&Path>,
    ) -> Result<Option<Self>, InvalidProxy> {
        let Some(proxy) = url.map(Self::new).transpose()? else {
            return Ok(None);
        };
        Ok(Some(match credentials_file {
            Some(file) => proxy.with_credentials_file(file.to_owned())?,
            None => proxy,
        }))
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where the proxy is.
    pub(in crate::google) const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether the proxy itself is reached over TLS.
    pub(in crate::google) fn speaks_tls(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// A failure of this proxy.
    pub(in crate::google) fn error(&self, wrong: impl Into<String>) -> ProxyError {
        ProxyError {
            proxy: self.address.clone(),
            wrong: wrong.into(),
            timed_out: false,
        }
    }

    /// The proxy took too long.
    pub(in crate::google) fn too_slow(&self, wrong: impl Into<String>) -> ProxyError {
        ProxyError {
            timed_out: true,
            ..self.error(wrong)
        }
    }

    /// Asks for a tunnel to this host and port. Afterwards the stream is the tunnel.
    ///
    /// # Errors
    /// If the proxy opens none.
    pub(in crate::google) async fn open_tunnel(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        to: &str,
    ) -> Result<(), ProxyError> {
        let authorization = self.authorization().map_err(|why| self.error(why))?;
        let mut request =
            format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: {USER_AGENT}\r\n");
        if let Some(authorization) = &authorization {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        let sent = async {
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await
        };
        sent.await.map_err(|_| self.error(CLOSED))?;
        self.read_answer(stream, to, authorization.is_some()).await
    }

    async fn read_answer(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        to: &str,
        is_authorized: bool,
    ) -> Result<(), ProxyError> {
        let mut read = Vec::with_capacity(1024);
        loop {
            // Interim answers come before the one that counts.
            while let Some(end) = end_of_head(&read) {
                let head = read.get(..end).unwrap_or_default();
                let answer = Answer::read(head)
                    .ok_or_else(|| self.error("sent an answer that is not HTTP"))?;
                match answer.status {
                    200..300 if read.len() > end => {
                        return Err(self.error("sent data before the tunnel was used"));
                    }
                    200..300 => return Ok(()),
                    100..200 => drop(read.drain(..end)),
                    _ => return Err(self.error(answer.refusal(to, is_authorized))),
                }
            }
            if read.len() >= MAX_HEAD {
                return Err(self.error(format!("sent an answer of more than {MAX_HEAD} bytes")));
            }
            // A server on another protocol may never send the end of a head.
            if !b"HTTP/1.".starts_with(read.get(..read.len().min(7)).unwrap_or_default()) {
                return Err(self.error("sent an answer that is not HTTP"));
            }
            match stream.read_buf(&mut read).await {
                Ok(0) | Err(_) => return Err(self.error(CLOSED)),
                Ok(_) => {}
            }
        }
    }

    /// The value of `Proxy-Authorization`, if there are credentials.
    fn authorization(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.credentials_file else {
            return Ok(None);
        };
        match read_credentials(path) {
            Ok(credentials) => Ok(Some(format!(
                "Basic {}",
                BASE64_STANDARD.encode(credentials)
            ))),
            Err(why) => Err(format!("{CREDENTIALS_FLAG} {}: {why}", path.display())),
        }
    }
}

const CLOSED: &str = "closed the connection without opening a tunnel";

/// The address, if it has the one allowed form.
fn proxy_uri(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme()?;
    let host = uri.host()?;
    let is_good = (scheme == &Scheme::HTTP || scheme == &Scheme::HTTPS)
        && !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b))
        // The usual port of proxies differs from program to program.
        && uri.port_u16().is_some_and(|port| port != 0)
        && uri.path() == "/"
        && uri.query().is_none()
        && !url.contains('#');
    is_good.then_some(uri)
}

fn read_credentials(path: &Path) -> Result<String, String> {
    let text = read_capped(path, MAX_CREDENTIALS).map_err(|error| error.to_string())?;
    let line = text.trim_end_matches(['\r', '\n']);
    let has_user = line
        .split_once(':')
        .is_some_and(|(user, _)| !user.is_empty());
    if has_user && !line.chars().any(char::is_control) {
        Ok(line.to_owned())
    } else {
        Err("it must be one line, USER:PASSWORD".to_owned())
    }
}

/// Where a head ends. Some proxies end lines by a line feed alone.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let after = |end: &[u8]| {
        let found = bytes.windows(end.len()).position(|window| window == end);
        found.map(|at| at + end.len())
    };
    [after(b"\r\n\r\n"), after(b"\n\n")]
        .into_iter()
        .flatten()
        .min()
}

/// What a proxy answers.
struct Answer {
    status: u16,
    /// Whether it offers ways to authenticate, and `Basic` is not one of them.
    lacks_basic: bool,
}

impl Answer {
    fn read(head: &[u8]) -> Option<Self> {
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let mut lines = head.lines();
        let (version, rest) = lines.next()?.split_once(' ')?;
        let status = rest.split(' ').next()?;
        let is_http = matches!(version, "http/1.1" | "http/1.0") && status.len() == 3;
        let offers: Vec<_> = lines
            .filter_map(|line| line.strip_prefix("proxy-authenticate:"))
            .collect();
        Some(Self {
            status: status
                .parse()
                .ok()
                .filter(|status| is_http && (100..600).contains(status))?,
            lacks_basic: !offers.is_empty() && !offers.iter().any(|offer| offer.contains("basic")),
        })
    }

    fn refusal(&self, to: &str, is_authorized: bool) -> String {
        let status = self.status;
        match status {
            407 if self.lacks_basic => {
                format!("offers no Basic authentication, the only kind supported (HTTP {status})")
            }
            // tinyproxy answers 401 to a wrong password, and 500 for a host that it cannot reach.
            401 | 407 if is_authorized => {
                format!("refused the user and password of {CREDENTIALS_FLAG} (HTTP {status})")
            }
            401 | 407 => {
                format!("requires a user and a password: use {CREDENTIALS_FLAG} (HTTP {status})")
            }
            403 | 405 => format!("does not allow connections to {to} (HTTP {status})"),
            500 | 502..=504 => format!("cannot connect to {to} (HTTP {status})"),
            _ => format!("opened no tunnel to {to} (HTTP {status})"),
        }
    }
}
