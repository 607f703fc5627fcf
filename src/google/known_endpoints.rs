//! The endpoints that were called, and their connections; bounded, because whoever writes an object makes up its location.

use std::{collections::HashMap, sync::Arc};

use super::connection::{ConnectionConfig, Connections};

/// Endpoints whose connections are kept; Dialogflow has some twenty locations.
const MAX_ENDPOINTS: usize = 64;

/// The connections by endpoint and whether it is an override, each with the turn in which it was used last.
#[derive(Debug, Default)]
pub(super) struct KnownEndpoints {
    by_endpoint: HashMap<(String, bool), (u64, Arc<Connections>)>,
    turn: u64,
}

impl KnownEndpoints {
    /// The connections to an endpoint. When one endpoint too many comes, the one that was idle longest goes; calls that
    /// are under way on it go on.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn connections(
        &mut self,
        endpoint: &str,
        overridden: bool,
        config: &ConnectionConfig,
    ) -> Result<Arc<Connections>, reqwest::Error> {
        self.turn += 1;
        let key = (endpoint.to_owned(), overridden);
        if let Some((used, connections)) = self.by_endpoint.get_mut(&key) {
            *used = self.turn;
            return Ok(connections.clone());
        }
        let new = Arc::new(Connections::new(endpoint, overridden, config)?);
        if self.by_endpoint.len() >= MAX_ENDPOINTS {
            let idle = self.by_endpoint.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(idle) = idle.map(|(key, _)| key.clone()) {
                self.by_endpoint.remove(&idle);
            }
        }
        self.by_endpoint.insert(key, (self.turn, new.clone()));
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_endpoint_idle_longest_goes() {
        crate::google::tls::install_provider();
        let config = ConnectionConfig {
            connect_timeout: Duration::from_secs(1),
            user_agent: "opcancel/test",
            override_roots: Vec::new(),
            proxy_from_environment: false,
            http1_only: false,
        };
        let mut known = KnownEndpoints::default();
        let mut ask = |port: usize| {
            let endpoint = format!("http://127.0.0.1:{port}");
            known.connections(&endpoint, true, &config).unwrap()
        };
        let (first, second) = (ask(1), ask(2));
        for port in 3..=MAX_ENDPOINTS {
            ask(port);
        }
        assert!(Arc::ptr_eq(&first, &ask(1)));
        ask(MAX_ENDPOINTS + 1);
        assert!(Arc::ptr_eq(&first, &ask(1)));
        assert!(!Arc::ptr_eq(&second, &ask(2)));
        assert_eq!(known.by_endpoint.len(), MAX_ENDPOINTS);
    }
}
