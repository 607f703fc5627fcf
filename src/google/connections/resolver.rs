//! Looks up the addresses of hosts.

#[cfg(test)]
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use super::hosts_without_address::NoAddress;

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::google) enum Resolver {
    /// By the system's resolver, in threads of its own.
    System,
    /// No host has one; how often that was asked.
    #[cfg(test)]
    NoAddress(Arc<AtomicUsize>),
}

impl Resolver {
    async fn look_up(self, host: Name) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((host.as_str(), 0)).await?.collect()),
            #[cfg(test)]
            Self::NoAddress(asked) => {
                asked.fetch_add(1, Ordering::Relaxed);
                let text = "failed to lookup address information: Name or service not known";
                Err(io::Error::other(text))
            }
        }
    }
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = NoAddress;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoAddress>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoAddress>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.look_up(name).await;
            found.map(Vec::into_iter).map_err(NoAddress::new)
        })
    }
}
