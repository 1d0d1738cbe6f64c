//! Drafts become invoices.
//!
//! Takes the current drafts of a month ([`crate::write_drafts`]); gives invoices with numbers, and why the others are
//! left.
//!
//! Only the `issued` event makes an invoice. It and the txn `number/<issuer>` (the issuer's next free number) are one
//! commit on `invoice_event`: numbers have no gap, and each is given once, however many issue at the same time. A slot
//! with an issued invoice is closed (I5). What somebody or a policy holds is left (`hold`). Whoever holds a draft while
//! it is issued makes that commit fail, too.

mod billed_elsewhere;
mod changed;
mod issued;
mod slots;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use tollbook_lake::{Lake, Outcome, TxnStep, each_beside, rows_app_id};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::{IdError, InvoiceId, IssuerId, PartnerId, SlotId, SubscriptionId};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Month, print_instant};
use tollbook_schemas::tables::Cells;
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT};

use crate::billed::{Billed, IssuedDocument};
use crate::document::{Document, Line, count_of, read_documents_of};
use crate::draft::{is_current_by_hand, is_current_credit};
use crate::error::BillingError;
use crate::event::{EventKind, InvoiceEvent};
use crate::hold::{self, HeldDraft, Holds};
use crate::policy::HoldPolicy;
use crate::range::PartnerRange;

pub use billed_elsewhere::BilledElsewhere;
pub(crate) use billed_elsewhere::{billed_before, billed_elsewhere, billed_subscriptions};
pub use changed::{ChangedSinceIssue, changed_since_issue};
pub use issued::{read_issued, read_issued_of};
pub use slots::{Slot, Slots};

/// The step of the event that issues.
pub(crate) const ISSUE: &str = "issue";
/// Attempts to win the number sequence before somebody else must be asked what is going on.
const ATTEMPTS: usize = 20;

/// What a draft must meet to be issued: rated from the present `usage` with the present catalog, over and complete, and
/// not held.
#[derive(Debug, Clone, Copy)]
pub struct IssueTerms<'a> {
    /// The pin of `usage` now, as documents carry it.
    pub pin_json: &'a str,
    /// How far the data behind `usage` reach: a period that ends later is not complete. None where nobody knows.
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

impl IssueTerms<'_> {
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

/// A draft whose period has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEnded {
    /// Partner.
    pub partner_id: PartnerId,
    /// Draft.
    pub invoice_id: InvoiceId,
    /// First instant after its period.
    pub period_end: DateTime<Utc>,
}

/// A draft that says what is not so any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleDraft {
    /// Partner.
    pub partner_id: PartnerId,
    /// Draft.
    pub invoice_id: InvoiceId,
    /// What changed since.
    pub since: ChangedSince,
}

/// What changed since a draft was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangedSince {
    /// It was rated from another state of `usage` than the present one, by another catalog, or newer lifecycle events
    /// of its partner are known.
    Inputs,
    /// A document that was issued since used the same prepaid credit, or billed what it bills of an earlier month or by
    /// hand.
    Issued,
}

impl std::fmt::Display for ChangedSince {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inputs => {
                "they were rated from other usage or another catalog than the present one, or newer lifecycle events of the \
                 partner are known"
            }
            Self::Issued => {
                "a document that was issued since used the same prepaid credit, or billed what they bill of an earlier month or \
                 by hand"
            }
        })
    }
}

/// What [`issue`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issued {
    /// Invoices issued now, in number order by issuer.
    pub invoices: Vec<IssuedInvoice>,
    /// Invoices of the month that were issued before.
    pub already_issued: usize,
    /// Drafts whose period has not ended; they are left as they are.
    pub not_ended: Vec<NotEnded>,
    /// Drafts whose period has ended, but the data do not reach to its end; they are left, with that end.
    pub incomplete: Vec<(PartnerId, DateTime<Utc>)>,
    /// Drafts that must be made again first.
    pub stale: Vec<StaleDraft>,
    /// Drafts of a subscription that another slot's invoice has billed for the month.
    pub billed_elsewhere: Vec<(PartnerId, InvoiceId)>,
    /// Drafts that would be issued, and that somebody or a policy holds.
    pub held: Vec<HeldDraft>,
}

impl Issued {
    /// Takes in what was done for others.
    fn add(&mut self, other: Self) {
        self.invoices.extend(other.invoices);
        self.already_issued += other.already_issued;
        self.not_ended.extend(other.not_ended);
        self.incomplete.extend(other.incomplete);
        self.stale.extend(other.stale);
        self.billed_elsewhere.extend(other.billed_elsewhere);
        self.held.extend(other.held);
    }
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
    terms: IssueTerms<'_>,
    at: DateTime<Utc>,
) -> Result<Issued, BillingError> {
    let mut issued = Issued::default();
    let mut failed = None;
    // The ranges hold every partner there may be, so whoever drafts meanwhile is in one of them.
    let (issuers, ranges) = issuers_and_ranges(lake, month).await?;
    for issuer_id in issuers {
        let mut won = None;
        for _ in 0..ATTEMPTS {
            won = match issue_of(lake, catalog, (&issuer_id, &ranges), month, terms, at).await {
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
        issued.add(of_issuer);
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
    (issuer_id, ranges): (&IssuerId, &[PartnerRange]),
    month: Month,
    terms: IssueTerms<'_>,
    at: DateTime<Utc>,
) -> Result<Option<Issued>, BillingError> {
    let app_id = number_app_id(issuer_id);
    // The txns are read first: whoever issues, or withdraws a draft, after that makes our commit fail, and what the
    // rows say is never older.
    let expected = lake.txn(&INVOICE_EVENT, &app_id).await?;
    let events_app_id = rows_app_id(&INVOICE_EVENT);
    let events_expected = lake.txn(&INVOICE_EVENT, &events_app_id).await?;
    let slots = Slots::read(lake, &PartnerRange::ALL).await?;
    let holds = hold::read(lake, terms.policy).await?;
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
    let sift = async |range: &PartnerRange| {
        let documents = read_documents_of(lake, month, range).await?;
        // Who pays for others is looked at with them: a subscription must be seen wherever it was billed.
        let mut lines = documents.values().flat_map(|document| &document.body.lines);
        if *range != PartnerRange::ALL && lines.any(|line| line.for_partner.is_some()) {
            return Ok(None);
        }
        let adjusted = documents.values().flat_map(adjusted_months).min();
        let before = match adjusted {
            Some(first) => read_issued_of(lake, Some(first), range).await?,
            None => Vec::new(),
        };
        let known = Known {
            slots: &slots,
            holds: &holds,
            catalog_sha256: &catalog.sha256,
            terms,
            before: &before,
            billed_before: Billed::fold(&before, adjusted)?,
            billed: billed_subscriptions(documents.values(), &slots),
            at,
        };
        let (mut issued, mut due) = (Issued::default(), Vec::new());
        for document in documents.values().filter(|document| document.body.issuer.issuer_id == *issuer_id) {
            due.extend(known.sift(document, &mut issued));
        }
        Ok::<_, BillingError>(Some((issued, due)))
    };
    let shares: Option<Vec<(Issued, Vec<Issuable>)>> = each_beside(ranges, sift).await?.into_iter().collect();
    let shares = match shares {
        Some(shares) => shares,
        None => sift(&PartnerRange::ALL).await?.into_iter().collect(),
    };
    let (mut issued, mut due) = (Issued::default(), Vec::new());
    for (of_share, due_of_share) in shares {
        issued.add(of_share);
        due.extend(due_of_share);
    }
    if due.is_empty() {
        return Ok(Some(issued));
    }
    due.sort_by(|a, b| a.order().cmp(&b.order()));
    let due_total = count_of(due.len());
    let issuer = catalog.issuers.get(issuer_id).ok_or_else(|| {
        BillingError::configuration(
            format!("the catalog has no issuer {issuer_id}, whose drafts are due"),
            "put it back: its number prefix is needed",
        )
    })?;
    let mut rows = Vec::new();
    for (sequence, due) in (next_free..).zip(due) {
        let number = format!("{}{sequence:06}", issuer.number_prefix);
        let ids = (&due.invoice_id, &due.slot_id, &due.partner_id);
        let mut event = InvoiceEvent::bare(ids, EventKind::Issued, ISSUE, 0, at);
        event.issuer_id = Some(issuer_id.clone());
        event.number = Some(number.clone());
        event.number_sequence = Some(sequence);
        event.detail.clone_from(&due.incomplete);
        rows.push(event.to_row());
        issued.invoices.push(IssuedInvoice {
            invoice_id: due.invoice_id,
            partner_id: due.partner_id,
            issuer_id: issuer_id.clone(),
            number,
            total: due.total,
            incomplete: due.incomplete,
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

/// A draft that is issued now, as far as its number and event need it: of many partners the documents are not kept.
struct Issuable {
    invoice_id: InvoiceId,
    slot_id: SlotId,
    partner_id: PartnerId,
    credits_number: Option<String>,
    total: Money,
    incomplete: Option<String>,
}

impl Issuable {
    /// As documents are listed (`draft::order_of`), within one issuer.
    fn order(&self) -> (&PartnerId, Currency, Option<&str>) {
        (&self.partner_id, self.total.currency, self.credits_number.as_deref())
    }
}

/// What decides whether a draft may be issued.
struct Known<'a> {
    slots: &'a Slots,
    holds: &'a Holds<'a>,
    catalog_sha256: &'a str,
    terms: IssueTerms<'a>,
    before: &'a [IssuedDocument],
    billed_before: Billed<'a>,
    billed: BTreeMap<&'a SubscriptionId, &'a Document>,
    at: DateTime<Utc>,
}

impl Known<'_> {
    /// What makes a draft stale; none where it is as it would be drafted now.
    fn changed_since(&self, document: &Document) -> Option<ChangedSince> {
        let (terms, body) = (&self.terms, &document.body);
        let of_others = body.lines.iter().filter_map(|line| line.for_partner.as_ref());
        let is_rated_anew = body.pin != terms.pin_json
            || body.catalog_sha256 != self.catalog_sha256
            || of_others.chain([&body.partner_id]).any(|partner_id| terms.overtaken.contains(partner_id));
        if is_rated_anew {
            return Some(ChangedSince::Inputs);
        }
        let is_current = self.billed_before.is_current(document)
            && is_current_by_hand(document, self.before)
            && is_current_credit(document, self.before);
        (!is_current).then_some(ChangedSince::Issued)
    }

    /// The draft, where it is due; else it is put down under what keeps it.
    fn sift(&self, document: &Document, issued: &mut Issued) -> Option<Issuable> {
        let Self { slots, terms, .. } = self;
        let body = &document.body;
        let named = || (body.partner_id.clone(), document.invoice_id.clone());
        if let Some(invoice) = slots.issued_in(&document.slot_id) {
            issued.already_issued += usize::from(invoice.invoice_id == document.invoice_id);
            return None;
        }
        if slots.current_draft(&document.slot_id) != Some(&document.invoice_id) {
            return None;
        }
        if body.period_end > self.at.min(terms.as_of) {
            let (partner_id, invoice_id) = named();
            issued.not_ended.push(NotEnded { partner_id, invoice_id, period_end: body.period_end });
            return None;
        }
        let Ok(incomplete) = terms.completeness(document) else {
            issued.incomplete.push((body.partner_id.clone(), body.period_end));
            return None;
        };
        // Drafted at prices that were corrected since, or before a cancellation that is known by now: nobody's invoice,
        // however right it was when it was drafted.
        if let Some(since) = self.changed_since(document) {
            let (partner_id, invoice_id) = named();
            issued.stale.push(StaleDraft { partner_id, invoice_id, since });
            return None;
        }
        if billed_before(document, &self.billed).is_some() {
            issued.billed_elsewhere.push(named());
            return None;
        }
        if let Some(held) = self.holds.why_held(document) {
            issued.held.push(held);
            return None;
        }
        Some(Issuable {
            invoice_id: document.invoice_id.clone(),
            slot_id: document.slot_id.clone(),
            partner_id: body.partner_id.clone(),
            credits_number: body.credits.as_ref().map(|credits| credits.number.clone()),
            total: document.total(),
            incomplete,
        })
    }
}

/// Partners whose documents are looked at together when they are issued; in tests so few that there are several shares.
const PARTNERS_MAX: usize = if cfg!(test) { 1 } else { 4_000 };
/// And lines of these documents.
const LINES_AT_ONCE_MAX: i64 = 20_000;

/// The issuers of a month's documents, and ranges of the partners that bound what is read of them at once.
async fn issuers_and_ranges(
    lake: &Lake,
    month: Month,
) -> Result<(BTreeSet<IssuerId>, Vec<PartnerRange>), BillingError> {
    let session = lake.empty_session()?;
    lake.register(&session, &INVOICE, None).await?;
    let sql = format!("select issuer_id, partner_id, line_count from invoice where period = '{month}'");
    let (mut issuers, mut lines) = (BTreeSet::new(), BTreeMap::new());
    for batch in lake.query(&session, &sql).await? {
        let cells = |column| Cells::of(&INVOICE, &batch, column);
        let (issuer_id, partner_id, line_count) = (cells("issuer_id")?, cells("partner_id")?, cells("line_count")?);
        for row in 0..batch.num_rows() {
            let wrong = |error: IdError| BillingError::stored(INVOICE.name, error.to_string());
            issuers.insert(IssuerId::parse(issuer_id.some_text(row)?).map_err(wrong)?);
            let partner_id = PartnerId::parse(partner_id.some_text(row)?).map_err(wrong)?;
            *lines.entry(partner_id).or_insert(0_i64) += line_count.some_int(row)?;
        }
    }
    let lines: Vec<(PartnerId, i64)> = lines.into_iter().collect();
    Ok((issuers, PartnerRange::cut(&lines, LINES_AT_ONCE_MAX, PARTNERS_MAX)))
}

/// The months that a document adjusts, as late usage or by hand.
fn adjusted_months(document: &Document) -> impl Iterator<Item = Month> {
    let by_hand = |line: &Line| line.by_hand.as_ref().map(|by_hand| by_hand.month);
    document.body.lines.iter().filter_map(move |line| {
        let credit = || line.credit.as_ref().map(|credit| credit.first_month);
        line.adjusts.as_ref().map(|a| a.month).or_else(|| by_hand(line)).or_else(credit)
    })
}

#[cfg(test)]
mod tests;
