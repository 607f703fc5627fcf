//! The Kubernetes side: watches, dispatcher, lanes, status writes, events.
//!
//! ```text
//!  watches --events--> dispatcher (owns all states, runs lifecycle::step) --calls--> lanes --> Google
//!  grants --changes-->      ^   |--requests--> status writer --> API server
//!  elector --role-----------+---+ answers      events ----------^
//! ```
//!
//! Guarantees: grants are checked at every step, before every token and before every call; nothing is decided before the grants
//! and the labels that they depend on were read; each object has at most one GET, one POST and one write in flight; a task that
//! dies ends the process.
//! Of several processes one leads (see `leadership`). The others keep the objects, a token and open connections, and do nothing else.
//! Caveat: without leader election, two processes at a time waste calls, but the status stays correct.

mod api_server;
pub mod clock;
mod dispatch;
mod grants;
pub mod leadership;
mod objects;
mod queue;
mod rate_limited_warning;
mod rate_limits;
mod service_accounts;
mod start_up;
mod watches;
mod writes;

pub use self::{
    api_server::{kube_client, raw_object},
    objects::object_view,
    service_accounts::{account, tenant_tokens},
};

use std::{
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Duration,
};

use kube::{Client, core::ApiResource};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{CancellationGrant, OperationCancellation},
    google::{
        client::OperationsClient,
        endpoint::EndpointOverrides,
        identity::{CacheLimits, WorkloadIdentity},
        quota::Quotas,
        token::TokenSource,
    },
    lifecycle::Settings,
    telemetry::{health::Health, metrics::Metrics},
};

use self::{
    api_server::versions::Newest,
    clock::Clock,
    dispatch::{DispatchConfig, Dispatcher, calls::Calls},
    grants::book::GrantBook,
    leadership::{LeaderElection, Leadership, elector::Elector},
    service_accounts::tenant_tokens::TenantTokens,
    start_up::{preflight, warm_up},
    watches::{
        cancellation_watch::{CancellationEvent, watch_cancellations},
        grant_watch::watch_grants,
        label_target::LabelTarget,
        namespace_watch::watch_namespaces,
        resilient_watch::WatchClient,
    },
    writes::{events, status_writer::StatusWriter},
};

/// The capacity of the queue of watch events: when it is full, the watches wait. Each event may hold an object of up to 256 KiB.
const WATCH_EVENTS: usize = 64;

/// How long waiting events may take at the end of the process.
const EVENTS_AT_THE_END: Duration = Duration::from_secs(2);

/// How long the elector may take at the end of the process.
const ELECTION_AT_THE_END: Duration = Duration::from_secs(4);

const GRANTS: &str = "grants";
const NAMESPACE_LABELS: &str = "namespace-labels";
const CANCELLATIONS: &str = "cancellations";

/// The settings of the controller.
#[derive(Clone, Debug)]
pub struct Config {
    /// The settings of the life cycle.
    pub settings: Settings,
    /// `--watch-namespace`; empty means all.
    pub namespaces: Vec<String>,
    /// `--workers`.
    pub workers: usize,
    /// `--namespace-calls-per-minute`; `None` if there is no limit.
    pub namespace_calls_per_minute: Option<u32>,
    /// `--endpoint-override`.
    pub overrides: EndpointOverrides,
    /// `--cluster-name`, may be empty.
    pub cluster: String,
    /// The id of this process, the author of its intents: 16 hexadecimal digits, different for each start.
    pub holder: String,
    /// The name of this process in events, such as that of the pod.
    pub instance: String,
    /// `--leader-elect`: how the leader is elected; `None` if this process always leads.
    pub leader_election: Option<LeaderElection>,
}

/// The clients and shared state of the controller.
pub struct Parts {
    /// The Kubernetes client, without retries of its own.
    pub kubernetes: Client,
    /// Another one with connections of its own, for the leader election: a Lease must be renewed whatever the others do.
    pub lease_client: Client,
    /// The calls to Google.
    pub google: OperationsClient,
    /// The operator's own identity.
    pub tokens: Arc<dyn TokenSource>,
    /// The identities of tenants' ServiceAccounts, if an administrator has allowed them.
    pub tenants: Option<TenantIdentities>,
    /// Readiness and liveness; made by [`health`].
    pub health: Arc<Health>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The clocks, which learn the API server's time from the Kubernetes client.
    pub clock: Clock,
}

/// How the controller acts as tenants' ServiceAccounts.
#[derive(Debug)]
pub struct TenantIdentities {
    /// Exchanges their tokens.
    pub identity: WorkloadIdentity,
    /// How long the tokens are kept.
    pub limits: CacheLimits,
}

/// A readiness with all steps of the start.
pub fn health() -> Arc<Health> {
    let [token, connections] = warm_up::STEPS;
    Arc::new(Health::waiting_for(&[
        preflight::STEP,
        GRANTS,
        NAMESPACE_LABELS,
        CANCELLATIONS,
        token,
        connections,
    ]))
}

/// Runs until `stop` is cancelled, then waits for what is in flight.
///
/// # Errors
/// If a background task died: the process has to end then.
pub async fn run(config: Config, parts: Parts, stop: CancellationToken) -> Result<(), String> {
    let watch_client = WatchClient {
        kubernetes: parts.kubernetes.clone(),
        metrics: parts.metrics.clone(),
        health: parts.health.clone(),
    };
    let grants = GrantBook::default();
    let tenants = parts.tenants.map(|tenants| {
        TenantTokens::new(
            parts.kubernetes.clone(),
            tenants.identity,
            parts.clock.clone(),
            parts.metrics.clone(),
            tenants.limits,
        )
    });
    let calls = Arc::new(Calls {
        client: parts.google,
        tokens: parts.tokens,
        tenants,
        grants: grants.clone(),
        overrides: config.overrides.clone(),
        cluster: config.cluster,
        clock: parts.clock.clone(),
        metrics: parts.metrics.clone(),
        quotas: Mutex::new(Quotas::default()),
    });
    // The tasks of each set end with this function.
    let mut warming = JoinSet::new();
    warming.spawn(warm_up::run(
        calls.clone(),
        parts.health.clone(),
        config.namespaces.clone(),
    ));
    tokio::select! {
        () = preflight::wait(&parts.kubernetes, &config.namespaces, config.leader_election.as_ref(), &parts.health) => {}
        () = stop.cancelled() => return Ok(()),
    }

    let mut watching = JoinSet::new();
    let namespaces = config.namespaces.clone();
    let grants_changed = start_grant_watches(&mut watching, &watch_client, namespaces, grants);
    tokio::select! {
        () = parts.health.wait_for(&[GRANTS, NAMESPACE_LABELS]) => {}
        // They never end, but for a panic.
        Some(Err(error)) = watching.join_next() => {
            return Err(format!("a background task died: {error}"));
        }
        () = stop.cancelled() => return Ok(()),
    }
    let newest = Newest::default();
    let watch_events =
        start_cancellation_watches(&mut watching, &watch_client, config.namespaces, &newest);

    let mut electing = JoinSet::new();
    let leadership = match config.leader_election {
        Some(election) => {
            let identity = format!("{}_{}", config.instance, config.holder);
            let (elector, leadership) =
                Elector::new(parts.lease_client, election, identity, parts.clock);
            let health = parts.health.clone();
            electing.spawn(async move {
                let cached = health.wait_for(&[GRANTS, NAMESPACE_LABELS, CANCELLATIONS]);
                let complete = health.wait_for(&warm_up::STEPS);
                elector.run(cached, complete).await
            });
            leadership
        }
        None => Leadership::without_election(),
    };

    let cancellations = resource::<OperationCancellation>();
    let (events, publisher) = events::queue(
        parts.kubernetes.clone(),
        cancellations.clone(),
        config.instance,
        parts.metrics,
    );
    let mut publishing = JoinSet::new();
    publishing.spawn(publisher.run());
    let dispatcher = Dispatcher::new(
        calls,
        StatusWriter::new(parts.kubernetes, cancellations, config.overrides),
        events,
        DispatchConfig {
            settings: config.settings,
            holder: config.holder,
            workers: config.workers,
            namespace_calls_per_minute: config.namespace_calls_per_minute,
        },
        parts.health,
        newest,
        leadership,
    );
    let mut dispatching = tokio::spawn(dispatcher.run(watch_events, grants_changed, stop));

    // Watches and publisher only end after the dispatcher; the warm-up may end at any time.
    let died = tokio::select! {
        biased;
        lost = lost(&mut electing) => return Err(lost),
        ended = &mut dispatching => return end(ended, publishing, electing).await,
        Some(ended) = watching.join_next() => ended,
        Some(ended) = publishing.join_next() => ended,
        Some(Err(error)) = warming.join_next() => Err(error),
    };
    match died {
        Ok(()) => end(dispatching.await, publishing, electing).await,
        Err(error) => Err(format!("a background task died: {error}")),
    }
}

/// Starts the watches of grants, and of the namespaces that they select. The number that it returns grows with each change of what is
/// granted.
fn start_grant_watches(
    watching: &mut JoinSet<()>,
    client: &WatchClient,
    namespaces: Vec<String>,
    book: GrantBook,
) -> watch::Receiver<u64> {
    let (changed, grants_changed) = watch::channel(0);
    let (keys, wanted_keys) = watch::channel(None);
    let target = LabelTarget {
        book: book.clone(),
        changed: changed.clone(),
        step: NAMESPACE_LABELS,
    };
    watching.spawn(watch_namespaces(
        client.clone(),
        namespaces,
        wanted_keys,
        target,
    ));
    let grants = resource::<CancellationGrant>();
    let client = client.clone();
    watching.spawn(watch_grants(client, grants, book, keys, changed, GRANTS));
    grants_changed
}

/// Starts a watch of cancellations for each namespace, or one for all if there are none. Returns their events.
fn start_cancellation_watches(
    watching: &mut JoinSet<()>,
    client: &WatchClient,
    namespaces: Vec<String>,
    newest: &Newest,
) -> mpsc::Receiver<CancellationEvent> {
    let (sender, watch_events) = mpsc::channel(WATCH_EVENTS);
    let namespaces: Vec<_> = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.into_iter().map(Some).collect()
    };
    let unlisted = Arc::new(AtomicUsize::new(namespaces.len()));
    for namespace in namespaces {
        watching.spawn(watch_cancellations(
            client.clone(),
            resource::<OperationCancellation>(),
            namespace,
            sender.clone(),
            newest.clone(),
            unlisted.clone(),
            CANCELLATIONS,
        ));
    }
    watch_events
}

/// Waits until the elector fails; for ever if it ends well, or if there is no election. Returns why.
async fn lost(electing: &mut JoinSet<Result<(), String>>) -> String {
    match electing.join_next().await {
        Some(Ok(Err(lost))) => lost,
        Some(Err(error)) => format!("a background task died: {error}"),
        Some(Ok(Ok(()))) | None => std::future::pending().await,
    }
}

/// The dispatcher has ended: waiting events get a moment to be published, and the Lease is released.
async fn end(
    dispatcher: Result<Result<(), String>, JoinError>,
    mut publishing: JoinSet<()>,
    mut electing: JoinSet<Result<(), String>>,
) -> Result<(), String> {
    // Late events are dropped: they are best effort.
    let published = timeout(EVENTS_AT_THE_END, publishing.join_next());
    let elected = timeout(ELECTION_AT_THE_END, electing.join_next());
    let (_, elected) = tokio::join!(published, elected);
    let ended = dispatcher.unwrap_or_else(|error| Err(format!("the dispatcher died: {error}")));
    match (ended, elected) {
        // The elector knows why.
        (Err(_), Ok(Some(Ok(Err(lost))))) => Err(lost),
        (ended, _) => ended,
    }
}

fn resource<K: kube::Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}
