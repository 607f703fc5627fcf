//! Where an emulator listens and what it plays; binding the addresses.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::scenario::{Scenario, ScenarioError};

/// How to start an emulator. The default listens on free loopback ports and knows no operations.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it plays.
    pub scenario: Scenario,
    /// Where the Operations API listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where the metadata server listens.
    pub metadata_listen: SocketAddr,
    /// Where STS, IAM Credentials and the OAuth server listen.
    pub credentials_listen: SocketAddr,
    /// Where the admin API listens.
    pub admin_listen: SocketAddr,
    /// Allows addresses that other machines reach. The admin API has no authentication of its own.
    pub allow_non_loopback: bool,
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
            allow_non_loopback: false,
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

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The scenario is wrong.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// An address that other machines reach, without leave.
    #[error(
        "{what} would listen on {address}, which other machines may reach; choose a loopback address, or allow it"
    )]
    NotLoopback {
        /// Which server.
        what: &'static str,
        /// Its address.
        address: SocketAddr,
    },
    /// An address that cannot be listened on.
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

/// Binds one address; returns the address that was chosen with the listener.
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
