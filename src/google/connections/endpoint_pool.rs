//! The connections to every endpoint that was called. The pool is bounded, because the author of an object can make up locations.

use std::{cmp::Reverse, collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

use super::{
    Connections,
    connector::{Connector, Origin},
};

/// Maximum number of endpoints: more than the catalogue has services.
const MAX_ENDPOINTS: usize = 256;

/// The maximum for one tenant. Vertex AI has some fifty locations.
const MAX_PER_TENANT: usize = MAX_ENDPOINTS / 4;

/// The connections by endpoint and whether it is an override.
#[derive(Debug, Default)]
pub(in crate::google) struct EndpointPool {
    by_endpoint: HashMap<Key, Entry>,
    turn: u64,
    /// How many endpoints were evicted.
    #[cfg(test)]
    evicted: usize,
}

/// Maximum number of endpoints that are kept warm because they were called recently, not because they were warmed up.
const MAX_RECENT_WARM: usize = 16;

type Key = (String, bool);

#[derive(Debug)]
struct Entry {
    connections: Arc<Connections>,
    /// The turn in which it was used last.
    used: u64,
    /// The tenant that called it first; `None` if it was warmed up.
    tenant: Option<String>,
    /// Another tenant called it, too.
    is_shared: bool,
}

impl Entry {
    /// The lowest rank is evicted first: endpoints that never answered like an API, then those of a single tenant, then those idle
    /// longest. Endpoints that were warmed up are evicted last.
    fn retention_rank(&self) -> (bool, bool, bool, u64) {
        let connections = &self.connections;
        (
            connections.is_warmed_up(),
            connections.has_answered(),
            self.is_shared,
            self.used,
        )
    }
}

impl EndpointPool {
    /// The connections to an endpoint, created if there are none. If the tenant has reached its limit, one of its own endpoints is
    /// evicted; if the pool is full, the endpoint with the lowest rank. Calls in flight continue.
    ///
    /// # Errors
    /// If the endpoint is no URL.
    pub fn connections(
        &mut self,
        endpoint: &str,
        overridden: bool,
        tenant: Option<&str>,
        connector: &Arc<Connector>,
    ) -> Result<Arc<Connections>, http::uri::InvalidUri> {
        self.turn += 1;
        let key = (endpoint.to_owned(), overridden);
        if let Some(entry) = self.by_endpoint.get_mut(&key) {
            entry.used = self.turn;
            entry.is_shared |= entry.tenant.as_deref() != tenant;
            return Ok(entry.connections.clone());
        }
        let origin = Origin::new(endpoint, overridden)?;
        let connections = Arc::new(Connections::new(origin, connector.clone()));
        let of_tenant = |entry: &Entry| tenant.is_some() && entry.tenant.as_deref() == tenant;
        let held = self.by_endpoint.values().filter(|entry| of_tenant(entry));
        if held.count() >= MAX_PER_TENANT {
            self.evict(of_tenant);
        } else if self.by_endpoint.len() >= MAX_ENDPOINTS {
            self.evict(|_| true);
        }
        let entry = Entry {
            connections: connections.clone(),
            used: self.turn,
            tenant: tenant.map(str::to_owned),
            is_shared: false,
        };
        self.by_endpoint.insert(key, entry);
        Ok(connections)
    }

    /// Whether the endpoint ever answered like an API. Then its host exists, and no object made up its location.
    pub fn has_answered(&self, endpoint: &str, overridden: bool) -> bool {
        let entry = self.by_endpoint.get(&(endpoint.to_owned(), overridden));
        entry.is_some_and(|entry| entry.connections.has_answered())
    }

    /// The endpoints whose connections are reopened: all that were warmed up, and of those that were called recently the
    /// [`MAX_RECENT_WARM`] used last. The connections of the others are closed after `idle_limit`.
    pub fn to_keep_warm(&self, now: Instant, idle_limit: Duration) -> Vec<Arc<Connections>> {
        let mut called = Vec::new();
        let mut warm = Vec::new();
        for entry in self.by_endpoint.values() {
            if entry.connections.is_warmed_up() {
                warm.push(entry.connections.clone());
            } else {
                called.push(entry);
            }
        }
        called.sort_unstable_by_key(|entry| Reverse(entry.used));
        for (place, entry) in called.into_iter().enumerate() {
            let connections = &entry.connections;
            if place < MAX_RECENT_WARM
                && connections.has_answered()
                && connections.should_stay_open(now)
            {
                warm.push(connections.clone());
            } else {
                connections.close_idle(now, idle_limit);
            }
        }
        warm
    }

    /// The connections to an endpoint that was warmed up are kept as those to any other.
    pub fn stop_keeping_warm(&self, endpoint: &str, overridden: bool) {
        if let Some(entry) = self.by_endpoint.get(&(endpoint.to_owned(), overridden)) {
            entry.connections.stop_keeping_warm();
        }
    }

    fn evict(&mut self, may_go: impl Fn(&Entry) -> bool) {
        let those = self.by_endpoint.iter().filter(|(_, entry)| may_go(entry));
        let least = those.min_by_key(|(_, entry)| entry.retention_rank());
        if let Some(key) = least.map(|(key, _)| key.clone()) {
            self.by_endpoint.remove(&key);
            #[cfg(test)]
            {
                self.evicted += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::google::{
        catalogue,
        connections::tls::{Trust, install_provider},
    };

    struct Table {
        pool: EndpointPool,
        connector: Arc<Connector>,
    }

    impl Table {
        fn new() -> Self {
            install_provider();
            let trust = Trust::new(Vec::new(), false);
            Self {
                pool: EndpointPool::default(),
                connector: Arc::new(Connector::new(
                    trust,
                    Duration::from_secs(1),
                    Duration::from_secs(10),
                    None,
                )),
            }
        }

        fn ask(&mut self, location: &str, tenant: &str) -> Arc<Connections> {
            let endpoint = format!("https://{location}.example");
            let tenant = Some(tenant).filter(|tenant| !tenant.is_empty());
            self.pool
                .connections(&endpoint, false, tenant, &self.connector)
                .unwrap()
        }

        fn holds(&self, location: &str) -> bool {
            let key = (format!("https://{location}.example"), false);
            self.pool.by_endpoint.contains_key(&key)
        }
    }

    #[test]
    fn the_endpoint_idle_longest_goes() {
        let mut table = Table::new();
        let first = table.ask("l1", "");
        for n in 2..=MAX_ENDPOINTS {
            table.ask(&format!("l{n}"), "");
        }
        assert!(Arc::ptr_eq(&first, &table.ask("l1", "")));
        table.ask("another", "");
        assert!(table.holds("l1") && !table.holds("l2"));
        assert_eq!(table.pool.by_endpoint.len(), MAX_ENDPOINTS);
    }

    #[test]
    fn what_never_answered_goes_first() {
        let mut table = Table::new();
        for n in 0..MAX_ENDPOINTS {
            let connections = table.ask(&format!("l{n}"), &n.to_string());
            if n != 40 {
                connections.mark_answered();
            }
        }
        table.ask("another", "a");
        assert!(table.holds("l0") && !table.holds("l40"));
    }

    #[tokio::test]
    async fn what_is_warmed_up_goes_last() {
        let mut table = Table::new();
        table.connector = Arc::new(Connector::without_addresses(Arc::default()));
        let warmed = table.ask("warm", "");
        let _unreachable = warmed.warm().await;
        for n in 0..2 * MAX_ENDPOINTS {
            table.ask(&format!("l{n}"), &n.to_string()).mark_answered();
        }
        assert!(table.holds("warm"));
        assert_eq!(table.pool.by_endpoint.len(), MAX_ENDPOINTS);
    }

    /// A neighbour makes up a thousand locations.
    #[test]
    fn one_tenant_holds_a_quarter_of_the_places() {
        let mut table = Table::new();
        let quiet = table.ask("eu", "quiet");
        quiet.mark_answered();
        table.ask("warm", "").mark_answered();
        let noisy = table.ask("us", "noisy");
        noisy.mark_answered();
        table.ask("us", "quiet");
        for n in 0..1000 {
            table.ask(&format!("made-up-{n}"), "noisy");
        }
        assert!(Arc::ptr_eq(&quiet, &table.ask("eu", "quiet")));
        assert!(Arc::ptr_eq(&noisy, &table.ask("us", "quiet")));
        assert!(table.holds("warm"));
        assert_eq!(table.pool.by_endpoint.len(), MAX_PER_TENANT + 2);
        assert_eq!(table.pool.evicted, 1000 - (MAX_PER_TENANT - 1));
        assert_eq!(table.connector.configurations(), 0, "nothing was opened");
    }

    /// A neighbour names every service, also in locations that it makes up. Hosts of services answer, so they count as much as others'.
    #[test]
    fn one_tenant_that_names_every_service_evicts_no_endpoint_of_another() {
        let hosts: Vec<_> = catalogue::services()
            .iter()
            .map(|service| service.global_host)
            .collect();
        assert!(hosts.len() > MAX_PER_TENANT && hosts.len() < MAX_ENDPOINTS);
        let mut table = Table::new();
        let quiet: Vec<_> = hosts[..MAX_PER_TENANT]
            .iter()
            .map(|host| {
                let connections = table.ask(host, "quiet");
                connections.mark_answered();
                connections
            })
            .collect();
        for location in 0..10 {
            for host in &hosts {
                table.ask(host, "noisy").mark_answered();
                table.ask(&format!("made-up{location}-{host}"), "noisy");
            }
        }
        for (host, before) in hosts.iter().zip(&quiet) {
            assert!(Arc::ptr_eq(before, &table.ask(host, "quiet")), "{host}");
        }
        assert!(table.pool.by_endpoint.len() <= 2 * MAX_PER_TENANT);
    }

    /// What it costs to open connections to as many hosts: the certificate authorities are read once.
    #[tokio::test]
    async fn authorities_are_read_once_for_all_hosts() {
        let table = Table::new();
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        tokio::spawn(async move { while server.accept().await.is_ok() {} });
        for n in 0..20 {
            let host = ["localhost", "127.0.0.1"][n % 2];
            let origin = Origin::new(&format!("https://{host}:{port}"), n % 3 == 0).unwrap();
            assert!(table.connector.open(&origin).await.is_err());
        }
        assert_eq!(table.connector.configurations(), 1);
    }
}
