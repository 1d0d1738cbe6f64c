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
//! - a partner that is blocked in the month waits with its adjustments; one of which an earlier month cannot be
//!   computed now is billed without that month's adjustment, and told;
//! - a month whose invoice was voided at Stripe is not adjusted: a person decided about it;
//! - what a change of the catalog alone would make of a past month (products that take other requests, a version that
//!   is backdated, another time zone) is told, and billed by nothing;
//! - a subscription that moved to another issuer or currency for a month that was billed is told, and left to a person;
//! - an issuer may limit how many months back it adjusts (`adjust_months_max`); what lies before is told, never billed;
//! - adjustments that come to nothing make no document of their own, and ride on one that is there.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::catalog::tax::TaxRates;
use tollbook_schemas::id::{IssuerId, PartnerId, SlotId};
use tollbook_schemas::money::Money;
use tollbook_schemas::period::Month;

use super::documents::{Documents, closed, document_beside};
use super::index::UsageIndex;
use super::taxed_otherwise::is_taxed_otherwise;
use super::{ChangedTerms, DraftInput, Drafted, regular, spans_of_partner};
use crate::billed::{Billed, BilledSlot, IssuedDocument};
use crate::document::{Credits, Document, Line, sum_of};
use crate::error::BillingError;
use crate::stripe::LINES_MAX;

/// How many months back a month that cannot be computed is told.
const TOLD_MONTHS: u32 = 3;

/// An earlier month that should be adjusted and cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unadjusted {
    /// Partner.
    pub partner_id: PartnerId,
    /// Month that was billed.
    pub month: Month,
    /// Why, and how to mend it.
    pub reason: String,
    /// What the lines that are not adjusted come to more than was billed; none where that is not known.
    pub difference: Option<Money>,
}

/// Adds to the documents of a month what earlier months are adjusted by.
///
/// # Errors
/// [`BillingError::Stored`] where what was issued contradicts itself.
pub(super) fn add(
    input: &DraftInput<'_>,
    usage: &UsageIndex<'_>,
    issued: &[&IssuedDocument],
    documents: &mut Documents,
    drafted: &mut Drafted,
) -> Result<(), BillingError> {
    let billed = Billed::fold(issued.iter().copied(), None)?;
    let blocked: BTreeSet<PartnerId> = drafted.blocked.iter().map(|blocked| blocked.partner_id.clone()).collect();
    let mut earlier: BTreeMap<Month, MonthNow> = BTreeMap::new();
    for (slot_id, slot) in billed.slots() {
        let body = &slot.invoice.document.body;
        let is_due = body.month < input.month && adjusts_now(input, &body.issuer.issuer_id);
        if !is_due || blocked.contains(&body.partner_id) {
            continue;
        }
        let now = earlier.entry(body.month).or_insert_with(|| MonthNow::of(input, body.month, usage));
        let mut tell = |reason: String, lines: &[Line]| {
            let difference = sum_of(lines).filter(|_| !lines.is_empty());
            let difference = difference.map(|minor| Money { minor, currency: body.currency });
            let (partner_id, month) = (body.partner_id.clone(), body.month);
            drafted.unadjusted.push(Unadjusted { partner_id, month, reason, difference });
        };
        let lines = match differences(slot, now, input) {
            Ok(None) => continue,
            Ok(Some(lines)) => lines,
            Err(reason) => {
                tell(reason, &[]);
                continue;
            }
        };
        let Sifted { adjusts, refused } = sift(input, &billed, (slot_id, slot), lines, now);
        for (reason, lines) in refused {
            match lines.iter().any(|line| now.blocked_child(line).is_some()) {
                true if is_older(body.month, input.month, TOLD_MONTHS) => {}
                true => tell(reason, &[]),
                false => tell(reason, &lines),
            }
        }
        if !adjusts.is_empty()
            && let Err(reason) = place(input, documents, slot, adjusts.clone())
        {
            tell(reason, &adjusts);
        }
    }
    Ok(())
}

/// Whether the month is the one whose documents adjust: the last that has ended by the instant from which is looked, or
/// the one that runs. An older month that is drafted again, or late, gets no more than its own lines: what it is said
/// to have brought in must not change for ever.
pub(super) fn adjusts_now(input: &DraftInput<'_>, issuer_id: &IssuerId) -> bool {
    // Without its issuer nothing can be adjusted, which is told.
    let issuer = input.catalog.issuers.get(issuer_id);
    issuer.is_none_or(|issuer| input.month.next().period(issuer.time_zone).is_ok_and(|next| input.as_of < next.end))
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

    /// The document that fills a slot now.
    fn document_of(&self, slot: &BilledSlot<'_>) -> Option<&Document> {
        let invoice = &slot.invoice.document;
        let of_partner = self.documents.get(&invoice.body.partner_id)?;
        of_partner.iter().find(|document| document.slot_id == invoice.slot_id)
    }

    /// Whoever is paid for by the partner of a line and is blocked alone: what is not there of it is not known, and not
    /// given back.
    fn blocked_child(&self, line: &Line) -> Option<(&PartnerId, &String)> {
        self.blocked.get_key_value(line.for_partner.as_ref()?)
    }

    fn lines_of(&self, slot: &BilledSlot<'_>) -> &[Line] {
        self.document_of(slot).map_or(&[], |document| &document.body.lines)
    }
}

/// The lines by which one slot's month differs from what was billed; none where it does not.
fn differences(slot: &BilledSlot<'_>, now: &MonthNow, input: &DraftInput<'_>) -> Result<Option<Vec<Line>>, String> {
    let partner_id = &slot.invoice.document.body.partner_id;
    // A month that nobody can compute is told while somebody may still have to pay for it.
    let is_recent = !is_older(slot.invoice.document.body.month, input.month, TOLD_MONTHS);
    if let Some(reason) = now.blocked.get(partner_id) {
        return if is_recent { Err(format!("it cannot be computed now: {reason}")) } else { Ok(None) };
    }
    let differences = slot.differences(now.lines_of(slot))?;
    Ok(Some(differences).filter(|lines| !lines.is_empty()))
}

/// Differences of one slot: what is billed of them, and what is not, by reason.
struct Sifted {
    adjusts: Vec<Line>,
    refused: BTreeMap<String, Vec<Line>>,
}

/// What is not billed of the differences, though it is there. A reason that is about some lines leaves the others,
/// unless one of all is made of other lines (tax, a coupon, a minimum): that would then be the difference of something
/// else.
fn sift(
    input: &DraftInput<'_>,
    billed: &Billed<'_>,
    (slot_id, slot): (&SlotId, &BilledSlot<'_>),
    lines: Vec<Line>,
    now: &MonthNow,
) -> Sifted {
    let mut sifted = Sifted { adjusts: Vec::new(), refused: BTreeMap::new() };
    if let Some(reason) = whole_refusal(slot, now) {
        sifted.refused.insert(reason, lines);
        return sifted;
    }
    let reason_of = line_refusals(input, billed, (slot_id, slot), &lines, now);
    let is_apart = lines.iter().all(|line| is_of_price(input.catalog, line));
    let first = lines.iter().find_map(&reason_of).filter(|_| !is_apart);
    let reasons: Vec<Option<String>> = lines.iter().map(|line| first.clone().or_else(|| reason_of(line))).collect();
    drop(reason_of);
    for (line, reason) in lines.into_iter().zip(reasons) {
        match reason {
            None => sifted.adjusts.push(line),
            Some(reason) => sifted.refused.entry(reason).or_default().push(line),
        }
    }
    sifted
}

/// Whether a line is made by a price of its plan alone.
fn is_of_price(catalog: &Catalog, line: &Line) -> bool {
    let versions = catalog.plans.get(&line.plan_id).into_iter().flatten();
    let mut prices =
        versions.filter(|version| version.version == line.plan_version).flat_map(|version| &version.prices);
    prices.any(|price| price.price_id == line.price_id && price.meter == line.meter_id)
}

/// Why nothing of a slot is billed.
fn whole_refusal(slot: &BilledSlot<'_>, now: &MonthNow) -> Option<String> {
    let number = &slot.invoice.number;
    if slot.invoice.is_voided {
        return Some(format!(
            "invoice {number} was voided at Stripe, and what its month comes to now is billed by nothing; bill it by hand"
        ));
    }
    if let Some(voided) = slot.voided_adjustment() {
        return Some(format!("{voided}, which adjusted it, was voided at Stripe; bill the rest by hand"));
    }
    slot.other_version(now.lines_of(slot)).map(|(line, version)| {
        format!(
            "version {version} of plan {} would price it now, and version {} did; give the new version a later \
             effective_from",
            line.plan_id, line.plan_version
        )
    })
}

/// Why a line of a slot is not billed, asked line by line.
fn line_refusals<'r>(
    input: &'r DraftInput<'_>,
    billed: &'r Billed<'_>,
    (slot_id, slot): (&'r SlotId, &'r BilledSlot<'_>),
    lines: &[Line],
    now: &'r MonthNow,
) -> impl Fn(&Line) -> Option<String> + 'r {
    let (invoice, number) = (&slot.invoice.document, &slot.invoice.number);
    let issuer_id = &invoice.body.issuer.issuer_id;
    let issuer = input.catalog.issuers.get(issuer_id);
    let limit = issuer.and_then(|issuer| Some((issuer.adjust_months_max?, issuer.time_zone)));
    let of = (issuer_id, &invoice.body.partner_id);
    let taxed_otherwise =
        |then: &TaxRates| is_taxed_otherwise(input, then, of, invoice.body.lines.iter().chain(now.lines_of(slot)));
    let changed = input.terms_changes.get(&(invoice.body.catalog_sha256.clone(), issuer_id.clone()));
    let matters = |changed: &&ChangedTerms| changed.taxed_by.as_ref().is_none_or(taxed_otherwise);
    let changed: Vec<&ChangedTerms> = changed.into_iter().flatten().filter(matters).collect();
    // In both directions: what one invoice gives back another must be able to bill, and what one bills no other may
    // have.
    let bearers = super::payer::bearers(input, &invoice.body.partner_id, lines);
    let others = bearers.into_iter().filter_map(|bearer| now.documents.get(bearer)).flatten();
    let others = others.filter(|document| document.slot_id != invoice.slot_id);
    let mut others: BTreeSet<_> =
        others.flat_map(|document| &document.body.lines).map(|line| &line.subscription_id).collect();
    // Also where the one who is to bill it is blocked, and has no document yet.
    let of_month = DraftInput { month: invoice.body.month, ..*input };
    let owners: BTreeSet<&PartnerId> = lines.iter().map(|line| line.for_partner.as_ref().unwrap_or(of.1)).collect();
    for owner in owners {
        let spans = spans_of_partner(&of_month, owner).unwrap_or_default();
        let elsewhere = spans.iter().filter(|span| {
            let here = (of.1, issuer_id, invoice.body.currency);
            (span.payer.unwrap_or(owner), &span.version.issuer, span.version.currency) != here
        });
        others.extend(elsewhere.map(|span| &span.subscription.subscription_id));
    }
    move |line: &Line| {
        if let Some((child, reason)) = now.blocked_child(line) {
            return Some(format!("it cannot be computed now: {child}, for whom it pays: {reason}"));
        }
        if let Some((months_max, zone)) = limit {
            // What is billed in advance ages from the end of what it bills.
            let last = match line.due {
                Some(_) => Month::of(line.span_end - TimeDelta::microseconds(1), zone).max(invoice.body.month),
                None => invoice.body.month,
            };
            if is_older(last, input.month, months_max) {
                return Some(format!(
                    "issuer {issuer_id} adjusts invoices of the last {months_max} months only (adjust_months_max)"
                ));
            }
        }
        let concerns = |changed: &&ChangedTerms| changed.concerns(input.catalog, line, invoice.body.period_end);
        if let Some(changed) = changed.iter().copied().find(concerns) {
            return Some(format!(
                "{} since invoice {number} was drafted, and a change of the catalog bills no past month",
                changed.what
            ));
        }
        let elsewhere = billed.elsewhere(slot_id, &line.subscription_id);
        (elsewhere.is_some() || others.contains(&line.subscription_id)).then(|| {
            format!(
                "subscription {} moved to another issuer, currency or payer after invoice {} billed it; credit the invoice \
                 and bill the rest by hand",
                line.subscription_id,
                elsewhere.unwrap_or(number)
            )
        })
    }
}

/// Puts the differences of one slot on the documents of the month.
fn place(
    input: &DraftInput<'_>,
    drafted: &mut Documents,
    slot: &BilledSlot<'_>,
    differences: Vec<Line>,
) -> Result<(), String> {
    let invoice = &slot.invoice.document;
    let of = (&invoice.body.issuer.issuer_id, &invoice.body.partner_id, invoice.body.currency);
    let net = sum_of(&differences).ok_or("the adjustments do not fit 63 bits of minor units")?;
    if net < 0 {
        let credits = Credits { invoice_id: invoice.invoice_id.clone(), number: slot.invoice.number.clone() };
        drafted.push(document_beside(input, of, Some(credits), differences)?);
        return Ok(());
    }
    let slot_id = invoice.body.slot_of_month(input.month);
    match drafted.in_slot(&slot_id) {
        Some(document) => {
            let mut body = document.body.clone();
            if body.lines.len() + differences.len() > LINES_MAX {
                return Err(format!(
                    "the invoice would have more than {LINES_MAX} lines, which Stripe does not take; a later month that has room \
                     adjusts it, else bill it with `tollbook bill adjust`"
                ));
            }
            body.lines.extend(differences);
            *document = closed(body)?;
        }
        // Nothing to pay and nothing to give back: what was counted is told with the next document.
        None if net == 0 => {}
        None => drafted.push(document_beside(input, of, None, differences)?),
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

#[cfg(test)]
mod tests;
