//! Drafts into the lake.
//!
//! Takes what a month was rated to; gives what was written of it. The rows of a draft (`invoice_line`, `billed_usage`,
//! `invoice`) are inert: ids are derived from content, so the same draft written twice is one. The `drafted` event
//! makes it the current draft of its slot, and withdraws the one before, also where a partner has nothing to bill any
//! more. A slot with an issued invoice is closed (I5). Invoices are made of drafts by [`crate::issue`].

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use tollbook_lake::{KnownGroups, Lake};
use tollbook_schemas::actor::Actor;
use tollbook_schemas::id::{IdError, InvoiceId, PartnerId, SlotId};
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::billing::{BILLED_USAGE, INVOICE, INVOICE_EVENT, INVOICE_LINE};
use tollbook_schemas::tables::{Cells, Row};

use crate::billed::{Billed, IssuedDocument};
use crate::document::{Document, billed_usage_batch, invoice_batch, line_batch};
use crate::draft::Drafted;
use crate::error::BillingError;
use crate::event::{EventKind, InvoiceEvent};
use crate::issue::{
    BilledElsewhere, ChangedSinceIssue, Slots, billed_elsewhere, billed_subscriptions, changed_since_issue,
    read_issued, read_issued_of,
};
use crate::range::PartnerRange;

/// The step of events about drafts.
pub(crate) const DRAFT: &str = "draft";

/// What [`draft_into`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DraftCounts {
    /// Documents that became the current draft of their slot.
    pub drafted: usize,
    /// Documents that were the current draft already.
    pub unchanged: usize,
    /// Drafts that may not be issued any more.
    pub withdrawn: Vec<(PartnerId, InvoiceId)>,
    /// Partners whose slot holds an issued invoice.
    pub already_issued: Vec<(PartnerId, InvoiceId)>,
    /// Issued invoices of the month that would be others today: a later month's draft adjusts them.
    pub changed_since_issue: Vec<ChangedSinceIssue>,
    /// Documents that would bill a subscription a second time for the month, in another slot (its plan moved to
    /// another issuer or currency), and the invoice that billed it: never written.
    pub billed_elsewhere: Vec<BilledElsewhere>,
}

impl DraftCounts {
    /// Takes in what was done for other partners.
    pub fn add(&mut self, other: Self) {
        self.drafted += other.drafted;
        self.unchanged += other.unchanged;
        self.withdrawn.extend(other.withdrawn);
        self.already_issued.extend(other.already_issued);
        self.changed_since_issue.extend(other.changed_since_issue);
        self.billed_elsewhere.extend(other.billed_elsewhere);
    }
}

/// What a month's tables of drafts have, read once while its partners are drafted share by share, some beside each
/// other.
#[derive(Debug)]
pub struct KnownDrafts {
    documents: Mutex<KnownGroups>,
    lines: Mutex<KnownGroups>,
    evidence: Mutex<KnownGroups>,
    /// Whoever adds events: shares that are drafted beside each other would only win over each other.
    events: Mutex<()>,
}

impl KnownDrafts {
    /// Of a month; nothing is read yet.
    #[must_use]
    pub fn of(month: Month) -> Self {
        // All of it is of the month.
        let of = |def| Mutex::new(KnownGroups::of(def, "invoice_id", &format!("period = '{month}'")));
        Self { documents: of(&INVOICE), lines: of(&INVOICE_LINE), evidence: of(&BILLED_USAGE), events: Mutex::new(()) }
    }
}

/// Writes drafts. Running twice changes nothing.
///
/// # Errors
/// [`BillingError`].
pub async fn draft_into(lake: &Lake, drafted: &Drafted, at: DateTime<Utc>) -> Result<DraftCounts, BillingError> {
    let issued = read_issued(lake, Some(drafted.month)).await?;
    draft_of(lake, &KnownDrafts::of(drafted.month), drafted, (&PartnerRange::ALL, &issued), None, at).await
}

/// The same of some partners, by somebody: each `drafted` event says by whom. Drafts of the others are left as they
/// are. `issued` are their issued documents, of the month at least.
///
/// # Errors
/// [`BillingError`].
pub async fn draft_of(
    lake: &Lake,
    known: &KnownDrafts,
    drafted: &Drafted,
    (range, issued): (&PartnerRange, &[IssuedDocument]),
    actor: Option<&Actor>,
    at: DateTime<Utc>,
) -> Result<DraftCounts, BillingError> {
    let slots = Slots::read(lake, range).await?;
    let mut counts = DraftCounts::default();
    let mut open = Vec::new();
    let written = read_written(lake, drafted.month, range).await?;
    // Who was asked before may not know what somebody issued since.
    let known_ids: BTreeSet<&InvoiceId> = issued.iter().map(|known| &known.document.invoice_id).collect();
    let is_issued = |one: &&Written| slots.issued_in(&one.slot_id).is_some_and(|by| by.invoice_id == one.invoice_id);
    let anew = match written.iter().filter(is_issued).all(|one| known_ids.contains(&one.invoice_id)) {
        true => None,
        false => Some(read_issued_of(lake, Some(drafted.month), range).await?),
    };
    let issued = anew.as_deref().unwrap_or(issued);
    counts.changed_since_issue = changed_since_issue(drafted, &Billed::fold(issued, Some(drafted.month))?);
    let of_month = issued.iter().map(|one| &one.document).filter(|document| document.body.month == drafted.month);
    let billed = billed_subscriptions(of_month, &slots);
    for document in &drafted.documents {
        let partner_id = document.body.partner_id.clone();
        match (slots.issued_in(&document.slot_id), billed_elsewhere(document, &billed)) {
            (Some(issued), _) => counts.already_issued.push((partner_id, issued.invoice_id.clone())),
            (None, Some(elsewhere)) => counts.billed_elsewhere.push(elsewhere),
            (None, None) => open.push(document),
        }
    }
    // Documents that are there have their lines and evidence: these are written before them.
    let there: BTreeSet<&InvoiceId> = written.iter().map(|one| &one.invoice_id).collect();
    let new: Vec<&Document> = open.iter().copied().filter(|document| !there.contains(&document.invoice_id)).collect();
    let ids: Vec<&str> = new.iter().map(|document| document.invoice_id.as_str()).collect();
    let some = |places: &[usize]| -> Vec<&Document> { places.iter().map(|at| new[*at]).collect() };
    let mut lines = known.lines.lock().await;
    lake.append_missing_groups(&mut lines, &ids, |places| line_batch(&some(places))).await?;
    drop(lines);
    let mut evidence = known.evidence.lock().await;
    lake.append_missing_groups(&mut evidence, &ids, |places| billed_usage_batch(&some(places))).await?;
    drop(evidence);
    let mut documents = known.documents.lock().await;
    lake.append_missing_groups(&mut documents, &ids, |places| invoice_batch(&some(places))).await?;
    drop(documents);

    let mut events = Vec::new();
    let current: BTreeSet<&InvoiceId> = open.iter().map(|document| &document.invoice_id).collect();
    for document in &open {
        let past = slots.draft_generation(&document.invoice_id);
        let is_there = past.is_some_and(|(_, is_live)| is_live);
        counts.unchanged += usize::from(is_there);
        counts.drafted += usize::from(!is_there);
        // Of a draft of which nobody said who drafted it, whoever drafts it again is the drafter.
        if is_there && (actor.is_none() || slots.is_drafter_known(&document.invoice_id)) {
            continue;
        }
        // A document that was withdrawn and comes back begins a new generation.
        let generation = past.map_or(0, |(generation, _)| generation + 1);
        let event = InvoiceEvent::of(document, EventKind::Drafted, DRAFT, generation, at);
        events.push(InvoiceEvent { detail: actor.map(ToString::to_string), ..event });
    }
    // Every other draft of the month is stale: another document took its slot, or its partner is billed no more.
    for one in written.iter().filter(|one| !current.contains(&one.invoice_id)) {
        if slots.issued_in(&one.slot_id).is_some() {
            continue;
        }
        if let Some((generation, true)) = slots.draft_generation(&one.invoice_id) {
            let ids = (&one.invoice_id, &one.slot_id, &one.partner_id);
            events.push(InvoiceEvent::bare(ids, EventKind::Withdrawn, DRAFT, generation, at));
            counts.withdrawn.push((one.partner_id.clone(), one.invoice_id.clone()));
        }
    }
    let rows: Vec<Row> = events.iter().map(InvoiceEvent::to_row).collect();
    let alone = known.events.lock().await;
    lake.append_missing_where(&INVOICE_EVENT, &range.condition(), &rows).await?;
    drop(alone);
    Ok(counts)
}

/// A document of a month, draft or invoice, without its content.
struct Written {
    invoice_id: InvoiceId,
    slot_id: SlotId,
    partner_id: PartnerId,
}

/// The documents of a month and some partners, without their contents: most of them are looked for, and not looked at.
async fn read_written(lake: &Lake, month: Month, range: &PartnerRange) -> Result<Vec<Written>, BillingError> {
    let session = lake.empty_session()?;
    lake.register(&session, &INVOICE, None).await?;
    let condition = format!("period = '{month}' and {}", range.condition());
    let sql = format!("select invoice_id, slot_id, partner_id from invoice where {condition} order by invoice_id");
    let mut written = Vec::new();
    for batch in lake.query(&session, &sql).await? {
        let cells = |column| Cells::of(&INVOICE, &batch, column);
        let (invoice_id, slot_id, partner_id) = (cells("invoice_id")?, cells("slot_id")?, cells("partner_id")?);
        let wrong = |error: IdError| BillingError::stored(INVOICE.name, error.to_string());
        for row in 0..batch.num_rows() {
            written.push(Written {
                invoice_id: InvoiceId::parse(invoice_id.some_text(row)?).map_err(wrong)?,
                slot_id: SlotId::parse(slot_id.some_text(row)?).map_err(wrong)?,
                partner_id: PartnerId::parse(partner_id.some_text(row)?).map_err(wrong)?,
            });
        }
    }
    Ok(written)
}
