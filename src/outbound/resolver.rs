//! Names to addresses, once: what is judged here is exactly what is connected to, so a name that answers differently
//! the second time (DNS rebinding) gains nothing.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns;
use tokio::sync::Semaphore;
use tower_service::Service;

use super::address::reach;
use crate::types::policy::LOOKUPS_AT_ONCE;

/// Answers of a name lookup still to come.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Where the addresses of a name come from.
pub trait LookUp: Send + Sync {
    /// All addresses of `host`.
    fn look_up(&self, host: String) -> Lookup;
}

/// The system's resolver, with its hosts file and search list.
pub struct SystemLookUp {
    slots: Arc<Semaphore>,
}

impl Default for SystemLookUp {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(LOOKUPS_AT_ONCE)) }
    }
}

impl LookUp for SystemLookUp {
    fn look_up(&self, host: String) -> Lookup {
        let slots = Arc::clone(&self.slots);
        Box::pin(async move {
            let slot = slots.acquire_owned().await.map_err(io::Error::other)?;
            let lookup = move || {
                // Held by the thread and not by the caller, who may have given up long ago.
                let _slot = slot;
                (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
            };
            tokio::task::spawn_blocking(lookup).await.map_err(io::Error::other)?
        })
    }
}

/// Why a name gives no address to connect to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NoAddress {
    /// It does not resolve.
    #[error("the name does not resolve")]
    Unknown,
    /// It resolves, but only to addresses that may not be fetched from.
    #[error("the name resolves to private addresses only")]
    Private,
}

/// Resolves a name and lets only those of its addresses through that may be fetched from.
#[derive(Clone)]
pub(super) struct VettedResolver {
    pub(super) source: Arc<dyn LookUp>,
    pub(super) private_too: bool,
}

impl VettedResolver {
    fn vetted(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<std::vec::IntoIter<SocketAddr>, NoAddress>> + use<> {
        let lookup = self.source.look_up(name.to_owned());
        let private_too = self.private_too;
        async move {
            let found = lookup.await.map_err(|_| NoAddress::Unknown)?;
            if found.is_empty() {
                return Err(NoAddress::Unknown);
            }
            let vetted: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| reach(*address).allowed(private_too))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if vetted.is_empty() { Err(NoAddress::Private) } else { Ok(vetted.into_iter()) }
        }
    }
}

impl Service<dns::Name> for VettedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = NoAddress;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoAddress>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoAddress>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: dns::Name) -> Self::Future {
        Box::pin(self.vetted(name.as_str()))
    }
}
