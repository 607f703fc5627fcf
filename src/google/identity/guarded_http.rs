//! The HTTP client for all requests about tokens.
//!
//! Guarantees: no redirects (an STS that answers 307 would send the subject token to another server), no proxy from the environment,
//! time limits for the connection and the whole request, keepalive probes, answers of at most 64 KiB, TLS 1.2 or newer, no retries, no
//! connection reuse. Google's library (google-cloud-auth 1.18) is not used because it cannot forbid redirects, limit the time or cap
//! answers.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, header};
use reqwest::{RequestBuilder, Url, redirect, retry, tls::Version};
use serde_json::Value;
use std::{fmt, time::Duration};

use super::secret::Secret;
use crate::google::{
    catalogue::endpoint::is_loopback, connections::network_error, identity::token::Token,
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
pub(super) struct GuardedResponse {
    /// The HTTP status.
    pub status: u16,
    /// At most [`MAX_ANSWER`] bytes. It may contain a token, so it is never shown.
    pub body: bytes::Bytes,
}

/// A client for one address.
#[derive(Clone)]
pub(super) struct GuardedHttp {
    client: reqwest::Client,
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
    /// Opens no connection yet. `limit` is for one request from its start to the last byte of the answer.
    ///
    /// # Errors
    /// With the reason in words: this system has no certificate authorities.
    pub fn new(url: Url, limit: Duration) -> Result<Self, String> {
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .http1_only()
            .tls_version_min(Version::TLS_1_2)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(PROBE_AFTER)
            .tcp_keepalive_interval(PROBE_AFTER)
            .tcp_keepalive_retries(PROBES)
            .tcp_user_timeout(PROBE_AFTER * PROBES)
            .user_agent(USER_AGENT)
            // Requests are an hour apart, and nothing may be left over that a restarted server has forgotten.
            .pool_max_idle_per_host(0);
        let builder = if url.scheme() == "http" {
            // Needs no authorities: an image without any must still reach the metadata server.
            builder.tls_certs_only([])
        } else {
            builder.https_only(true)
        };
        let client = builder
            .build()
            .map_err(|error| network_error::describe(error, &[]))?;
        Ok(Self { client, url, limit })
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

    /// A GET with these headers.
    ///
    /// # Errors
    /// With the reason in words, if there is no answer that may be read.
    pub async fn get(&self, headers: HeaderMap) -> Result<GuardedResponse, String> {
        self.send(self.client.get(self.url.clone()).headers(headers))
            .await
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
        let mut request = self
            .client
            .post(self.url.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form_text(form));
        if let Some((id, secret)) = client {
            request = request.basic_auth(id, Some(secret.text()));
        }
        self.send(request).await
    }

    /// A POST of JSON, under a token.
    ///
    /// # Errors
    /// As [`GuardedHttp::get`].
    pub async fn post_json(&self, token: &Token, body: &Value) -> Result<GuardedResponse, String> {
        let authorization = token
            .authorization()
            .ok_or("the token cannot be sent in a header")?;
        let request = self
            .client
            .post(self.url.clone())
            .header(header::AUTHORIZATION, authorization)
            .header(header::ACCEPT, "application/json")
            .header(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            )
            .body(body.to_string());
        self.send(request).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<GuardedResponse, String> {
        match tokio::time::timeout(self.limit, exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {:?}", self.limit)),
        }
    }
}

async fn exchange(request: RequestBuilder) -> Result<GuardedResponse, String> {
    let broke = |error: reqwest::Error| {
        if error.is_timeout() {
            format!("no connection within {CONNECT_TIMEOUT:?}")
        } else {
            network_error::describe(error, &[])
        }
    };
    let mut response = request.send().await.map_err(broke)?;
    let status = response.status();
    if status.is_redirection() {
        return Err(format!(
            "HTTP {}: redirects are not followed",
            status.as_u16()
        ));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(broke)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(format!(
                "HTTP {} with an answer of more than {MAX_ANSWER} bytes",
                status.as_u16()
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(GuardedResponse {
        status: status.as_u16(),
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
        let http = GuardedHttp::new(url, Duration::from_secs(1)).unwrap();
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
