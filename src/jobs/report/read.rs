//! What a report reads: the lake of now, or as a run left it. Everything of one report is of one moment.

use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use tollbook_aggregate::data_reach;
use tollbook_lake::{Lake, SessionContext};
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::{Row, Table, access_log, partner_event};

use crate::context::JobContext;
use crate::jobs::past::PastRun;

/// Tables and views of one moment.
pub(super) struct Read<'a> {
    lake: &'a Lake,
    session: SessionContext,
    /// What is known of requests.
    pub(super) access_log: Pin,
    /// What is known of lifecycle events.
    pub(super) partner_event: Pin,
    /// How far the data reach; none where nobody knows.
    pub(super) reach: Option<DateTime<Utc>>,
}

impl<'a> Read<'a> {
    /// The lake of now, or as a run left it.
    pub(super) async fn of(context: &'a JobContext, past: Option<&PastRun>) -> anyhow::Result<Self> {
        let lake = &context.lake;
        if let Some(run) = past {
            return Ok(Self {
                lake,
                session: lake.session_at(&run.tables).await?,
                access_log: run.pin(access_log::TABLE.name),
                partner_event: run.pin(partner_event::TABLE.name),
                reach: run.reach(),
            });
        }
        let reach = data_reach(lake, &context.configuration.feeds()?).await?;
        let (access_log, partner_event) = context.pins().await?;
        Ok(Self { lake, session: lake.session().await?, access_log, partner_event, reach })
    }

    /// Rows of a table.
    pub(super) async fn rows(&self, def: &'static Table, condition: Option<&str>) -> anyhow::Result<Vec<Row>> {
        Ok(self.lake.rows_in(&self.session, def, condition).await?)
    }

    /// Runs one query.
    pub(super) async fn query(&self, sql: &str) -> anyhow::Result<Vec<RecordBatch>> {
        Ok(self.lake.query(&self.session, sql).await?)
    }
}
