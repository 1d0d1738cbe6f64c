//! Lines that staff made by hand, on the documents of a month. Pure.
//!
//! Takes the hand-made charges and credits of the registry and everything that was issued; adds to a month's documents
//! a line for each of which something is still to be billed: what it comes to (nothing, where it was taken back) less
//! what issued documents billed of it. So each is billed once, whatever is drafted how often, and one that is taken
//! back after it was billed is given back.
//!
//! - A month that is not issued bears its own lines, also where it bills nothing else.
//! - What is made, or taken back, after its month was issued is borne by the documents of the last month that has
//!   ended, as late usage is (`adjust`).
//! - A credit that names an issued invoice is given by a credit note of that invoice, which gives back no more than is
//!   left of it (`adjustments`): else its partner is blocked. Any other is a line of the month's invoice, whose total
//!   may come below 0: then a policy holds it.
//! - Where its issuer taxes, each has a tax line of its own, at the rate for prices without a tax code.
//! - A partner of whom one cannot be billed is blocked, with the reason.

use std::collections::{BTreeMap, BTreeSet};

use tollbook_schemas::catalog::Issuer;
use tollbook_schemas::id::{AdjustmentId, IdError, PartnerId, PlanId, PriceId, SlotId, SubscriptionId};
use tollbook_schemas::money::Money;
use tollbook_schemas::registry::HandMade;

use super::adjust::adjusts_now;
use super::documents::{Documents, closed, document_beside};
use super::tax::{TaxByHand, TaxedByHand, Taxing};
use super::{Blocked, DraftInput, Drafted, issuer_named};
use crate::adjustments::creditable;
use crate::billed::IssuedDocument;
use crate::document::{ByHand, Credits, Document, Line, LineOf, slot_of};

/// Plan and price of a line by hand, which no catalog has: the version is 0, and the subscription is the line's own id.
const BY_HAND: &str = "by-hand";
/// The word of its model.
const MODEL: &str = "by_hand";

/// What issued documents billed of each.
pub(crate) type BilledByHand<'a> = BTreeMap<&'a AdjustmentId, BilledOfOne>;

/// What issued documents billed of one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BilledOfOne {
    all: Billed,
    /// By documents that were not voided at Stripe.
    standing: Billed,
}

impl BilledOfOne {
    /// What counts: where it was taken back, what stands, since nobody owes or gets back what was voided. What was not
    /// taken back was billed once, whatever became of it: a person decides whether it is billed again.
    pub(crate) fn counting(self, is_revoked: bool) -> Billed {
        if is_revoked { self.standing } else { self.all }
    }
}

/// In minor units.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Billed {
    pub(crate) amount_minor: i64,
    /// Of its tax lines.
    pub(super) tax: TaxByHand,
}

impl Billed {
    /// What was billed of what a line bills; none where it does not fit.
    fn of(self, line: &Line) -> Option<i64> {
        if line.tax.is_some() { self.tax.all_minor() } else { Some(self.amount_minor) }
    }

    fn add(&mut self, line: &Line) -> Option<()> {
        match &line.tax {
            None => self.amount_minor = self.amount_minor.checked_add(line.amount_minor)?,
            Some(tax) => {
                let TaxByHand { amount_minor, contained_minor } = &mut self.tax;
                *amount_minor = amount_minor.checked_add(line.amount_minor)?;
                *contained_minor = contained_minor.checked_add(tax.contained_minor.unwrap_or(0))?;
            }
        }
        Some(())
    }
}

pub(crate) fn billed_by_hand<'a>(
    issued: impl IntoIterator<Item = &'a IssuedDocument>,
) -> Result<BilledByHand<'a>, String> {
    let mut billed = BilledByHand::new();
    let lines = issued.into_iter().flat_map(|one| one.document.body.lines.iter().map(move |line| (one, line)));
    for (one, line) in lines {
        let Some(by_hand) = &line.by_hand else { continue };
        let BilledOfOne { all, standing } = billed.entry(&by_hand.adjustment_id).or_default();
        let added = all.add(line).and_then(|()| if one.is_voided { Some(()) } else { standing.add(line) });
        added.ok_or_else(|| {
            format!("what was billed of {} does not fit 63 bits of minor units", by_hand.adjustment_id)
        })?;
    }
    Ok(billed)
}

/// Whether every line by hand of a document bills what is still to be billed: nothing else may have billed it since it
/// was drafted, or both would.
#[must_use]
pub fn is_current_by_hand(document: &Document, issued: &[IssuedDocument]) -> bool {
    let mut by_hand = document.body.lines.iter().filter_map(|line| Some((line, line.by_hand.as_ref()?))).peekable();
    // Most documents have none, and then nothing must be added up.
    if by_hand.peek().is_none() {
        return true;
    }
    let Ok(billed) = billed_by_hand(issued) else { return false };
    by_hand.all(|(line, one)| {
        let billed = billed.get(&one.adjustment_id).copied().unwrap_or_default();
        billed.counting(one.is_revoked).of(line) == Some(one.billed_minor)
    })
}

/// Adds the lines by hand that the month bears.
pub(super) fn add(
    input: &DraftInput<'_>,
    issued: &[&IssuedDocument],
    documents: &mut Documents,
    drafted: &mut Drafted,
) {
    let blocked: BTreeSet<PartnerId> = drafted.blocked.iter().map(|one| one.partner_id.clone()).collect();
    let mut of_partners: BTreeMap<&PartnerId, Vec<&HandMade>> = BTreeMap::new();
    for made in input.registry.adjustments.values().filter(|made| !blocked.contains(&made.partner_id)) {
        of_partners.entry(&made.partner_id).or_default().push(made);
    }
    let billed = billed_by_hand(issued.iter().copied());
    for (partner_id, all) in of_partners {
        let lines = billed.as_ref().map_err(Clone::clone).and_then(|billed| lines_of(input, issued, billed, &all));
        let placed = lines.and_then(|lines| place(input, documents, lines));
        if let Err(reason) = placed.and_then(|()| check_credits(issued, documents, partner_id)) {
            documents.remove(partner_id);
            drafted.blocked.push(Blocked { partner_id: partner_id.clone(), reason });
        }
    }
}

/// A line with the document that it belongs on.
struct Placed<'a> {
    made: &'a HandMade,
    credits: Option<Credits>,
    line: Line,
}

/// The lines that the month bears of one partner, by month, then by id.
fn lines_of<'a>(
    input: &DraftInput<'_>,
    issued: &[&IssuedDocument],
    billed: &BilledByHand<'_>,
    all: &[&'a HandMade],
) -> Result<Vec<Placed<'a>>, String> {
    let slots: BTreeSet<&SlotId> = issued.iter().map(|one| &one.document.slot_id).collect();
    let mut all: Vec<&HandMade> = all.iter().copied().filter(|made| made.month <= input.month).collect();
    all.sort_by_key(|made| (made.month, &made.adjustment_id));
    let mut lines = Vec::new();
    for made in all {
        let billed = billed.get(&made.adjustment_id).copied().unwrap_or_default();
        let Billed { amount_minor: billed_minor, tax: billed_tax } = billed.counting(made.is_revoked());
        let wanted = if made.is_revoked() { 0 } else { made.amount.minor };
        let too_big = || format!("{} does not fit 63 bits of minor units", made.adjustment_id);
        let difference = wanted.checked_sub(billed_minor).ok_or_else(too_big)?;
        if difference == 0 {
            continue;
        }
        let credits = match (&made.for_invoice, difference < 0) {
            (Some(number), true) => Some(credited(issued, made, number)?),
            _ => None,
        };
        let slot_in = |month| match &credits {
            None => slot_of(&made.issuer_id, &made.partner_id, made.amount.currency, month),
            Some(credits) => credits.slot_of(&made.issuer_id, &made.partner_id, made.amount.currency, month),
        };
        let invoice = slot_of(&made.issuer_id, &made.partner_id, made.amount.currency, made.month);
        let is_closed = slots.contains(&invoice) || slots.contains(&slot_in(made.month));
        let is_borne = match made.month == input.month {
            true => !is_closed,
            false => is_closed && adjusts_now(input, &made.issuer_id) && !slots.contains(&slot_in(input.month)),
        };
        if is_borne {
            let issuer = issuer_of(input, made)?;
            let line = line_of(issuer, made, billed_minor, difference)?;
            let taxing = Taxing {
                input,
                issuer_id: &made.issuer_id,
                issuer,
                partner_id: &made.partner_id,
                currency: made.amount.currency,
            };
            let taxed = TaxedByHand { wanted_minor: wanted, billed: billed_tax };
            let tax = taxing.line_by_hand(&line, taxed).map_err(|what| format!("{}: {what}", made.adjustment_id))?;
            lines.push(Placed { made, credits: credits.clone(), line });
            lines.extend(tax.map(|line| Placed { made, credits, line }));
        }
    }
    Ok(lines)
}

/// The invoice that a credit is about.
fn credited(issued: &[&IssuedDocument], made: &HandMade, number: &str) -> Result<Credits, String> {
    let is_meant = |one: &&&IssuedDocument| {
        let body = &one.document.body;
        one.number == number
            && body.kind.is_invoice()
            && (&body.partner_id, &body.issuer.issuer_id, body.currency)
                == (&made.partner_id, &made.issuer_id, made.amount.currency)
    };
    let invoice = issued.iter().find(is_meant).ok_or_else(|| {
        format!(
            "{} credits invoice {number}, which issuer {} has not issued to the partner in {}; take it back with \
             `tollbook bill adjust --revoke {}`",
            made.adjustment_id, made.issuer_id, made.amount.currency, made.adjustment_id
        )
    })?;
    Ok(Credits { invoice_id: invoice.document.invoice_id.clone(), number: number.to_owned() })
}

fn issuer_of<'a>(input: &DraftInput<'a>, made: &HandMade) -> Result<&'a Issuer, String> {
    let id = &made.adjustment_id;
    issuer_named(input, &made.issuer_id)
        .map_err(|what| format!("{id}: {what}, or take {id} back with `tollbook bill adjust --revoke {id}`"))
}

fn line_of(issuer: &Issuer, made: &HandMade, billed_minor: i64, difference: i64) -> Result<Line, String> {
    let id = &made.adjustment_id;
    let bad = |error: IdError| error.to_string();
    let month = made.month.period(issuer.time_zone).map_err(|error| format!("{id}: {error}"))?;
    let (actor, reason) = made.answered_by();
    let description = match made.is_revoked() {
        true => format!("{} (taken back)", made.description),
        false => made.description.clone(),
    };
    let of = LineOf {
        subscription_id: SubscriptionId::parse(id.as_str()).map_err(bad)?,
        plan_id: PlanId::parse(BY_HAND).map_err(bad)?,
        plan_version: 0,
        price_id: PriceId::parse(BY_HAND).map_err(bad)?,
        price_model: MODEL,
    };
    Ok(Line {
        by_hand: Some(ByHand {
            actor: actor.to_string(),
            adjustment_id: id.clone(),
            billed_minor,
            for_invoice: made.for_invoice.clone(),
            is_revoked: made.is_revoked(),
            month: made.month,
            reason: reason.to_owned(),
        }),
        description,
        ..Line::beside(of, month, Money { minor: difference, currency: made.amount.currency })
    })
}

/// No credit note with a credit by hand gives back more than is left of its invoice.
fn check_credits(issued: &[&IssuedDocument], documents: &Documents, partner_id: &PartnerId) -> Result<(), String> {
    for document in documents.iter().filter(|document| document.body.partner_id == *partner_id) {
        let made = document.body.lines.iter().filter(|line| line.tax.is_none());
        let made: BTreeSet<&str> =
            made.filter_map(|line| Some(line.by_hand.as_ref()?.adjustment_id.as_str())).collect();
        let (Some(credits), Some(last)) = (&document.body.credits, made.last()) else { continue };
        let invoice = issued.iter().find(|one| one.document.invoice_id == credits.invoice_id);
        let Some(invoice) = invoice else { continue };
        let left = creditable(invoice, issued.iter().copied())?;
        let currency = document.body.currency;
        if document.body.total_minor < -left.total_minor {
            let money = |minor| Money { minor, currency };
            let ids = made.iter().copied().collect::<Vec<_>>().join(", ");
            return Err(format!(
                "the credit note of invoice {} would give back {}, and {} are left of it, tax included; its credits by hand \
                 are {ids}: take one back with `tollbook bill adjust --partner {partner_id} --revoke {last}`, and make a \
                 smaller one",
                credits.number,
                money(document.body.total_minor.saturating_neg()),
                money(left.total_minor)
            ));
        }
    }
    Ok(())
}

/// Puts lines on the documents of their slots, and makes those that are not there.
fn place(input: &DraftInput<'_>, documents: &mut Documents, lines: Vec<Placed<'_>>) -> Result<(), String> {
    for Placed { made, credits, line } in lines {
        let slot_id = match &credits {
            None => slot_of(&made.issuer_id, &made.partner_id, made.amount.currency, input.month),
            Some(credits) => credits.slot_of(&made.issuer_id, &made.partner_id, made.amount.currency, input.month),
        };
        match documents.in_slot(&slot_id) {
            Some(document) => {
                let mut body = document.body.clone();
                body.lines.push(line);
                *document = closed(body)?;
            }
            None => {
                let of = (&made.issuer_id, &made.partner_id, made.amount.currency);
                documents.push(document_beside(input, of, credits, vec![line])?);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
