//! The metadata server beside us, asked for who we are. Tokens come from it through Google's own library
//! (see [`super::identity`]); this is what that library does not do.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Url, redirect, retry};
use std::time::Duration;

use super::{network_error, token::TokenError};

/// The variable that moves the metadata server; Google's library obeys it too, and before anything else.
pub(super) const HOST_VARIABLE: &str = "GCE_METADATA_HOST";

const DEFAULT_BASE: &str = "http://metadata.google.internal";
const EMAIL_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/email";

/// Most that is read of an answer, in bytes (design section 5).
const MAX_ANSWER: usize = 64 * 1024;
/// Longest e-mail address (RFC 5321): 64 before the @, 255 after it.
const MAX_EMAIL: usize = 320;

/// Where the metadata server is, and a client for it.
#[derive(Debug)]
pub(super) struct MetadataServer {
    base: String,
    client: reqwest::Client,
}

impl MetadataServer {
    /// `moved` is the value of [`HOST_VARIABLE`]; it wins over `given`, as it does in Google's library.
    pub fn new(
        given: Option<String>,
        moved: Option<String>,
        timeout: Duration,
    ) -> Result<Self, TokenError> {
        let base = base(given, moved)?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .timeout(timeout)
            // Nothing may be left over that a restarted metadata server has forgotten.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| TokenError::new(network_error::describe(&error, &[])))?;
        Ok(Self { base, client })
    }

    /// Base URL without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The e-mail address of the identity that tokens from here would have.
    pub async fn email(&self) -> Result<String, TokenError> {
        let failed = |why: &str| {
            TokenError::new(format!(
                "the metadata server {} did not say who we are: {why}",
                self.base
            ))
        };
        let broke = |error: reqwest::Error| {
            failed(&if error.is_timeout() {
                "no answer in time".to_owned()
            } else {
                network_error::describe(&error, &[])
            })
        };
        let request = self
            .client
            .get(format!("{}{EMAIL_PATH}", self.base))
            .header("metadata-flavor", "Google");
        let mut response = request.send().await.map_err(broke)?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(failed(&format!("HTTP {status}")));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broke)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(failed("its answer is too long"));
            }
        }
        let email = std::str::from_utf8(&body).unwrap_or_default().trim();
        let good = (1..=MAX_EMAIL).contains(&email.len())
            && email.bytes().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'@' | b'.' | b'-' | b'_' | b'+' | b':')
            });
        if good {
            Ok(email.to_owned())
        } else {
            Err(failed("its answer is no e-mail address"))
        }
    }

    /// Refuses an environment in which Google's library would send its requests through a proxy: whoever runs that would
    /// see, and could choose, our tokens.
    pub fn refuse_proxy(&self, proxies: &Matcher) -> Result<(), TokenError> {
        let proxied = self
            .base
            .parse::<Uri>()
            .is_ok_and(|uri| proxies.intercept(&uri).is_some());
        if proxied {
            return Err(TokenError::new(format!(
                "HTTP_PROXY or ALL_PROXY is set and would carry the metadata server's tokens; add {} to NO_PROXY",
                self.base.trim_start_matches("http://")
            )));
        }
        Ok(())
    }
}

fn base(given: Option<String>, moved: Option<String>) -> Result<String, TokenError> {
    let moved = moved.map(|host| format!("http://{host}"));
    let base = moved
        .or(given)
        .unwrap_or_else(|| DEFAULT_BASE.to_owned())
        .trim_end_matches('/')
        .to_owned();
    let plain = Url::parse(&base).is_ok_and(|url| {
        url.as_str() == format!("{base}/") && url.scheme() == "http" && url.username().is_empty()
    });
    if plain {
        Ok(base)
    } else {
        Err(TokenError::new(format!(
            "{HOST_VARIABLE} must be HOST[:PORT] of a metadata server, such as 169.254.169.254"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(given: Option<&str>, moved: Option<&str>) -> Result<MetadataServer, TokenError> {
        crate::google::tls::install_provider();
        MetadataServer::new(
            given.map(str::to_owned),
            moved.map(str::to_owned),
            Duration::from_secs(1),
        )
    }

    #[test]
    fn the_variable_wins() {
        for (given, moved, base) in [
            (None, None, "http://metadata.google.internal"),
            (Some("http://127.0.0.1:1/"), None, "http://127.0.0.1:1"),
            (None, Some("127.0.0.1:2"), "http://127.0.0.1:2"),
            (
                Some("http://127.0.0.1:1"),
                Some("localhost:3"),
                "http://localhost:3",
            ),
        ] {
            assert_eq!(server(given, moved).unwrap().base(), base);
        }
    }

    #[test]
    fn odd_hosts_are_refused() {
        for moved in ["", "a b", "user@host", "host/path", "host?x", "http://host"] {
            let error = server(None, Some(moved)).unwrap_err().to_string();
            assert!(
                error.contains("GCE_METADATA_HOST must be"),
                "{moved}: {error}"
            );
        }
    }

    #[test]
    fn a_proxy_in_between_is_refused() {
        let proxies = Matcher::builder()
            .http("http://proxy.example:3128")
            .no("127.0.0.1")
            .build();
        let error = server(None, None)
            .unwrap()
            .refuse_proxy(&proxies)
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("add metadata.google.internal to NO_PROXY"),
            "{error}"
        );
        let local = server(Some("http://127.0.0.1:1"), None).unwrap();
        assert!(local.refuse_proxy(&proxies).is_ok());
    }
}
