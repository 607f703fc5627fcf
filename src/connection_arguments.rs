//! The flags that say how Google is reached. `opcancel-controller` and `opcancel-probe` have them in common.

use std::{convert::Infallible, path::PathBuf};

use clap::Args;
use rustls::pki_types::CertificateDer;

use crate::google::{
    UniverseDomain,
    endpoint::{EndpointOverride, EndpointOverrides},
    proxy::{HttpsProxy, InvalidProxy, ProxyUrl},
    tls,
};

/// How Google is reached.
#[derive(Args, Clone, Debug)]
pub struct ConnectionArguments {
    /// URL to call instead of Google's endpoint: https, a host and an optional port; http only for loopback. The host can contain
    /// {location} if it is below googleapis.com or if you list the locations (dialogflow/us+eu=URL). Repeat the flag for each override
    #[arg(
        long,
        value_name = "SERVICE[/LOCATION]=URL",
        env = "OPCANCEL_ENDPOINT_OVERRIDE",
        value_delimiter = ','
    )]
    pub endpoint_override: Vec<EndpointOverride>,

    /// Domain of all Google hosts: googleapis.com, or that of a cloud that Google builds for a country or a partner. Credentials of another
    /// universe are refused
    #[arg(
        long,
        value_name = "DOMAIN",
        env = "OPCANCEL_UNIVERSE_DOMAIN",
        default_value_t
    )]
    pub universe_domain: UniverseDomain,

    /// PEM file of certificate authorities to trust for endpoint overrides, in addition to the system's
    #[arg(long, value_name = "FILE", env = "OPCANCEL_CA_FILE")]
    pub ca_file: Option<PathBuf>,

    /// HTTP proxy for connections to Google's hosts: http://HOST:PORT or https://HOST:PORT. Endpoint overrides, the API server, the
    /// metadata server and loopback hosts are reached directly. HTTPS_PROXY is ignored
    #[arg(long, value_name = "URL", env = "OPCANCEL_HTTPS_PROXY", hide_env_values = true, value_parser = |url: &str| Ok::<_, Infallible>(ProxyUrl::from(url)))]
    pub https_proxy: Option<ProxyUrl>,

    /// File with the USER:PASSWORD for the proxy. It is read for each connection
    #[arg(
        long,
        value_name = "FILE",
        env = "OPCANCEL_HTTPS_PROXY_CREDENTIALS_FILE",
        requires = "https_proxy"
    )]
    pub https_proxy_credentials_file: Option<PathBuf>,
}

impl ConnectionArguments {
    /// Checks the URL of the proxy. Its parser shows no value, so it cannot do this.
    ///
    /// # Errors
    /// If the URL has another form than the proxy needs; the message names the flag.
    pub fn check(&self) -> Result<(), String> {
        let checked = self.https_proxy.as_ref().map(HttpsProxy::new).transpose();
        checked.map(drop).map_err(|error| error.to_string())
    }

    /// The hosts of the calls.
    pub fn endpoints(&self) -> EndpointOverrides {
        let overrides = self.endpoint_override.iter().cloned();
        EndpointOverrides::new(overrides).in_universe(self.universe_domain.clone())
    }

    /// The proxy of `--https-proxy`, with its credentials.
    ///
    /// # Errors
    /// If the credentials file cannot be used.
    pub fn proxy(&self) -> Result<Option<HttpsProxy>, InvalidProxy> {
        HttpsProxy::from_flags(
            self.https_proxy.as_ref(),
            self.https_proxy_credentials_file.as_deref(),
        )
    }

    /// The certificate authorities of `--ca-file`; none without the flag.
    ///
    /// # Errors
    /// If the file cannot be used; the message names the flag.
    pub fn override_roots(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let Some(path) = &self.ca_file else {
            return Ok(Vec::new());
        };
        let pem = std::fs::read(path)
            .map_err(|error| format!("--ca-file {}: {error}", path.display()))?;
        tls::read_ca_file(&pem).map_err(|error| error.to_string())
    }
}
