//! `postern backup`, `migrate` and `check-config`.

use std::path::PathBuf;

use serde_json::json;

use super::output::{CliError, Said};
use crate::config::{Config, MasterKeySource};
use crate::flow::failure::Fault;
use crate::storage::Store;
use crate::types::random::SystemRng;
use crate::types::time::{Clock as _, SystemClock};

pub(super) fn check_config(config: &Config) -> Result<Said, CliError> {
    config.check_master_key()?;
    let rows = config.settings.iter();
    let rows = rows.map(|row| json!({ "key": row.key, "value": row.value, "source": row.source }));
    let lines = Said::list(rows.collect(), &["key", "value", "source"]).lines;
    Ok(Said::new(json!({ "ok": true, "settings": config.settings }), lines))
}

pub(super) fn migrate(config: &Config) -> Result<Said, CliError> {
    config.make_data_dir()?;
    let (_, ran) = open(config)?;
    let lines = if ran.is_empty() {
        vec!["the schema is up to date".to_owned()]
    } else {
        ran.iter().map(|name| format!("ran {name}")).collect()
    };
    Ok(Said::new(json!({ "ran": ran }), lines))
}

fn open(config: &Config) -> Result<(Store, Vec<String>), CliError> {
    let master = config.master_key(&SystemRng)?;
    let (store, _, ran) = crate::app::open(&config.database_url, master, &SystemRng, SystemClock.now())?;
    Ok((store, ran))
}

pub(super) async fn backup(config: &Config, path: PathBuf) -> Result<Said, CliError> {
    if path.exists() {
        return Err(CliError::Failed(format!("{} exists already; name a new file", path.display())));
    }
    config.make_data_dir()?;
    let (store, _) = open(config)?;
    store.copy_to(path.clone()).await.map_err(Fault::from)?;
    let bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let key = match &config.master_key {
        MasterKeySource::Given(_) => "the configured master key".to_owned(),
        MasterKeySource::File(file) => file.display().to_string(),
        MasterKeySource::Command(_) => "the master key that master_key_command fetches".to_owned(),
        MasterKeySource::DataDir => config.data_dir.join("master.key").display().to_string(),
    };
    let lines = vec![
        format!("wrote {} ({bytes} bytes)", path.display()),
        format!("To be of use it needs {key}, which is not in it: keep a copy of that elsewhere."),
    ];
    Ok(Said::new(json!({ "path": path, "bytes": bytes }), lines))
}
