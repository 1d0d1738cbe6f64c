//! The register of a month as a run left the lake: everything that it is made from is of that moment, the kept catalog
//! too. Of now are only the rules of `[billing.hold]`, which the lake does not keep.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde_json::json;
use tollbook_aggregate::read_registry;
use tollbook_billing::billed::IssuedDocument;
use tollbook_billing::document::Document;
use tollbook_billing::event::{EventKind, InvoiceEvent, events_of};
use tollbook_billing::hold::{HeldDraft, Holds, mark_held};
use tollbook_billing::issue::Slots;
use tollbook_billing::profile::Profiles;
use tollbook_billing::register::{RegisterRow, register};
use tollbook_billing::usage::{COLUMNS, UsageSlice};
use tollbook_schemas::id::InvoiceId;
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::billing::{BILLING_PROFILE, INVOICE, INVOICE_EVENT};
use tollbook_schemas::tables::{access_log, partner_event};

use super::Inputs;
use super::inputs::PRODUCTION;
use crate::context::JobContext;
use crate::jobs::catalog::{changes_since_kept, read_kept};
use crate::jobs::past::{PastRun, Tables};

/// Each invoice of a month with its state, and why a partner has none, as it would have been told when a run had ended.
///
/// # Errors
/// Where the run names no catalog, or one that is not kept; tables of a version that is gone; the lake's.
pub async fn register_at(context: &JobContext, run: &PastRun, month: Month) -> anyhow::Result<Vec<RegisterRow>> {
    let tables = Tables::of(context, Some(run)).await?;
    let rows = tables.rows(&INVOICE, None).await?;
    let documents = rows.iter().map(Document::from_row).collect::<Result<Vec<_>, _>>()?;
    let events = events_of(&tables.rows(&INVOICE_EVENT, None).await?)?;
    let issued = issued_of(&documents, &events);
    let inputs = inputs_at(context, run, &tables).await?;
    let drafted = inputs.draft_adjusting(month, run.as_of(), &issued)?;
    let of_month: BTreeMap<InvoiceId, Document> = documents
        .iter()
        .filter(|document| document.body.month == month)
        .map(|document| (document.invoice_id.clone(), document.clone()))
        .collect();
    let mut rows = register(&of_month, &issued, &events, &drafted, run.as_of())?;
    let policy = context.configuration.hold_policy()?;
    let approved: BTreeSet<&InvoiceId> =
        events.iter().filter(|event| event.kind == EventKind::Approved).map(|event| &event.invoice_id).collect();
    let approved: Vec<Document> =
        documents.iter().filter(|document| approved.contains(&document.invoice_id)).cloned().collect();
    let holds = Holds::of(&policy, &events, &issued, inputs.profiles.clone(), &approved);
    let slots = Slots::fold(&events)?;
    let drafts = of_month.values().filter(|document| slots.is_draft(document));
    let held: Vec<HeldDraft> = drafts.filter_map(|document| holds.why_held(document)).collect();
    mark_held(&mut rows, &held);
    Ok(rows)
}

/// What months were rated from then.
async fn inputs_at(context: &JobContext, run: &PastRun, tables: &Tables<'_>) -> anyhow::Result<Inputs> {
    let sha256 = run.catalog_sha256.as_deref().with_context(|| format!("run {} names no catalog", run.run_id))?;
    let catalog = read_kept(context, sha256).await?;
    let (access, events) = (run.pin(access_log::TABLE.name), run.pin(partner_event::TABLE.name));
    let sql = format!("select {} from usage where {PRODUCTION}", COLUMNS.join(", "));
    Ok(Inputs {
        usage: UsageSlice::read(&tables.query(&sql).await?)?,
        registry: read_registry(&context.lake, &events, None).await?,
        profiles: Profiles::read(&tables.rows(&BILLING_PROFILE, None).await?)?,
        pin_json: json!({ "access_log": access, "partner_event": events }).to_string(),
        terms_changes: changes_since_kept(context, &catalog).await?,
        catalog,
    })
}

/// The documents that events issued, with their numbers, in order of id.
fn issued_of(documents: &[Document], events: &[InvoiceEvent]) -> Vec<IssuedDocument> {
    let of_kind = |kind: EventKind| events.iter().filter(move |event| event.kind == kind);
    let voided: BTreeSet<&InvoiceId> = of_kind(EventKind::Voided).map(|event| &event.invoice_id).collect();
    let numbers: BTreeMap<&InvoiceId, String> =
        of_kind(EventKind::Issued).map(|event| (&event.invoice_id, event.number.clone().unwrap_or_default())).collect();
    let one = |document: &Document| {
        let number = numbers.get(&document.invoice_id)?.clone();
        let is_voided = voided.contains(&document.invoice_id);
        Some(IssuedDocument { document: document.clone(), number, is_voided })
    };
    let mut issued: Vec<IssuedDocument> = documents.iter().filter_map(one).collect();
    issued.sort_by(|a, b| a.document.invoice_id.cmp(&b.document.invoice_id));
    issued
}
