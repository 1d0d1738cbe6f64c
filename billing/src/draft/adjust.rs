//! What came, or was corrected, after earlier months were issued: the next documents bill the difference. Pure.
//!
//! Takes the documents of a month and everything that was issued; computes every earlier month again, as it comes to
//! now, under the prices that were in force then, and takes from it what was billed (I5: an issued invoice never
//! changes). What an invoice comes to more is billed by lines on the month's document; what it comes to less in sum is
//! given back by a credit note that names it. So tiers, minimums and included units are right however late: the
//! adjustment is `rate(now) − rate(billed)`.
//!
//! Decisions:
//!
//! - the documents of the last month that has ended adjust, and of the one that runs; no older month's do;
//! - a partner that is blocked in the month waits with its adjustments; one of which an earlier month cannot be computed
//!   now is billed without that month's adjustment, and told;
//! - a month whose invoice was voided at Stripe is not adjusted: a person decided about it;
//! - a subscription that moved to another issuer or currency for a month that was billed is told, and left to a person;
//! - an issuer may limit how many months back it adjusts (`adjust_months_max`); what lies before is told, never billed;
//! - adjustments that come to nothing make no document of their own, and ride on one that is there.

use std::collections::{BTreeMap, BTreeSet};

use tollbook_schemas::id::{IssuerId, PartnerId, SlotId};
use tollbook_schemas::period::Month;

use super::{DraftInput, Drafted, UsageIndex, index_of, order_of, profile_of, regular};
use crate::billed::{Billed, BilledSlot, IssuedDocument};
use crate::document::{Body, Credits, Document, DocumentKind, FORMAT, IssuedBy, Line, sum_of};
use crate::error::BillingError;

/// An earlier month that should be adjusted and cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unadjusted {
    /// Partner.
    pub partner_id: PartnerId,
    /// Month that was billed.
    pub month: Month,
    /// Why, and how to mend it.
    pub reason: String,
}

/// Drafts a month with what earlier months are to be adjusted by.
///
/// # Errors
/// [`BillingError::Stored`] where what was issued contradicts itself.
pub fn draft_adjusting(input: &DraftInput<'_>, issued: &[IssuedDocument]) -> Result<Drafted, BillingError> {
    let usage = index_of(input.usage);
    let mut drafted = regular(input, &usage);
    let billed = Billed::fold(issued, None)?;
    let blocked: BTreeSet<PartnerId> = drafted.blocked.iter().map(|blocked| blocked.partner_id.clone()).collect();
    let mut documents = Documents::of(std::mem::take(&mut drafted.documents));
    let mut earlier: BTreeMap<Month, MonthNow> = BTreeMap::new();
    for (_, slot) in billed.slots() {
        let body = &slot.invoice.document.body;
        let is_due = body.month < input.month && adjusts_now(input, &body.issuer.issuer_id);
        if !is_due || blocked.contains(&body.partner_id) {
            continue;
        }
        let now = earlier.entry(body.month).or_insert_with(|| MonthNow::of(input, body.month, &usage));
        if let Err(reason) = adjust(input, &mut documents, slot, now) {
            let (partner_id, month) = (body.partner_id.clone(), body.month);
            drafted.unadjusted.push(Unadjusted { partner_id, month, reason });
        }
    }
    drafted.documents = documents.all;
    drafted.documents.sort_by(|a, b| order_of(a).cmp(&order_of(b)));
    let with_documents: BTreeSet<&PartnerId> = drafted.documents.iter().map(|one| &one.body.partner_id).collect();
    drafted.without.retain(|(partner_id, _)| !with_documents.contains(partner_id));
    Ok(drafted)
}

/// Whether the month is the one whose documents adjust: the last that has ended by the instant from which is looked, or
/// the one that runs. An older month that is drafted again, or late, gets no more than its own lines: what it is said to
/// have brought in must not change for ever.
fn adjusts_now(input: &DraftInput<'_>, issuer_id: &IssuerId) -> bool {
    // Without its issuer nothing can be adjusted, which is told.
    let issuer = input.catalog.issuers.get(issuer_id);
    issuer.is_none_or(|issuer| input.month.next().period(issuer.time_zone).is_ok_and(|next| input.as_of < next.end))
}

/// The documents of the month, found by their slots.
struct Documents {
    all: Vec<Document>,
    places: BTreeMap<SlotId, usize>,
}

impl Documents {
    fn of(all: Vec<Document>) -> Self {
        let places = all.iter().enumerate().map(|(place, document)| (document.slot_id.clone(), place)).collect();
        Self { all, places }
    }

    fn push(&mut self, document: Document) {
        self.places.insert(document.slot_id.clone(), self.all.len());
        self.all.push(document);
    }

    fn in_slot(&mut self, slot_id: &SlotId) -> Option<&mut Document> {
        self.all.get_mut(*self.places.get(slot_id)?)
    }
}

/// What an earlier month bills of itself, as it comes to now.
struct MonthNow {
    documents: BTreeMap<PartnerId, Vec<Document>>,
    blocked: BTreeMap<PartnerId, String>,
}

impl MonthNow {
    fn of(input: &DraftInput<'_>, month: Month, usage: &UsageIndex<'_>) -> Self {
        let drafted = regular(&DraftInput { month, ..*input }, usage);
        let mut documents: BTreeMap<PartnerId, Vec<Document>> = BTreeMap::new();
        for document in drafted.documents {
            documents.entry(document.body.partner_id.clone()).or_default().push(document);
        }
        let blocked = drafted.blocked.into_iter().map(|blocked| (blocked.partner_id, blocked.reason)).collect();
        Self { documents, blocked }
    }
}

/// Adds what one slot comes to more or less now.
fn adjust(
    input: &DraftInput<'_>,
    drafted: &mut Documents,
    slot: &BilledSlot<'_>,
    now: &MonthNow,
) -> Result<(), String> {
    let invoice = &slot.invoice.document;
    let partner_id = &invoice.body.partner_id;
    if let Some(reason) = now.blocked.get(partner_id) {
        return Err(reason.clone());
    }
    let documents = now.documents.get(partner_id).map_or(&[][..], Vec::as_slice);
    let here = documents.iter().find(|document| document.slot_id == invoice.slot_id);
    let lines = here.map_or(&[][..], |document| &document.body.lines);
    let differences = slot.differences(lines)?;
    if differences.is_empty() {
        return Ok(());
    }
    let limit = input.catalog.issuers.get(&invoice.body.issuer.issuer_id).and_then(|issuer| issuer.adjust_months_max);
    if let Some(months_max) = limit.filter(|months_max| is_older(invoice.body.month, input.month, *months_max)) {
        return Err(format!(
            "issuer {} adjusts invoices of the last {months_max} months only (adjust_months_max)",
            invoice.body.issuer.issuer_id
        ));
    }
    if slot.invoice.is_voided {
        return Err(format!(
            "invoice {} was voided at Stripe, and what its month comes to now is billed by nothing; bill it by hand",
            slot.invoice.number
        ));
    }
    let moved = documents.iter().filter(|document| document.slot_id != invoice.slot_id);
    let moved = moved.flat_map(|document| &document.body.lines).map(|line| &line.subscription_id);
    if let Some(subscription_id) = moved.into_iter().find(|id| slot.subscriptions().any(|billed| billed == *id)) {
        return Err(format!(
            "subscription {subscription_id} moved to another issuer or currency after invoice {} billed it; credit the \
             invoice and bill the rest by hand",
            slot.invoice.number
        ));
    }
    let net = sum_of(&differences).ok_or("the adjustments do not fit 63 bits of minor units")?;
    if net < 0 {
        let credits = Credits { invoice_id: invoice.invoice_id.clone(), number: slot.invoice.number.clone() };
        let note = document_beside(input, invoice, DocumentKind::CreditNote, Some(credits), differences)?;
        drafted.push(note);
        return Ok(());
    }
    let slot_id = invoice.body.slot_of_month(input.month);
    match drafted.in_slot(&slot_id) {
        Some(document) => {
            let mut body = document.body.clone();
            body.lines.extend(differences);
            *document = closed(body)?;
        }
        // Nothing to pay and nothing to give back: what was counted is told with the next document.
        None if differences.iter().all(|line| line.amount_minor == 0) => {}
        None => drafted.push(document_beside(input, invoice, DocumentKind::Invoice, None, differences)?),
    }
    Ok(())
}

/// Whether a month lies more than so many months before another.
fn is_older(month: Month, than: Month, months_max: u32) -> bool {
    let mut oldest = than;
    for _ in 0..months_max {
        oldest = oldest.previous();
    }
    month < oldest
}

/// A document of the month that holds nothing but adjustments of an invoice.
fn document_beside(
    input: &DraftInput<'_>,
    invoice: &Document,
    kind: DocumentKind,
    credits: Option<Credits>,
    lines: Vec<Line>,
) -> Result<Document, String> {
    let body = &invoice.body;
    let issuer_id = &body.issuer.issuer_id;
    let issuer = input.catalog.issuers.get(issuer_id);
    let issuer = issuer.ok_or_else(|| format!("the catalog has no issuer {issuer_id} any more; put it back"))?;
    let profile = profile_of(input, &body.partner_id)?;
    let month = input.month.period(issuer.time_zone).map_err(|error| error.to_string())?;
    closed(Body {
        catalog_sha256: input.catalog.sha256.clone(),
        credits,
        currency: body.currency,
        format: FORMAT,
        issuer: IssuedBy::of(issuer_id, issuer),
        kind,
        lines,
        month: input.month,
        partner_id: body.partner_id.clone(),
        payment_terms_days: profile.payment_terms_days,
        period_end: month.end,
        period_start: month.start,
        pin: input.pin_json.to_owned(),
        profile_version_id: profile.profile_version_id.clone(),
        shadows: Vec::new(),
        total_minor: 0,
    })
}

/// Numbers the lines, sums them and closes the body.
fn closed(mut body: Body) -> Result<Document, String> {
    for (number, line) in (1_u32..).zip(&mut body.lines) {
        line.line_number = number;
    }
    body.total_minor = sum_of(&body.lines).ok_or("the total does not fit 63 bits of minor units")?;
    Document::close(body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
