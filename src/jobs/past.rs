//! The lake as a run left it: which run is meant, and what it recorded.
//!
//! A run is named by its id, or by the month that it issued. What it knew of the ingested tables is its pin, of
//! offsets; every other table is read at the version that `job_run` has of it, as the table stood when the run ended.
//! Nothing is guessed: a version that is gone is an error of whoever reads that table.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tollbook_lake::{Lake, PinnedTables, SessionContext, as_text};
use tollbook_schemas::period::{Month, parse_instant, print_instant};
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::runs::JOB_RUN;
use tollbook_schemas::tables::{Row, Table, access_log, partner_event};

use crate::configuration::ConfigurationError;
use crate::context::JobContext;

/// A run that has ended.
#[derive(Debug, Clone)]
pub struct PastRun {
    /// Its id.
    pub run_id: String,
    /// When it began, by the jobs' clock.
    pub started_at: DateTime<Utc>,
    /// What it knew, and the tables as they stood when it ended.
    pub tables: PinnedTables,
    /// The catalog that it computed with, where it did.
    pub catalog_sha256: Option<String>,
    /// What it told.
    counts: Value,
}

impl PastRun {
    /// How far its data reached, where it recorded that: runs of `bill issue` do.
    #[must_use]
    pub fn reach(&self) -> Option<DateTime<Utc>> {
        self.instant("reach")
    }

    /// From which instant it looked: as it recorded, else as far as its data reached, else when it began.
    #[must_use]
    pub fn as_of(&self) -> DateTime<Utc> {
        self.instant("as_of").or_else(|| self.reach()).unwrap_or(self.started_at)
    }

    /// The pin of an ingested table.
    #[must_use]
    pub fn pin(&self, table: &str) -> Pin {
        self.tables.pins.get(table).cloned().unwrap_or_default()
    }

    fn instant(&self, key: &str) -> Option<DateTime<Utc>> {
        parse_instant(self.counts[key].as_str()?).ok()
    }
}

/// Tables of now, or all of them as a run left them.
pub(crate) struct Tables<'a> {
    lake: &'a Lake,
    session: Option<SessionContext>,
}

impl<'a> Tables<'a> {
    /// Those of now, where no run is given.
    pub(crate) async fn of(context: &'a JobContext, past: Option<&PastRun>) -> anyhow::Result<Self> {
        let lake = &context.lake;
        let session = match past {
            None => None,
            Some(run) => Some(lake.session_at(&run.tables).await?),
        };
        Ok(Self { lake, session })
    }

    /// The batches of a query.
    pub(crate) async fn query(&self, sql: &str) -> anyhow::Result<Vec<RecordBatch>> {
        Ok(match &self.session {
            None => self.lake.query(&self.lake.session().await?, sql).await?,
            Some(session) => self.lake.query(session, sql).await?,
        })
    }

    /// Rows of a table that meet an SQL condition.
    pub(crate) async fn rows(&self, def: &'static Table, condition: Option<&str>) -> anyhow::Result<Vec<Row>> {
        Ok(match &self.session {
            None => self.lake.rows(def, condition).await?,
            Some(session) => self.lake.rows_in(session, def, condition).await?,
        })
    }
}

/// A run by its id.
///
/// # Errors
/// An id that no run has; a row that cannot be used.
pub async fn run(context: &JobContext, run_id: &str) -> anyhow::Result<PastRun> {
    let rows = context.lake.rows(&JOB_RUN, Some(&format!("run_id = {}", as_text(run_id)))).await?;
    let Some(row) = rows.first() else {
        bail!(ConfigurationError(format!(
            "there is no run {run_id}; `tollbook sql \"select run_id, job, started_at, result from run_history order \
             by sequence desc limit 20\"` shows the last ones"
        )));
    };
    of_row(row)
}

/// The run that issued the invoices of a month; where several did, the last of them: by then all were issued.
///
/// # Errors
/// A month of which no run issued an invoice; a row that cannot be used.
pub async fn close_of(context: &JobContext, month: Month) -> anyhow::Result<PastRun> {
    let rows = context.lake.rows(&JOB_RUN, Some("job = 'bill issue'")).await?;
    let mut closing = Vec::new();
    for row in &rows {
        let counts: Value = serde_json::from_str(row.text("counts").unwrap_or_default()).unwrap_or_default();
        let is_of_month = counts["month"].as_str() == Some(month.to_string().as_str());
        if is_of_month && counts["issued"].as_u64().is_some_and(|issued| issued > 0) {
            closing.push((sequence_of(row), row));
        }
    }
    let Some((_, row)) = closing.into_iter().max_by_key(|(sequence, _)| *sequence) else {
        bail!(ConfigurationError(format!(
            "no run issued an invoice of {month}; `tollbook sql \"select run_id, started_at, counts from run_history \
             where job = 'bill issue'\"` shows those that issued something"
        )));
    };
    of_row(row)
}

/// What is told of the run that `--as-of-close` found.
#[must_use]
pub fn told(month: Month, run: &PastRun) -> String {
    format!("as run {} left the lake, which issued {month} at {}", run.run_id, print_instant(run.started_at))
}

/// The place of a run in the order in which runs ended, as `run_history` has it.
fn sequence_of(row: &Row) -> Option<i64> {
    let versions: Value = serde_json::from_str(row.text("table_versions")?).ok()?;
    versions[JOB_RUN.name].as_i64()
}

fn of_row(row: &Row) -> anyhow::Result<PastRun> {
    let run_id = row.text("run_id").unwrap_or_default().to_owned();
    let damaged = || format!("the row of run {run_id} in job_run cannot be used");
    let pins: BTreeMap<String, Pin> =
        serde_json::from_str(row.text("pin").unwrap_or_default()).with_context(damaged)?;
    let versions = serde_json::from_str(row.text("table_versions").unwrap_or_default()).with_context(damaged)?;
    for table in [&access_log::TABLE, &partner_event::TABLE] {
        if !pins.contains_key(table.name) {
            bail!("{}: its pin says nothing of {}", damaged(), table.name);
        }
    }
    Ok(PastRun {
        started_at: row.instant("started_at").with_context(damaged)?,
        tables: PinnedTables { pins, versions },
        catalog_sha256: row.text("catalog_sha256").map(str::to_owned),
        counts: serde_json::from_str(row.text("counts").unwrap_or_default()).with_context(damaged)?,
        run_id,
    })
}
