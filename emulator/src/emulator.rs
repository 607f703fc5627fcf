//! A running emulator: its servers, and its methods for tests in the same process.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

mod changes;

use crate::{
    admin::{self, guard::AdminGuard},
    config::{Addresses, Config, StartError, certificates, listen},
    operations::{
        rules::{LiveRules, Rules},
        service::OperationsService,
        store::Store,
    },
    protocol::call::Call,
    record::{Record, RequestRecord, Surface, Timeline, timed_out::TimedOut},
    scenario::{Scenario, connection_fault::ConnectionFaults},
    shared::Shared,
    tokens::{IssuedToken, Tokens, metadata_server::MetadataServer, services::CredentialServices},
    transport::{self, Connections, tls::Tls},
};

/// A running emulator. Dropping it stops it; [`Emulator::shutdown`] also waits until it has stopped.
#[derive(Debug)]
pub struct Emulator {
    shared: Shared,
    addresses: Addresses,
    tls: Option<Arc<Tls>>,
    servers: TaskTracker,
}

impl Emulator {
    /// Checks the scenario, binds the addresses and starts serving; the operations are created now.
    ///
    /// # Errors
    /// [`StartError`]; then nothing is listening.
    pub async fn start(config: impl Into<Config>) -> Result<Self, StartError> {
        let config = config.into();
        config.scenario.check()?;
        let listeners = Listeners::bind(&config).await?;
        let tls = certificates(&config)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let addresses = listeners.addresses(scheme);
        let shared = shared(&config.scenario, tls.as_deref());
        let servers = serve(config, listeners, scheme, tls.clone(), &shared);
        Ok(Self {
            shared,
            addresses,
            tls,
            servers,
        })
    }

    /// The certificate of the emulator's authority (PEM), if it serves TLS.
    pub fn authority_pem(&self) -> Option<&str> {
        self.tls.as_deref().map(Tls::authority_pem)
    }

    /// Base URL of the Operations API, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.addresses.url
    }

    /// `host:port` of the metadata server, for `GCE_METADATA_HOST`.
    pub fn metadata_address(&self) -> &str {
        &self.addresses.metadata_address
    }

    /// Base URL of STS (`/v1/token`), IAM Credentials (`/v1/projects/-/serviceAccounts/...`) and the OAuth server
    /// (`/token`), without a trailing slash.
    pub fn credentials_url(&self) -> &str {
        &self.addresses.credentials_url
    }

    /// Base URL of the admin API, without a trailing slash.
    pub fn admin_url(&self) -> &str {
        &self.addresses.admin_url
    }

    /// All addresses.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The requests to the Operations API, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.requests.with(<[RequestRecord]>::to_vec)
    }

    /// Those that name this operation.
    pub fn requests_for(&self, operation: &str) -> Vec<RequestRecord> {
        let mut requests = self.requests();
        requests.retain(|request| request.operation.as_deref() == Some(operation));
        requests
    }

    /// How many requests of this method named this operation.
    pub fn count(&self, operation: &str, call: Call) -> usize {
        self.shared.requests.with(|requests| {
            let named = |request: &&RequestRecord| {
                request.call == Some(call) && request.operation.as_deref() == Some(operation)
            };
            requests.iter().filter(named).count()
        })
    }

    /// The requests to the metadata server, oldest first.
    pub fn metadata_requests(&self) -> Vec<RequestRecord> {
        self.shared
            .metadata_requests
            .with(<[RequestRecord]>::to_vec)
    }

    /// The requests to STS, IAM Credentials and the OAuth server, oldest first.
    pub fn credentials_requests(&self) -> Vec<RequestRecord> {
        self.shared
            .credentials_requests
            .with(<[RequestRecord]>::to_vec)
    }

    /// Deletes all recorded requests.
    pub fn clear_requests(&self) {
        self.shared.clear_requests();
    }

    /// The tokens that the metadata server and the token services issued, oldest first.
    pub fn tokens_issued(&self) -> Vec<IssuedToken> {
        self.shared.tokens.issued()
    }

    /// Revokes all tokens known so far: they get 401 from now on. Tokens issued later are accepted.
    pub fn revoke_tokens(&self) {
        self.shared.tokens.revoke_all();
    }

    /// Waits until `met` returns true for the requests to the Operations API, and returns them. It is called now and after
    /// each arrival and answer.
    ///
    /// # Errors
    /// [`TimedOut`], with the requests so far.
    pub async fn wait_for(
        &self,
        met: impl FnMut(&[RequestRecord]) -> bool,
        timeout: Duration,
    ) -> Result<Vec<RequestRecord>, TimedOut> {
        match tokio::time::timeout(timeout, self.shared.requests.wait_until(met)).await {
            Ok(()) => Ok(self.requests()),
            Err(_) => Err(TimedOut {
                waited: timeout,
                requests: self.requests(),
            }),
        }
    }

    /// Waits until the metadata server has issued this many tokens.
    ///
    /// # Errors
    /// [`TimedOut`], with the requests to the metadata server so far.
    pub async fn wait_for_tokens(&self, count: usize, timeout: Duration) -> Result<(), TimedOut> {
        let met = |_: &[RequestRecord]| self.tokens_issued().len() >= count;
        let waited = self.shared.metadata_requests.wait_until(met);
        tokio::time::timeout(timeout, waited)
            .await
            .map_err(|_| TimedOut {
                waited: timeout,
                requests: self.metadata_requests(),
            })
    }

    /// Stops listening, gives pending answers half a second to finish, and returns when all connections are closed.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        self.servers.wait().await;
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// A listener and its address.
type Bound = (TcpListener, SocketAddr);

/// The listeners of all servers.
struct Listeners {
    operations: Bound,
    metadata: Bound,
    credentials: Bound,
    admin: Bound,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self, StartError> {
        let allowed = config.allow_non_loopback;
        Ok(Self {
            operations: listen("the Operations API", config.listen, allowed).await?,
            metadata: listen("the metadata server", config.metadata_listen, allowed).await?,
            credentials: listen("the token services", config.credentials_listen, allowed).await?,
            admin: listen("the admin API", config.admin_listen, allowed).await?,
        })
    }

    fn addresses(&self, scheme: &str) -> Addresses {
        Addresses {
            url: format!("{scheme}://{}", self.operations.1),
            metadata_address: self.metadata.1.to_string(),
            credentials_url: format!("{scheme}://{}", self.credentials.1),
            admin_url: format!("http://{}", self.admin.1),
        }
    }
}

/// The state of a new emulator.
fn shared(scenario: &Scenario, tls: Option<&Tls>) -> Shared {
    let limit = scenario.record_limit.unwrap_or(1_000_000);
    let timeline = Timeline::start();
    let record = |surface| Arc::new(Record::new(surface, Arc::clone(&timeline), limit));
    Shared {
        store: Arc::new(Store::new(scenario)),
        tokens: Arc::new(Tokens::new(&scenario.tokens)),
        requests: record(Surface::Operations),
        metadata_requests: record(Surface::Metadata),
        credentials_requests: record(Surface::Credentials),
        connections: Arc::new(ConnectionFaults::new(scenario.connections.clone())),
        rules: Arc::new(LiveRules::new(Rules::new(scenario))),
        timeline,
        authority: tls.map(|tls| tls.authority_pem().to_owned()),
        stop: CancellationToken::new(),
    }
}

/// Starts all servers; they stop with `shared.stop`.
fn serve(
    config: Config,
    listeners: Listeners,
    scheme: &'static str,
    tls: Option<Arc<Tls>>,
    shared: &Shared,
) -> TaskTracker {
    let scenario = config.scenario;
    let operations = OperationsService {
        store: Arc::clone(&shared.store),
        tokens: Arc::clone(&shared.tokens),
        accounts: scenario.credentials.service_accounts.clone().into(),
        record: Arc::clone(&shared.requests),
        rules: Arc::clone(&shared.rules),
    };
    let credentials = CredentialServices {
        credentials: scenario.credentials,
        project_number: scenario.identity.project_number.clone(),
        scheme,
        tokens: Arc::clone(&shared.tokens),
        record: Arc::clone(&shared.credentials_requests),
    };
    let metadata = MetadataServer::new(
        scenario.identity,
        Arc::clone(&shared.tokens),
        Arc::clone(&shared.metadata_requests),
    );
    let faulty = Connections {
        tls: tls.clone(),
        faults: Arc::clone(&shared.connections),
    };
    let sound = Connections {
        tls,
        ..Connections::default()
    };
    let stop = || shared.stop.clone();
    let (listener, address) = listeners.admin;
    let guard = AdminGuard::new(address, config.allow_non_loopback, config.admin_hosts);
    let servers = TaskTracker::new();
    servers.spawn(transport::serve(
        listeners.operations.0,
        faulty,
        operations,
        stop(),
    ));
    servers.spawn(transport::serve(
        listeners.metadata.0,
        Connections::default(),
        Arc::new(metadata),
        stop(),
    ));
    servers.spawn(transport::serve(
        listeners.credentials.0,
        sound,
        Arc::new(credentials),
        stop(),
    ));
    servers.spawn(admin::serve(listener, guard, shared.clone()));
    servers.close();
    servers
}
