//! Drafts into the lake, and drafts into invoices.
//!
//! What a draft writes (`invoice_line`, `billed_usage`, `invoice`) is inert: ids are derived from content, so the same
//! draft written twice is one. The `drafted` event makes it the current draft of its slot, and withdraws the one
//! before, also where a partner has nothing to bill any more. Only the `issued` event makes an invoice: it and the
//! txn `number/<issuer>` (the issuer's next free number) are one commit on `invoice_event`, so numbers have no gap and
//! a number is given once, however many issue at the same time. A slot with an issued invoice is closed (I5). What somebody
//! or a policy holds is left (`hold`); whoever holds a draft while it is issued makes that commit fail, too.

mod changed;
mod issued;
mod slots;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use tollbook_lake::{Lake, Outcome, TxnStep, rows_app_id};
use tollbook_schemas::actor::Actor;
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::{InvoiceId, IssuerId, PartnerId, SubscriptionId};
use tollbook_schemas::money::Money;
use tollbook_schemas::period::{Month, print_instant};
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::{BILLED_USAGE, INVOICE, INVOICE_EVENT, INVOICE_LINE};

use crate::billed::Billed;
use crate::document::{Document, Line, count_of};
use crate::draft::{Drafted, order_of};
use crate::error::BillingError;
use crate::event::{EventKind, InvoiceEvent, events_of};
use crate::hold::{self, HeldDraft};
use crate::policy::HoldPolicy;

pub use changed::{ChangedSinceIssue, changed_since_issue};
pub use issued::read_issued;
pub use slots::{Slot, Slots};

/// The step of events about drafts.
pub(crate) const DRAFT: &str = "draft";
/// The step of the event that issues.
pub(crate) const ISSUE: &str = "issue";
/// Attempts to win the number sequence before somebody else must be asked what is going on.
const ATTEMPTS: usize = 20;
/// The kinds of events that decide what a slot holds.
const SLOT_KINDS: &str = "kind IN ('drafted', 'withdrawn', 'issued')";

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
    pub billed_elsewhere: Vec<(PartnerId, InvoiceId)>,
}

/// What `usage` is now: only documents that were rated from just this, with the present catalog, are issued.
#[derive(Debug, Clone, Copy)]
pub struct UsageState<'a> {
    /// Its pin, as documents carry it.
    pub pin_json: &'a str,
    /// How far the data behind it reach: a period that ends later is not complete. None where nobody knows.
    pub reach: Option<DateTime<Utc>>,
    /// The instant from which is looked: a period that ends later has not ended.
    pub as_of: DateTime<Utc>,
    /// Why invoices are issued although their period is not complete; none where they are not.
    pub accept_incomplete: Option<&'a str>,
    /// Partners of which lifecycle events are known that `usage` and drafts do not know yet: their drafts are stale.
    /// A subscription may have been cancelled, and its customer must not be charged for what is known to be over.
    pub overtaken: &'a BTreeSet<PartnerId>,
    /// Which drafts wait for somebody to approve them.
    pub policy: &'a HoldPolicy,
}

impl UsageState<'_> {
    /// What the `issued` event of a document says, where its period is not complete; `Err` where it may not be issued.
    fn completeness(&self, document: &Document) -> Result<Option<String>, Incomplete> {
        if self.reach.is_some_and(|reach| document.body.period_end <= reach) {
            return Ok(None);
        }
        let reason = self.accept_incomplete.ok_or(Incomplete)?;
        Ok(Some(match self.reach {
            Some(reach) => format!("issued although the data reach only to {}: {reason}", print_instant(reach)),
            None => format!("issued although it is not known how far the data reach: {reason}"),
        }))
    }
}

/// The data do not reach to the end of a period.
struct Incomplete;

/// One issued invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedInvoice {
    /// Invoice.
    pub invoice_id: InvoiceId,
    /// Partner.
    pub partner_id: PartnerId,
    /// Issuer.
    pub issuer_id: IssuerId,
    /// Number.
    pub number: String,
    /// Total.
    pub total: Money,
    /// In words, that the data did not reach to the end of its period, and why it was issued all the same.
    pub incomplete: Option<String>,
}

/// What [`issue`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issued {
    /// Invoices issued now, in number order by issuer.
    pub invoices: Vec<IssuedInvoice>,
    /// Invoices of the month that were issued before.
    pub already_issued: usize,
    /// Drafts whose period has not ended; they are left as they are.
    pub not_ended: Vec<(PartnerId, InvoiceId)>,
    /// Drafts whose period has ended, but the data do not reach to its end; they are left, with that end.
    pub incomplete: Vec<(PartnerId, DateTime<Utc>)>,
    /// Drafts of another state of `usage` than the present one, of another catalog, or of partners of which newer
    /// lifecycle events are known: they must be drafted again first.
    pub stale: Vec<(PartnerId, InvoiceId)>,
    /// Drafts of a subscription that another slot's invoice has billed for the month.
    pub billed_elsewhere: Vec<(PartnerId, InvoiceId)>,
    /// Drafts that would be issued, and that somebody or a policy holds.
    pub held: Vec<HeldDraft>,
}

/// Writes drafts. Running twice changes nothing.
///
/// # Errors
/// [`BillingError`].
pub async fn draft_into(lake: &Lake, drafted: &Drafted, at: DateTime<Utc>) -> Result<DraftCounts, BillingError> {
    draft_by(lake, drafted, None, at).await
}

/// The same, by somebody: each `drafted` event says by whom.
///
/// # Errors
/// [`BillingError`].
pub async fn draft_by(
    lake: &Lake,
    drafted: &Drafted,
    actor: Option<&Actor>,
    at: DateTime<Utc>,
) -> Result<DraftCounts, BillingError> {
    let slots = read_slots(lake).await?;
    let mut counts = DraftCounts::default();
    let mut open = Vec::new();
    let months_documents = read_documents(lake, drafted.month).await?;
    let issued = read_issued(lake, Some(drafted.month)).await?;
    counts.changed_since_issue = changed_since_issue(drafted, &Billed::fold(&issued, Some(drafted.month))?);
    let billed = billed_subscriptions(&months_documents, &slots);
    for document in &drafted.documents {
        let partner_id = document.body.partner_id.clone();
        match (slots.issued_in(&document.slot_id), billed_before(document, &billed)) {
            (Some(issued), _) => counts.already_issued.push((partner_id, issued.invoice_id.clone())),
            (None, Some(invoice_id)) => counts.billed_elsewhere.push((partner_id, invoice_id.clone())),
            (None, None) => open.push(document),
        }
    }
    let lines: Vec<Vec<Row>> = open.iter().map(|document| document.line_rows()).collect::<Result<_, _>>()?;
    let billed: Vec<Row> = open.iter().flat_map(|document| document.billed_usage_rows()).collect();
    let invoices: Vec<Row> = open.iter().map(|document| document.invoice_row()).collect();
    lake.append_missing(&INVOICE_LINE, &lines.concat()).await?;
    lake.append_missing(&BILLED_USAGE, &billed).await?;
    lake.append_missing(&INVOICE, &invoices).await?;

    let mut events = Vec::new();
    let current: BTreeSet<&InvoiceId> = open.iter().map(|document| &document.invoice_id).collect();
    for document in &open {
        match slots.draft_generation(&document.invoice_id) {
            Some((_, true)) => counts.unchanged += 1,
            // A document that was withdrawn and comes back begins a new generation.
            past => {
                let generation = past.map_or(0, |(generation, _)| generation + 1);
                let event = InvoiceEvent::of(document, EventKind::Drafted, DRAFT, generation, at);
                events.push(InvoiceEvent { detail: actor.map(ToString::to_string), ..event });
                counts.drafted += 1;
            }
        }
    }
    // Every other draft of the month is stale: another document took its slot, or its partner is billed no more.
    for document in months_documents.values().filter(|document| !current.contains(&document.invoice_id)) {
        if slots.issued_in(&document.slot_id).is_some() {
            continue;
        }
        if let Some((generation, true)) = slots.draft_generation(&document.invoice_id) {
            events.push(InvoiceEvent::of(document, EventKind::Withdrawn, DRAFT, generation, at));
            counts.withdrawn.push((document.body.partner_id.clone(), document.invoice_id.clone()));
        }
    }
    let rows: Vec<Row> = events.iter().map(InvoiceEvent::to_row).collect();
    lake.append_missing(&INVOICE_EVENT, &rows).await?;
    Ok(counts)
}

/// Issues the current drafts of a month whose period has ended and is complete, or accepted as it is. Running twice
/// changes nothing.
///
/// # Errors
/// [`BillingError::Conflict`] when others won the number sequence again and again; [`BillingError::Stored`] when the
/// sequence has a gap; [`BillingError::Configuration`] when an issuer is missing (the others' invoices are issued all
/// the same); the lake's errors.
pub async fn issue(
    lake: &Lake,
    catalog: &Catalog,
    month: Month,
    usage: UsageState<'_>,
    at: DateTime<Utc>,
) -> Result<Issued, BillingError> {
    let mut issued = Issued::default();
    let mut failed = None;
    let documents = read_documents(lake, month).await?;
    let issuers: BTreeSet<IssuerId> =
        documents.values().map(|document| document.body.issuer.issuer_id.clone()).collect();
    for issuer_id in issuers {
        let mut won = None;
        for _ in 0..ATTEMPTS {
            won = match issue_of(lake, catalog, &issuer_id, month, usage, at).await {
                // What is wrong with one issuer's place in the catalog must not stop the others.
                Err(error @ BillingError::Configuration { .. }) => {
                    failed.get_or_insert(error);
                    Some(Issued::default())
                }
                other => other?,
            };
            if won.is_some() {
                break;
            }
        }
        let Some(of_issuer) = won else {
            let what = format!("others gave numbers of issuer {issuer_id} at the same time, {ATTEMPTS} times in a row");
            return Err(BillingError::Conflict { what });
        };
        issued.invoices.extend(of_issuer.invoices);
        issued.already_issued += of_issuer.already_issued;
        issued.not_ended.extend(of_issuer.not_ended);
        issued.incomplete.extend(of_issuer.incomplete);
        issued.stale.extend(of_issuer.stale);
        issued.billed_elsewhere.extend(of_issuer.billed_elsewhere);
        issued.held.extend(of_issuer.held);
    }
    hold::note(lake, &issued.held, at).await?;
    match failed {
        Some(error) => Err(error),
        None => Ok(issued),
    }
}

/// The app id of an issuer's number sequence; its version is the next free number.
#[must_use]
pub fn number_app_id(issuer_id: &IssuerId) -> String {
    format!("number/{issuer_id}")
}

/// One attempt for one issuer; `None` where somebody else was faster.
async fn issue_of(
    lake: &Lake,
    catalog: &Catalog,
    issuer_id: &IssuerId,
    month: Month,
    usage: UsageState<'_>,
    at: DateTime<Utc>,
) -> Result<Option<Issued>, BillingError> {
    let app_id = number_app_id(issuer_id);
    // The txns are read first: whoever issues, or withdraws a draft, after that makes our commit fail, and what the
    // rows say is never older.
    let expected = lake.txn(&INVOICE_EVENT, &app_id).await?;
    let events_app_id = rows_app_id(&INVOICE_EVENT);
    let events_expected = lake.txn(&INVOICE_EVENT, &events_app_id).await?;
    let slots = read_slots(lake).await?;
    let documents = read_documents(lake, month).await?;
    let holds = hold::read(lake, usage.policy).await?;
    let next_free = expected.unwrap_or(1);
    let given = slots.last_sequence(issuer_id);
    if given >= next_free {
        return Ok(None);
    }
    if given + 1 != next_free {
        let what =
            format!("the next number of issuer {issuer_id} is {next_free}, but the last that was given is {given}");
        return Err(BillingError::stored(INVOICE_EVENT.name, what));
    }
    let mut issued = Issued::default();
    let mut due = Vec::new();
    let billed = billed_subscriptions(&documents, &slots);
    let adjusted = documents.values().flat_map(adjusted_months).min();
    let before = match adjusted {
        Some(first) => read_issued(lake, Some(first)).await?,
        None => Vec::new(),
    };
    let billed_before_now = Billed::fold(&before, adjusted)?;
    for document in documents.values().filter(|document| document.body.issuer.issuer_id == *issuer_id) {
        if let Some(invoice) = slots.issued_in(&document.slot_id) {
            issued.already_issued += usize::from(invoice.invoice_id == document.invoice_id);
        } else if slots.current_draft(&document.slot_id) == Some(&document.invoice_id) {
            let named = || (document.body.partner_id.clone(), document.invoice_id.clone());
            let completeness = usage.completeness(document);
            if document.body.period_end > at.min(usage.as_of) {
                issued.not_ended.push(named());
            } else if let Ok(incomplete) = completeness {
                // Drafted at prices that were corrected since, or before a cancellation that is known by now: nobody's
                // invoice, however right it was when it was drafted.
                if document.body.pin != usage.pin_json
                    || document.body.catalog_sha256 != catalog.sha256
                    || usage.overtaken.contains(&document.body.partner_id)
                    || !billed_before_now.is_current(document)
                {
                    issued.stale.push(named());
                } else if billed_before(document, &billed).is_some() {
                    issued.billed_elsewhere.push(named());
                } else if let Some(held) = holds.why_held(document) {
                    issued.held.push(held);
                } else {
                    due.push((document, incomplete));
                }
            } else {
                issued.incomplete.push((document.body.partner_id.clone(), document.body.period_end));
            }
        }
    }
    if due.is_empty() {
        return Ok(Some(issued));
    }
    due.sort_by(|(a, _), (b, _)| order_of(a).cmp(&order_of(b)));
    let due_total = count_of(due.len());
    let issuer = catalog.issuers.get(issuer_id).ok_or_else(|| {
        BillingError::configuration(
            format!("the catalog has no issuer {issuer_id}, whose drafts are due"),
            "put it back: its number prefix is needed",
        )
    })?;
    let mut rows = Vec::new();
    for (sequence, (document, incomplete)) in (next_free..).zip(due) {
        let number = format!("{}{sequence:06}", issuer.number_prefix);
        let mut event = InvoiceEvent::of(document, EventKind::Issued, ISSUE, 0, at);
        event.issuer_id = Some(issuer_id.clone());
        event.number = Some(number.clone());
        event.number_sequence = Some(sequence);
        event.detail.clone_from(&incomplete);
        rows.push(event.to_row());
        issued.invoices.push(IssuedInvoice {
            invoice_id: document.invoice_id.clone(),
            partner_id: document.body.partner_id.clone(),
            issuer_id: issuer_id.clone(),
            number,
            total: document.total(),
            incomplete,
        });
    }
    let step = TxnStep { app_id, expected, next: next_free.saturating_add(due_total) };
    let next = events_expected.unwrap_or(0).saturating_add(1);
    let events_step = TxnStep { app_id: events_app_id, expected: events_expected, next };
    match lake.append(&INVOICE_EVENT, &rows, &[step, events_step]).await? {
        Outcome::Committed => Ok(Some(issued)),
        // `Already` too: another run came to the same next number, perhaps with other invoices. Read what it did.
        Outcome::Already | Outcome::Fenced { .. } => Ok(None),
    }
}

/// The earlier months that a document adjusts.
fn adjusted_months(document: &Document) -> impl Iterator<Item = Month> {
    document.body.lines.iter().filter_map(|line| line.adjusts.as_ref()).map(|adjusts| adjusts.month)
}

/// Which invoice of the month has billed each subscription.
pub(crate) fn billed_subscriptions<'a>(
    documents: &'a BTreeMap<InvoiceId, Document>,
    slots: &Slots,
) -> BTreeMap<&'a SubscriptionId, &'a Document> {
    let is_issued = |document: &&Document| {
        slots.issued_in(&document.slot_id).is_some_and(|issued| issued.invoice_id == document.invoice_id)
    };
    let issued = documents.values().filter(is_issued);
    issued.flat_map(|document| own_lines(document).map(move |line| (&line.subscription_id, document))).collect()
}

/// What a document bills of its own month.
fn own_lines(document: &Document) -> impl Iterator<Item = &Line> {
    document.body.lines.iter().filter(|line| line.adjusts.is_none())
}

/// The invoice of another slot that billed a subscription of this document.
pub(crate) fn billed_before<'a>(
    document: &Document,
    billed: &BTreeMap<&SubscriptionId, &'a Document>,
) -> Option<&'a InvoiceId> {
    let others = own_lines(document).filter_map(|line| billed.get(&line.subscription_id));
    others.filter(|other| other.slot_id != document.slot_id).map(|other| &other.invoice_id).next()
}

async fn read_slots(lake: &Lake) -> Result<Slots, BillingError> {
    Slots::fold(&events_of(&lake.rows(&INVOICE_EVENT, Some(SLOT_KINDS)).await?)?)
}

/// The documents of a month, drafts and invoices.
///
/// # Errors
/// [`BillingError`].
pub async fn read_documents(lake: &Lake, month: Month) -> Result<BTreeMap<InvoiceId, Document>, BillingError> {
    let rows = lake.rows(&INVOICE, Some(&format!("period = '{month}'"))).await?;
    let documents = rows.iter().map(Document::from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(documents.into_iter().map(|document| (document.invoice_id.clone(), document)).collect())
}

#[cfg(test)]
mod tests;
