//! `postern audit export`: records for elsewhere, page by page, so that a log of any length needs little memory.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::audit::record;
use super::output::{CliError, Said};
use crate::flow::audit;
use crate::flow::core::Core;
use crate::storage::audit::AuditFilter;
use crate::storage::audit_chain::Chained;
use crate::types::csv;
use crate::types::hex::hex;

/// The members of a record that are columns of a CSV file.
const COLUMNS: [&str; 10] = [
    "id",
    "at",
    "kind",
    "user_id",
    "client_id",
    "grant_id",
    "resource_id",
    "address",
    "request_id",
    "detail",
];

/// What an export looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// One JSON array, a record a line.
    Array,
    /// JSON Lines.
    Lines,
    /// Comma-separated values (RFC 4180).
    Csv,
}

pub(super) async fn run(
    core: &Core,
    filter: AuditFilter,
    shape: Shape,
    out: Option<PathBuf>,
) -> Result<Option<Said>, CliError> {
    let failed = |error: io::Error| CliError::Failed(format!("cannot write the export: {error}"));
    let mut sink: Box<dyn Write> = match &out {
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| {
                CliError::Failed(format!("cannot make {}: {error}; name a new file", path.display()))
            })?;
            Box::new(BufWriter::new(file))
        }
        None => Box::new(BufWriter::new(io::stdout().lock())),
    };
    let head = match shape {
        Shape::Array => "[".to_owned(),
        Shape::Lines => String::new(),
        Shape::Csv => format!("{},lane,position,hash\r\n", COLUMNS.join(",")),
    };
    sink.write_all(head.as_bytes()).map_err(failed)?;
    let (mut after, mut count) = (0, 0_u64);
    loop {
        let page = audit::export(core, filter.clone(), after).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (_, chained) in &page {
            let line = match shape {
                Shape::Array => format!("{}\n{}", if count == 0 { "" } else { "," }, whole(chained)),
                Shape::Lines => format!("{}\n", whole(chained)),
                Shape::Csv => row(chained),
            };
            sink.write_all(line.as_bytes()).map_err(failed)?;
            count += 1;
        }
    }
    if shape == Shape::Array {
        sink.write_all(b"\n]\n").map_err(failed)?;
    }
    sink.flush().map_err(failed)?;
    Ok(out.map(|path| {
        let line = format!("wrote {count} records to {}", path.display());
        Said::new(json!({ "path": path, "records": count }), vec![line])
    }))
}

fn whole(chained: &Chained) -> Value {
    let mut value = record(&chained.event);
    let opening = chained.opening.as_ref();
    if let Some(members) = value.as_object_mut() {
        let place = json!({
            "lane": chained.lane,
            "position": chained.position,
            "salt": opening.map(|opening| URL_SAFE_NO_PAD.encode(&opening.salt)),
            "commitment": hex(&chained.commitment),
            "hash": hex(&chained.hash),
        });
        members.insert("chain".to_owned(), place);
    }
    value
}

fn row(chained: &Chained) -> String {
    let value = record(&chained.event);
    let mut cells: Vec<String> =
        COLUMNS.iter().map(|name| value.get(*name).map_or_else(String::new, csv::text)).collect();
    cells.extend([chained.lane.to_string(), chained.position.to_string(), hex(&chained.hash)]);
    csv::line(cells.iter().map(String::as_str))
}
