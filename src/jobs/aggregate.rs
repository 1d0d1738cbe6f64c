//! `tollbook aggregate`: registry, usage, then the funnel and the view of partners.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use tollbook_aggregate::{
    ProgramReport, UsageReport, data_reach, read_registry, refresh_program, refresh_registry, refresh_usage, usage_pin,
};
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT};
use tollbook_schemas::tables::{Cells, access_log};

use crate::context::JobContext;
use crate::jobs::catalog::keep;
use crate::output::talk;

/// Brings registry and usage up to what the lake knows.
///
/// # Errors
/// The job's.
pub async fn usage(context: &JobContext) -> anyhow::Result<UsageReport> {
    let catalog = context.catalog()?;
    let work = async {
        keep(context, &catalog).await?;
        // Before the pins: what is read afterwards reaches at least as far.
        let reach = data_reach(&context.lake, &context.configuration.feeds()?).await?;
        let (_, events) = context.pins().await?;
        let registry = read_registry(&context.lake, &events, None).await?;
        refresh_registry(&context.lake, &registry, &catalog).await?;
        let report = refresh_usage(&context.lake, &registry, &events, &catalog, reach).await?;
        let counts = json!({
            "hours": report.hours_total, "hours_added": report.hours_added_total, "contested": report.contested_total, "corrected": report.corrected_total, "usage_rows": report.usage_rows_total, "records": report.records_total,
            "duplicates": report.duplicates_total, "unmapped": report.unmapped_total, "unattributed": report.unattributed,
            "invalid_values": report.invalid_values, "registry_findings": registry.findings.len(),
            "pin": { "access_log": report.pin, "partner_event": events },
        });
        // An event that contradicts what came before changes nothing and must not go unseen (I9).
        for finding in &registry.findings {
            let partner = finding.partner_id.as_ref().map_or("nobody", |partner| partner.as_str());
            let blocks = if finding.blocks_billing() { "; it blocks billing" } else { "" };
            talk(&format!("finding about {partner}: {}{blocks}", finding.what));
        }
        Ok((report, counts))
    };
    context.run("aggregate usage", Some(catalog.sha256.clone()), work).await
}

/// Computes the funnel and the view of partners as of an instant.
///
/// # Errors
/// The job's.
pub async fn program(context: &JobContext, as_of: DateTime<Utc>) -> anyhow::Result<ProgramReport> {
    let catalog = context.catalog()?;
    let work = async {
        let (_, events) = context.pins().await?;
        // What `usage` knows: which deliveries of a request count is decided up to there (I2), and ingest may have gone
        // on.
        let access = usage_pin(&context.lake, &access_log::TABLE).await?;
        let registry = read_registry(&context.lake, &events, Some(as_of)).await?;
        let revenue = revenue_at(context).await?;
        let report = refresh_program(&context.lake, &registry, &catalog, &access, &revenue, as_of).await?;
        let counts = json!({ "partners": report.partners_total, "active": report.active_total,
            "pin": { "access_log": access, "partner_event": events } });
        Ok((report, counts))
    };
    context.run("aggregate program", Some(catalog.sha256.clone()), work).await
}

/// When each partner's first invoice above zero was issued. Only ids and instants are read: the documents of all months
/// are most of what a lake holds of billing.
async fn revenue_at(context: &JobContext) -> anyhow::Result<BTreeMap<PartnerId, DateTime<Utc>>> {
    let session = context.lake.empty_session()?;
    context.lake.register(&session, &INVOICE, None).await?;
    context.lake.register(&session, &INVOICE_EVENT, None).await?;
    let sql = "select partner_id, min(at) as at from invoice_event
               where kind = 'issued' and invoice_id in (select invoice_id from invoice where total_minor > 0)
               group by partner_id";
    let mut first = BTreeMap::new();
    for batch in context.lake.query(&session, sql).await? {
        let cells = |column| Cells::of(&INVOICE_EVENT, &batch, column);
        let (partner_id, at) = (cells("partner_id")?, cells("at")?);
        for row in 0..batch.num_rows() {
            first.insert(PartnerId::parse(partner_id.some_text(row)?)?, at.some_instant(row)?);
        }
    }
    Ok(first)
}
