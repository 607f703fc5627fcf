//! The HTTP connections to one endpoint, and when they are given up.

use reqwest::{Certificate, redirect, retry, tls::Version};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Time-outs in a row after which a connection is taken for dead (design section 4).
const RETIRE_AFTER: u32 = 2;

/// Connections to one endpoint. More than one, so that neither a server's limit on streams nor one lost segment stops
/// everything; few, because Google's front end likes it so.
const CONNECTIONS: usize = 2;

/// What a server may send of one answer before it is read, in bytes. An operation of 64 MiB over a line of 100 ms takes half a minute.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same of all answers on one connection. Large answers wait for their turn unread, so that there must be room for all that may
/// wait or are read, and for the small answers beside them: else a cancel would wait for them.
const CONNECTION_WINDOW: u32 = 20 * 1024 * 1024;

/// What connections are made with.
#[derive(Clone, Debug)]
pub(super) struct ConnectionConfig {
    pub connect_timeout: Duration,
    pub user_agent: &'static str,
    /// Trusted for administrators' overrides only, beside the system's authorities.
    pub override_roots: Vec<Certificate>,
    pub proxy_from_environment: bool,
    /// HTTP/1.1 also where the server offers HTTP/2.
    pub http1_only: bool,
}

/// One pooled client; with HTTP/2 that is one connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub client: reqwest::Client,
    timeouts: AtomicU32,
}

/// All connections to one endpoint.
#[derive(Debug)]
pub(super) struct Connections {
    slots: Vec<Mutex<Arc<Connection>>>,
    next: AtomicUsize,
    config: ConnectionConfig,
    endpoint: String,
    overridden: bool,
}

impl Connections {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// If TLS cannot be set up, for want of certificate authorities.
    pub fn new(
        endpoint: &str,
        overridden: bool,
        config: &ConnectionConfig,
    ) -> Result<Self, reqwest::Error> {
        let slots = (0..CONNECTIONS)
            .map(|_| {
                let client = build(endpoint, overridden, config)?;
                Ok(Mutex::new(Arc::new(Connection::new(client))))
            })
            .collect::<Result<_, reqwest::Error>>()?;
        Ok(Self {
            slots,
            next: AtomicUsize::new(0),
            config: config.clone(),
            endpoint: endpoint.to_owned(),
            overridden,
        })
    }

    /// The connection for the next call, in turn.
    pub fn pick(&self) -> Option<Arc<Connection>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let slot = self.slots.get(turn.checked_rem(self.slots.len())?)?;
        Some(slot.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Every connection once, to open them.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.slots
            .iter()
            .map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
    }

    /// Notes how a call ended. After two time-outs in a row the connection is replaced by a new one: a middlebox may
    /// have swallowed it. Calls that are still on the old one go on there.
    pub fn note(&self, used: &Arc<Connection>, timed_out: bool) {
        if !timed_out {
            used.timeouts.store(0, Ordering::Relaxed);
            return;
        }
        if used.timeouts.fetch_add(1, Ordering::Relaxed) + 1 < RETIRE_AFTER {
            return;
        }
        for slot in &self.slots {
            let mut current = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&current, used) {
                // A failure to build leaves the old one: it may come back to life.
                if let Ok(client) = build(&self.endpoint, self.overridden, &self.config) {
                    *current = Arc::new(Connection::new(client));
                }
            }
        }
    }
}

impl Connection {
    fn new(client: reqwest::Client) -> Self {
        Self {
            client,
            timeouts: AtomicU32::new(0),
        }
    }
}

fn build(
    endpoint: &str,
    overridden: bool,
    config: &ConnectionConfig,
) -> Result<reqwest::Client, reqwest::Error> {
    let builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        // Retries are decided in one layer only, and not in this one: a repeated POST would break the count of attempts.
        .retry(retry::never())
        .referer(false)
        .tls_version_min(Version::TLS_1_2)
        .connect_timeout(config.connect_timeout)
        .user_agent(config.user_agent)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .http2_keep_alive_timeout(Duration::from_secs(5))
        .http2_keep_alive_while_idle(true)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW);
    let builder = if config.proxy_from_environment {
        builder
    } else {
        builder.no_proxy()
    };
    let builder = if config.http1_only {
        builder.http1_only()
    } else {
        builder
    };
    let builder = if endpoint.starts_with("http:") {
        // Plain HTTP is for loopback only and needs no authorities: an image without any must still serve it.
        builder.http1_only().tls_certs_only([])
    } else if overridden {
        over_tls(builder).tls_certs_merge(config.override_roots.iter().cloned())
    } else {
        over_tls(builder)
    };
    builder.build()
}

/// A connection that nothing used for a while stays: the PINGs keep it alive, and the next cancel finds it warm.
fn over_tls(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    builder.https_only(true).pool_idle_timeout(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections() -> Connections {
        crate::google::tls::install_provider();
        let config = ConnectionConfig {
            connect_timeout: Duration::from_secs(1),
            user_agent: "opcancel/test",
            override_roots: Vec::new(),
            proxy_from_environment: false,
            http1_only: false,
        };
        Connections::new("http://127.0.0.1:9", true, &config).unwrap()
    }

    #[test]
    fn answers_that_wait_leave_room_for_others() {
        let waiting = u32::try_from(crate::google::client::MOST_LARGE).unwrap();
        assert!(waiting * STREAM_WINDOW + 2 * 1024 * 1024 <= CONNECTION_WINDOW);
    }

    #[test]
    fn two_timeouts_in_a_row_retire_one_connection() {
        let connections = connections();
        let (first, second) = (connections.pick().unwrap(), connections.pick().unwrap());
        assert!(!Arc::ptr_eq(&first, &second));
        for timed_out in [true, false, true] {
            connections.note(&first, timed_out);
        }
        assert!(connections.all().iter().any(|c| Arc::ptr_eq(c, &first)));
        connections.note(&first, true);
        assert!(!connections.all().iter().any(|c| Arc::ptr_eq(c, &first)));
        assert!(connections.all().iter().any(|c| Arc::ptr_eq(c, &second)));
    }

    #[test]
    fn a_late_timeout_of_a_retired_connection_changes_nothing() {
        let connections = connections();
        let old = connections.pick().unwrap();
        connections.note(&old, true);
        connections.note(&old, true);
        let after: Vec<_> = connections.all();
        connections.note(&old, true);
        for (before, now) in after.iter().zip(connections.all()) {
            assert!(Arc::ptr_eq(before, &now));
        }
    }
}
