//! Servers behind the gateway that are run here: for whom, and how long.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::core::Core;
use super::failure::Fault;
use super::gateway::{self, Pass, Route};
use super::vault::Credential;
use crate::outbound::stdio::{CommandLine, Environment, Owner, Processes, Target};
use crate::outbound::upstream::Upstream;
use crate::outbound::upstream_mcp::{Forward, NoAnswer, Streamed, Upstreams};
use crate::types::id::GrantId;

/// Where programs are, and where what runs may write.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder below which each person's processes have one of their own.
    pub folder: PathBuf,
    /// Where programs are looked for, as in `PATH`.
    pub search_path: String,
}

/// The servers that run here.
pub struct Stdio {
    processes: Processes,
    environment: Environment,
    /// By which approvals each of them was used.
    users: Mutex<HashMap<Owner, HashMap<GrantId, Pass>>>,
}

impl Stdio {
    /// None running yet.
    #[must_use]
    pub fn new(place: Place, run: String) -> Self {
        Self {
            processes: Processes::new(place.folder, run),
            environment: Environment::new(place.search_path),
            users: Mutex::default(),
        }
    }

    /// The processes.
    #[must_use]
    pub const fn processes(&self) -> &Processes {
        &self.processes
    }
}

/// Sends a message to a server behind the gateway, wherever it is; `way` carries it where that is at a URL.
///
/// # Errors
/// [`NoAnswer`].
pub async fn send(
    core: &Core,
    way: &Upstreams,
    (route, pass): (&Route, &Pass),
    forward: Forward,
    credential: Option<Credential>,
) -> Result<Streamed, NoAnswer> {
    let (command, environment) = match (&route.upstream, credential) {
        (Upstream::Http(url), Some(Credential::Header(header))) => {
            return way.send(url, forward, Some(header)).await;
        }
        (Upstream::Http(url), None) => return way.send(url, forward, None).await,
        (Upstream::Http(_), Some(Credential::Environment(_))) => return Err(NoAnswer::Unsendable),
        (Upstream::Stdio(_), Some(Credential::Header(_))) => return Err(NoAnswer::Unsendable),
        (Upstream::Stdio(command), None) => (command, core.stdio.environment.clone()),
        (Upstream::Stdio(command), Some(Credential::Environment(secrets))) => {
            (command, core.stdio.environment.with(secrets))
        }
    };
    let owner = Owner { server: route.resource.id, person: pass.claims.sub.clone() };
    {
        let mut users = core.stdio.users.lock().unwrap_or_else(PoisonError::into_inner);
        let by = users.entry(owner.clone()).or_default();
        // The newest: an earlier token may have been revoked without the approval.
        by.insert(pass.claims.grant_id, pass.clone());
    }
    let name = route.resource.slug.as_deref().unwrap_or_default();
    let target = Target { owner, command, secrets: route.secrets_of(), name };
    core.stdio.processes.send(target, forward, &environment).await
}

/// Ends what should not run any more: of servers that are gone, have changed, or have other secrets now; and of people whose
/// every approval that used it has ended or was cut.
///
/// # Errors
/// None today.
pub async fn tidy(core: &Arc<Core>) -> Result<(), Fault> {
    let owners = core.stdio.processes.owners();
    let mut users = core.stdio.users.lock().unwrap_or_else(PoisonError::into_inner);
    users.retain(|owner, _| owners.contains(owner));
    let view = core.live.view();
    for owner in owners {
        let held = users.get_mut(&owner).is_some_and(|by| {
            by.retain(|_, pass| gateway::is_held(core, pass));
            !by.is_empty()
        });
        let route = view.routes.values().find(|route| route.resource.id == owner.server);
        let now = route.filter(|_| held).and_then(|route| match &route.upstream {
            Upstream::Stdio(command) => Some((command, route.secrets_of())),
            Upstream::Http(_) => None,
        });
        core.stdio.processes.end_all_but(&owner, now);
    }
    Ok(())
}

/// Whether an upstream is a command, which is for those alone who could run it themselves.
#[must_use]
pub fn is_command(upstream: &str) -> bool {
    CommandLine::is_one(upstream)
}
