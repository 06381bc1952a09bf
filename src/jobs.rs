//! What happens by itself: following changes, sweeping, rotating keys.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::flow::core::Core;
use crate::flow::failure::Fault;
use crate::flow::{
    alerts, audit_chain, cut, ended, give_back, inactivity, keys, live, outbox, signals, stdio, stream, sweep,
};
use crate::types::policy::{
    CHANGE_POLL, CHECKPOINT_INTERVAL, INACTIVITY_INTERVAL, MAIL_INTERVAL, SWEEP_INTERVAL, WATCH_INTERVAL,
};

/// The running jobs; dropping it stops them.
pub struct Jobs(Vec<JoinHandle<()>>);

impl Drop for Jobs {
    fn drop(&mut self) {
        for job in &self.0 {
            job.abort();
        }
    }
}

/// Starts them.
#[must_use]
pub fn start(core: &Arc<Core>) -> Jobs {
    Jobs(vec![
        every(core, CHANGE_POLL, "follow changes", |core| async move { live::refresh(&core).await }),
        every(core, CHANGE_POLL, "end servers over stdio", |core| async move { stdio::tidy(&core).await }),
        every(core, SWEEP_INTERVAL, "sweep", |core| async move {
            let swept = sweep::sweep(&core).await?;
            if swept > 0 {
                tracing::debug!(rows = swept, "swept");
            }
            Ok(())
        }),
        every(core, CHECKPOINT_INTERVAL, "sign the audit log", |core| async move {
            audit_chain::checkpoint(&core).await
        }),
        every(
            core,
            SWEEP_INTERVAL,
            "trim the audit log",
            |core| async move { audit_chain::trim(&core).await },
        ),
        every(core, WATCH_INTERVAL, "look for attacks", |core| async move { alerts::watch(&core).await }),
        every(core, INACTIVITY_INTERVAL, "look for the inactive", |core| async move {
            inactivity::run(&core).await
        }),
        every(core, WATCH_INTERVAL, "finish cuts", |core| async move { cut::finish(&core).await }),
        every(core, MAIL_INTERVAL, "send mail", |core| async move { outbox::deliver(&core).await }),
        every(core, WATCH_INTERVAL, "tell webhooks and receivers", |core| async move {
            signals::tell(&core).await
        }),
        every(
            core,
            WATCH_INTERVAL,
            "stream the audit log",
            |core| async move { stream::stream(&core).await },
        ),
        every(
            core,
            WATCH_INTERVAL,
            "record ends of calls",
            |core| async move { ended::write_down(&core).await },
        ),
        every(core, WATCH_INTERVAL, "give tokens back upstream", |core| async move {
            give_back::deliver(&core).await
        }),
        every(core, SWEEP_INTERVAL, "rotate keys", |core| async move { keys::rotate_due(&core).await }),
    ])
}

fn every<F>(
    core: &Arc<Core>,
    interval: Duration,
    name: &'static str,
    job: impl Fn(Arc<Core>) -> F + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = Result<(), Fault>> + 'static,
{
    let core = Arc::clone(core);
    actix_web::rt::spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            match job(Arc::clone(&core)).await {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!(job = name, "works again");
                }
                Ok(()) => {}
                Err(cause) if failing => tracing::debug!(job = name, %cause, "still fails"),
                Err(cause) => {
                    failing = true;
                    tracing::error!(job = name, %cause, "fails");
                }
            }
        }
    })
}
