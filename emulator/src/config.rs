//! The configuration of an emulator: its scenario and its addresses. Also binds the addresses.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use serde::Serialize;
use tokio::net::TcpListener;

use crate::{
    scenario::{Scenario, error::ScenarioError},
    transport::tls::{Tls, TlsError, usual_hosts},
};

/// How to start an emulator. The default listens on free loopback ports and has no operations.
#[derive(Clone, Debug)]
pub struct Config {
    /// The scenario.
    pub scenario: Scenario,
    /// Where the Operations API listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where the metadata server listens.
    pub metadata_listen: SocketAddr,
    /// Where STS, IAM Credentials and the OAuth server listen.
    pub credentials_listen: SocketAddr,
    /// Where the admin API listens.
    pub admin_listen: SocketAddr,
    /// Whether the Operations API and the token services use TLS, with HTTP/2 and HTTP/1.1.
    pub tls: bool,
    /// More hosts for the certificates, in addition to localhost, loopback and `*.googleapis.com`.
    pub tls_hosts: Vec<String>,
    /// Allows addresses that other machines can reach. The admin API has no authentication.
    pub allow_non_loopback: bool,
    /// More host names of the admin API and the web page, in addition to localhost and addresses.
    pub admin_hosts: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            scenario: Scenario::default(),
            listen: free,
            metadata_listen: free,
            credentials_listen: free,
            admin_listen: free,
            tls: false,
            tls_hosts: Vec::new(),
            allow_non_loopback: false,
            admin_hosts: Vec::new(),
        }
    }
}

impl From<Scenario> for Config {
    fn from(scenario: Scenario) -> Self {
        Self {
            scenario,
            ..Self::default()
        }
    }
}

/// Where the servers listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Addresses {
    /// Base URL of the Operations API, without a trailing slash.
    pub url: String,
    /// `host:port` of the metadata server, for `GCE_METADATA_HOST`.
    pub metadata_address: String,
    /// Base URL of STS, IAM Credentials and the OAuth server, without a trailing slash.
    pub credentials_url: String,
    /// Base URL of the admin API, without a trailing slash.
    pub admin_url: String,
}

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The scenario is invalid.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The certificates cannot be created.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// Other machines can reach an address, and this is not allowed.
    #[error(
        "{what} would listen on {address}, which other machines can reach; use a loopback address, or allow others"
    )]
    NotLoopback {
        /// Which server.
        what: &'static str,
        /// Its address.
        address: SocketAddr,
    },
    /// A server cannot listen on its address.
    #[error("{what} cannot listen on {address}: {source}")]
    Listen {
        /// Which server.
        what: &'static str,
        /// Its address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Binds one address; returns the listener and the address, with the port that the system chose.
pub(crate) async fn listen(
    what: &'static str,
    address: SocketAddr,
    allow_non_loopback: bool,
) -> Result<(TcpListener, SocketAddr), StartError> {
    if !allow_non_loopback && !address.ip().is_loopback() {
        return Err(StartError::NotLoopback { what, address });
    }
    let failed = |source| StartError::Listen {
        what,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The certificates, if TLS is on.
pub(crate) fn certificates(config: &Config) -> Result<Option<Arc<Tls>>, TlsError> {
    if !config.tls {
        return Ok(None);
    }
    let mut hosts = usual_hosts(config.listen.ip());
    hosts.extend(config.tls_hosts.iter().cloned());
    Ok(Some(Arc::new(Tls::new(&hosts)?)))
}
