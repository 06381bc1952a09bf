//! `postern serve` and `postern quickstart`.

use std::sync::Arc;

use serde_json::json;

use super::output::{CliError, Said};
use crate::config::Config;
use crate::flow::setup;
use crate::run;
use crate::types::random::SystemRng;
use crate::types::time::SystemClock;

/// Serves until a signal; says where, and while nobody can sign in, how the first administrator is made.
pub(super) async fn serve(config: &Config, json: bool) -> Result<(), CliError> {
    let running = run::start(config, Arc::new(SystemClock), Arc::new(SystemRng)).await?;
    let issuer = running.core.policy.issuer.to_string();
    let setup_url = setup::offer(&running.core).await?;
    let lines = setup_url
        .iter()
        .map(|url| format!("Nobody can sign in yet. Make the first administrator within a day: {url}"));
    Said::new(
        json!({ "issuer": issuer, "address": running.address.to_string(), "setup_url": setup_url }),
        lines.collect(),
    )
    .print(json);
    running.until_signal().await.map_err(|error| CliError::Failed(error.to_string()))
}

#[cfg(feature = "demo")]
pub(super) async fn quickstart(
    config: Config,
    demo_listen: Option<std::net::SocketAddr>,
    json: bool,
) -> Result<(), CliError> {
    use crate::demo::quickstart as text;
    use crate::quickstart::{QuickstartError, quickstart};

    let program = std::env::args().next().unwrap_or_else(|| "postern".to_owned());
    let (running, about) = quickstart(config, demo_listen, program).await.map_err(|error| match error {
        QuickstartError::Run(error) => CliError::from(error),
        QuickstartError::Order(error) => error.into(),
    })?;
    Said::new(text::json(&about), text::lines(&about)).print(json);
    running.until_signal().await.map_err(|error| CliError::Failed(error.to_string()))
}
