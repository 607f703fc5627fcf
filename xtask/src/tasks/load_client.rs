//! The HTTP client of the load of benchmarks and of the soak.

use anyhow::Result;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder};

/// A client of the API server with a ServiceAccount's token; `authorities` in PEM.
pub(super) fn builder(authorities: &[u8], token: &str) -> Result<ClientBuilder> {
    // An error means that it is installed already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))?;
    bearer.set_sensitive(true);
    let client = Client::builder()
        .tls_certs_only(Certificate::from_pem_bundle(authorities)?)
        .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
        // As the controller and kubectl do for single objects.
        .http1_only()
        .no_proxy();
    Ok(client)
}
