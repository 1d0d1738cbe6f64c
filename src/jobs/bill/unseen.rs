//! What was ingested, or recorded by hand, and is not in `usage` yet, and so in no draft.

use std::collections::BTreeSet;

use anyhow::Context as _;
use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use tollbook_aggregate::usage_pin;
use tollbook_lake::as_text;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::lifecycle::KNOWN_TYPES;
use tollbook_schemas::tables::{Row, Table, access_log, partner_event};

use crate::context::JobContext;

/// Rows that the lake has and `usage` does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Lifecycle events.
    pub event_count: usize,
    /// Requests, with corrections of requests.
    pub request_count: i64,
    /// Partners that the events are about.
    pub partners: BTreeSet<PartnerId>,
}

impl Unseen {
    /// What a person must know of it; none where everything is in `usage`.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        let Self { event_count, request_count, .. } = self;
        (*event_count > 0 || *request_count > 0).then(|| {
            format!(
                "{event_count} newer partner events and {request_count} newer requests are not in usage; run \
                 `tollbook aggregate`"
            )
        })
    }
}

/// Compares what the lake has with what `usage` was computed from.
///
/// # Errors
/// The lake's.
pub async fn unseen(context: &JobContext) -> anyhow::Result<Unseen> {
    let mut unseen = Unseen::default();
    if let Some(condition) = newer(context, &partner_event::TABLE).await? {
        let mut rows = context.lake.rows(&partner_event::TABLE, Some(&condition)).await?;
        // Our own, which say nothing new of anybody.
        rows.retain(|row| row.text("event_type") != Some(super::alert::REACHED));
        unseen.event_count = rows.len();
        // What the registry does not know changes nobody's invoice.
        let is_known = |row: &&Row| row.text("event_type").is_some_and(|kind| KNOWN_TYPES.contains(&kind));
        let partners = rows.iter().filter(is_known).filter_map(|row| row.text("partner_id"));
        unseen.partners = partners.filter_map(|id| PartnerId::parse(id).ok()).collect();
    }
    if let Some(condition) = newer(context, &access_log::TABLE).await? {
        let session = context.lake.empty_session()?;
        context.lake.register(&session, &access_log::TABLE, None).await?;
        let sql = format!("select count(*) from {} where {condition}", access_log::TABLE.name);
        let answer = context.lake.query(&session, &sql).await?;
        let count = answer.first().and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>()?.values().first());
        unseen.request_count = *count.context("counting requests gave no number")?;
    }
    Ok(unseen)
}

/// The condition of the rows that usage does not know; none where there can be none. By partition and first offset, so
/// that files which usage knows whole are not read.
async fn newer(context: &JobContext, table: &'static Table) -> anyhow::Result<Option<String>> {
    let known = usage_pin(&context.lake, table).await?;
    let now = context.lake.pin(table).await?;
    let parts: Vec<String> = now
        .iter()
        .map(|(source, partition, next)| (source, partition, known.next_offset(source, partition).unwrap_or(0), next))
        .filter(|(_, _, from, next)| from < next)
        .map(|(source, partition, from, _)| {
            let source = as_text(source.as_str());
            format!("(source = {source} and kafka_partition = {partition} and kafka_offset >= {from})")
        })
        .collect();
    Ok((!parts.is_empty()).then(|| parts.join(" or ")))
}
