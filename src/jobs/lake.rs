//! `tollbook lake compact`: small files of the lake's tables become few, and their logs get checkpoints. And
//! `tollbook lake files`: the live files of a table, for other tools.

use serde_json::{Value, json};
use tollbook_lake::Compacted;
use tollbook_schemas::nearest::nearest;
use tollbook_schemas::tables::runs::JOB_RUN;
use tollbook_schemas::tables::{ALL, Table, by_name};

use crate::configuration::ConfigurationError;
use crate::context::JobContext;

/// Every job, this one included, adds a file to `job_run`: below so many files it is left alone.
const JOB_RUN_FILES_MIN: usize = 16;

/// What was done to one table.
#[derive(Debug)]
pub struct CompactedTable {
    /// Table.
    pub table: &'static str,
    /// What was done.
    pub done: Compacted,
}

impl CompactedTable {
    /// As JSON, for `--json` and `job_run`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let done = &self.done;
        json!({ "table": self.table, "files_before": done.files_before, "files_after": done.files_after,
            "bytes_before": done.bytes_before, "bytes_after": done.bytes_after, "rows_merged": done.rows_total,
            "commits": done.commits_total, "version": done.version, "checkpoint": done.checkpoint })
    }

    /// Whether anything was written.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.done.commits_total > 0 || self.done.checkpoint.is_some()
    }
}

/// A table by its name on the command line.
fn table_of(name: &str) -> Result<&'static Table, ConfigurationError> {
    by_name(name).ok_or_else(|| {
        let meant = nearest(name, ALL.iter().map(|table| table.name));
        let meant = meant.map_or(String::new(), |meant| format!("did you mean {meant}? "));
        ConfigurationError(format!("there is no table {name}; {meant}`tollbook sql \"show tables\"` names them"))
    })
}

/// The live Parquet files of a table; none where nothing was written to it yet.
///
/// # Errors
/// A name that is no table; the lake's.
pub async fn files(context: &JobContext, name: &str) -> anyhow::Result<Vec<String>> {
    let table = table_of(name)?;
    Ok(context.lake.files(table.name).await?.unwrap_or_default())
}

/// Compacts the named tables, or all, one after the other.
///
/// # Errors
/// A name that is no table; the lake's.
pub async fn compact(context: &JobContext, names: &[String], target_bytes: u64) -> anyhow::Result<Vec<CompactedTable>> {
    let mut tables: Vec<&'static Table> = Vec::new();
    for name in names {
        tables.push(table_of(name)?);
    }
    if tables.is_empty() {
        tables.extend(ALL);
    }
    let work = async {
        let mut done = Vec::new();
        for table in tables {
            let few = context.lake.files(table.name).await?.is_none_or(|files| files.len() < JOB_RUN_FILES_MIN);
            if table.name == JOB_RUN.name && few {
                continue;
            }
            done.push(CompactedTable { table: table.name, done: context.lake.compact(table, target_bytes).await? });
        }
        let counts: Vec<Value> = done.iter().filter(|table| table.changed()).map(CompactedTable::to_json).collect();
        Ok((done, json!({ "tables": counts })))
    };
    context.run("lake compact", None, work).await
}
