//! Names to addresses, once: what is judged here is exactly what is connected to, so a name that answers differently
//! the second time (DNS rebinding) gains nothing.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

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

impl Resolve for VettedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.source.look_up(name.as_str().to_owned());
        let private_too = self.private_too;
        Box::pin(async move {
            let found = lookup.await.map_err(|_| NoAddress::Unknown)?;
            if found.is_empty() {
                return Err(NoAddress::Unknown.into());
            }
            let vetted: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| reach(*address).allowed(private_too))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if vetted.is_empty() {
                return Err(NoAddress::Private.into());
            }
            Ok(Box::new(vetted.into_iter()) as Addrs)
        })
    }
}
