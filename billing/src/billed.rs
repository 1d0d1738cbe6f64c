//! What each month was billed so far: its invoice, and what later documents adjusted of it. Pure.
//!
//! Takes the issued documents of all months; gives, for each slot that holds an invoice, the lines as they stand after
//! every adjustment, and the lines by which what the month comes to now differs from them. A line is known by its
//! subscription, plan, price and first instant, so that a subscription that ends earlier than was billed changes its
//! lines, and does not make others.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{InvoiceId, PlanId, PriceId, SlotId, SubscriptionId};
use tollbook_schemas::period::Month;

use crate::document::{Adjusts, Document, Line, LineTax};
use crate::draft::PAUSED;
use crate::error::BillingError;
use crate::rating::Working;

/// An issued document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedDocument {
    /// The document.
    pub document: Document,
    /// Its number.
    pub number: String,
    /// Whether it was voided at Stripe: nobody owes it.
    pub is_voided: bool,
}

/// What makes a line of today and a billed one the same; what was used while paused stands apart.
type LineKey<'a> = (&'a SubscriptionId, &'a PlanId, &'a PriceId, DateTime<Utc>, bool);

fn key_of(line: &Line) -> LineKey<'_> {
    (&line.subscription_id, &line.plan_id, &line.price_id, line.span_start, line.price_model == PAUSED)
}

/// A billed line as it stands after every adjustment.
#[derive(Debug, Clone, Copy)]
struct BilledLine<'a> {
    /// As it was printed last.
    line: &'a Line,
    figures: Figures,
}

/// What lines come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Figures {
    amount_minor: i64,
    /// Tax that other lines contain.
    contained_minor: i64,
    quantity: Decimal,
}

impl Figures {
    fn of(line: &Line) -> Self {
        let contained_minor = line.tax.as_ref().and_then(|tax| tax.contained_minor).unwrap_or(0);
        Self { amount_minor: line.amount_minor, contained_minor, quantity: line.quantity }
    }

    fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            amount_minor: self.amount_minor.checked_add(other.amount_minor)?,
            contained_minor: self.contained_minor.checked_add(other.contained_minor)?,
            quantity: self.quantity.checked_add(other.quantity).ok()?,
        })
    }

    fn minus(self, other: Self) -> Option<Self> {
        Some(Self {
            amount_minor: self.amount_minor.checked_sub(other.amount_minor)?,
            contained_minor: self.contained_minor.checked_sub(other.contained_minor)?,
            quantity: self.quantity.checked_sub(other.quantity).ok()?,
        })
    }
}

/// One issued invoice and what was adjusted of its month.
#[derive(Debug, Clone)]
pub struct BilledSlot<'a> {
    /// The invoice that closed the slot.
    pub invoice: &'a IssuedDocument,
    /// The documents that billed the month: the invoice, and what adjusted it.
    invoice_ids: BTreeSet<&'a InvoiceId>,
    lines: BTreeMap<LineKey<'a>, BilledLine<'a>>,
    /// The number of a document that adjusted the month and was voided at Stripe: its adjustment counts no more.
    voided_adjustment: Option<&'a str>,
}

/// All slots that hold an invoice.
#[derive(Debug, Clone, Default)]
pub struct Billed<'a> {
    slots: BTreeMap<SlotId, BilledSlot<'a>>,
    /// The slots that billed each subscription for a month: more than one only where something is wrong.
    by_subscription: BTreeMap<(Month, &'a SubscriptionId), BTreeSet<SlotId>>,
}

impl<'a> Billed<'a> {
    /// Folds issued documents; their order does not matter. Where they are those from a month on, what adjusts an
    /// earlier one is left out, as that is.
    ///
    /// # Errors
    /// [`BillingError::Stored`] where amounts do not fit, or a month was adjusted that was never billed.
    pub fn fold(
        issued: impl IntoIterator<Item = &'a IssuedDocument>,
        from: Option<Month>,
    ) -> Result<Self, BillingError> {
        let mut documents: Vec<&IssuedDocument> = issued.into_iter().collect();
        let mut billed = Self::default();
        for invoice in documents.iter().filter(|issued| issued.document.body.kind.is_invoice()) {
            let slot = BilledSlot {
                invoice,
                invoice_ids: BTreeSet::from([&invoice.document.invoice_id]),
                lines: BTreeMap::new(),
                voided_adjustment: None,
            };
            billed.slots.insert(invoice.document.slot_id.clone(), slot);
        }
        // In printed order, the invoices' own lines first, so that the last adjustment is what was printed last.
        documents.sort_by_key(|issued| (issued.document.body.month, &issued.document.invoice_id));
        for IssuedDocument { document, number, is_voided } in documents {
            let invoice_id = &document.invoice_id;
            // What was made by hand, or paid with a credit, is no part of what a month comes to: `draft/by_hand` and
            // `draft/credit` keep the accounts.
            for line in document.body.lines.iter().filter(|line| is_of_month(line)) {
                let slot_id = match &line.adjusts {
                    None => document.slot_id.clone(),
                    Some(adjusts) if from.is_some_and(|from| adjusts.month < from) => continue,
                    Some(adjusts) => document.body.slot_of_month(adjusts.month),
                };
                let stored = |what: String| BillingError::stored("invoice", what);
                let slot = billed.slots.get_mut(&slot_id).ok_or_else(|| {
                    stored(format!("line {} of {invoice_id} adjusts what was never billed", line.line_number))
                })?;
                if line.adjusts.is_some() && *is_voided {
                    slot.voided_adjustment = Some(number);
                    continue;
                }
                slot.invoice_ids.insert(invoice_id);
                slot.add(line).ok_or_else(|| {
                    stored(format!("what was billed with line {} of {invoice_id} does not fit", line.line_number))
                })?;
            }
        }
        for (slot_id, slot) in &billed.slots {
            let month = slot.invoice.document.body.month;
            for subscription_id in slot.subscriptions() {
                billed.by_subscription.entry((month, subscription_id)).or_default().insert(slot_id.clone());
            }
        }
        Ok(billed)
    }

    /// The number of the invoice of another slot that billed a subscription for the month of this one.
    #[must_use]
    pub fn elsewhere(&self, slot_id: &SlotId, subscription_id: &SubscriptionId) -> Option<&'a str> {
        let month = self.slots.get(slot_id)?.invoice.document.body.month;
        let slots = self.by_subscription.get(&(month, subscription_id))?;
        let other = slots.iter().find(|other| *other != slot_id)?;
        Some(self.slots.get(other)?.invoice.number.as_str())
    }

    /// What was billed of a slot; none where it holds no invoice.
    #[must_use]
    pub fn slot(&self, slot_id: &SlotId) -> Option<&BilledSlot<'a>> {
        self.slots.get(slot_id)
    }

    /// Every slot that holds an invoice, in the order of months, partners and ids.
    #[must_use]
    pub fn slots(&self) -> Vec<(&SlotId, &BilledSlot<'a>)> {
        let mut slots: Vec<_> = self.slots.iter().collect();
        slots.sort_by_key(|(slot_id, slot)| {
            let body = &slot.invoice.document.body;
            (body.month, &body.partner_id, *slot_id)
        });
        slots
    }

    /// Whether every adjustment of a document is the difference to what is billed now: nothing else may have adjusted
    /// the same month since it was drafted, or both would bill it, and nobody may have voided what it adjusts.
    #[must_use]
    pub fn is_current(&self, document: &Document) -> bool {
        document.body.lines.iter().all(|line| {
            let Some(adjusts) = &line.adjusts else { return true };
            let slot = self.slots.get(&document.body.slot_of_month(adjusts.month));
            let is_same = |slot: &BilledSlot<'_>| slot.invoice_ids.iter().copied().eq(&adjusts.invoice_ids);
            slot.is_some_and(|slot| is_same(slot) && !slot.invoice.is_voided && slot.voided_adjustment.is_none())
        })
    }
}

impl<'a> BilledLine<'a> {
    fn of(line: &'a Line) -> Self {
        Self { line, figures: Figures::of(line) }
    }

    fn add(&mut self, line: &'a Line) -> Option<()> {
        self.line = line;
        self.figures = self.figures.plus(Figures::of(line))?;
        Some(())
    }
}

/// Whether a line is part of what its month comes to.
fn is_of_month(line: &Line) -> bool {
    line.by_hand.is_none() && line.credit.is_none()
}

/// Lines with those of one key as one, in the order in which the keys come first; none where a sum does not fit.
fn one_a_key(lines: &[Line]) -> Option<Vec<(LineKey<'_>, BilledLine<'_>)>> {
    let mut keyed: Vec<(LineKey<'_>, BilledLine<'_>)> = Vec::new();
    for line in lines.iter().filter(|line| is_of_month(line)) {
        match keyed.iter_mut().find(|(key, _)| *key == key_of(line)) {
            Some((_, sum)) => sum.add(line)?,
            None => keyed.push((key_of(line), BilledLine::of(line))),
        }
    }
    Some(keyed)
}

impl<'a> BilledSlot<'a> {
    fn add(&mut self, line: &'a Line) -> Option<()> {
        match self.lines.get_mut(&key_of(line)) {
            Some(billed) => billed.add(line),
            None => {
                self.lines.insert(key_of(line), BilledLine::of(line));
                Some(())
            }
        }
    }

    /// The number of a voided document that adjusted the month.
    #[must_use]
    pub fn voided_adjustment(&self) -> Option<&'a str> {
        self.voided_adjustment
    }

    /// The version of the plan that a line was billed by, where a line of now has another one.
    #[must_use]
    pub fn other_version(&self, now: &[Line]) -> Option<(&'a Line, u32)> {
        // Two versions of a tax rate may share a line's place, and a change of rates is told before.
        now.iter().filter(|line| line.tax.is_none()).find_map(|line| {
            let billed = self.lines.get(&key_of(line))?.line;
            (billed.plan_version != line.plan_version).then_some((billed, line.plan_version))
        })
    }

    /// Sum of what was billed for the month, in minor units; none where it does not fit.
    #[must_use]
    pub fn amount_minor(&self) -> Option<i64> {
        self.lines.values().try_fold(0_i64, |sum, line| sum.checked_add(line.figures.amount_minor))
    }

    /// The subscriptions that were billed.
    pub fn subscriptions(&self) -> impl Iterator<Item = &'a SubscriptionId> {
        self.lines.keys().map(|(subscription_id, ..)| *subscription_id)
    }

    /// What stands billed, by subscription, plan and price: amount in minor units and quantity.
    #[cfg(test)]
    pub(crate) fn figures(&self) -> impl Iterator<Item = (&'a SubscriptionId, &'a PlanId, &'a PriceId, i64, Decimal)> {
        self.lines.iter().map(|((subscription, plan, price, ..), line)| {
            (*subscription, *plan, *price, line.figures.amount_minor, line.figures.quantity)
        })
    }

    /// The lines by which the month, as it comes to now, differs from what was billed: amount and quantity are now −
    /// billed, each amount once rounded, so that the difference is exact. In the order of today's lines, then those
    /// that are not billed any more. They have no line numbers yet.
    ///
    /// # Errors
    /// In words, where a difference does not fit.
    pub fn differences(&self, now: &[Line]) -> Result<Vec<Line>, String> {
        let month = self.invoice.document.body.month;
        let mut left = self.lines.clone();
        let mut differences = Vec::new();
        for (key, now) in one_a_key(now).ok_or_else(|| format!("what {month} comes to now does not fit"))? {
            let billed = left.remove(&key);
            let billed = billed.map_or_else(Figures::default, |billed| billed.figures);
            let usage = now.line.usage.clone();
            let between = self.line_between(now.line, billed, now.figures)?;
            differences.push(Line { usage, ..between });
        }
        let gone = self.lines.keys().filter_map(|key| left.get(key));
        for billed in gone {
            let working = Working { exact: "0".to_owned(), ..Working::default() };
            differences.push(Line { working, ..self.line_between(billed.line, billed.figures, Figures::default())? });
        }
        differences.retain(|line| Figures::of(line) != Figures::default());
        for line in &mut differences {
            line.description = format!("{} (adjustment of {month})", described(line, month));
        }
        Ok(differences)
    }

    fn line_between(&self, line: &Line, billed: Figures, now: Figures) -> Result<Line, String> {
        let month = self.invoice.document.body.month;
        let too_big = || format!("the adjustment of {month} for price {} does not fit", line.price_id);
        let adjusts = Adjusts {
            billed_amount_minor: billed.amount_minor,
            billed_quantity: billed.quantity,
            invoice_ids: self.invoice_ids.iter().copied().cloned().collect(),
            month,
            now_amount_minor: now.amount_minor,
            now_quantity: now.quantity,
        };
        let between = now.minus(billed).ok_or_else(too_big)?;
        // Where other lines contain it, or did when it was billed, the difference of that.
        let is_contained = |tax: &LineTax| tax.contained_minor.is_some() || between.contained_minor != 0;
        let tax = line
            .tax
            .clone()
            .map(|tax| LineTax { contained_minor: is_contained(&tax).then_some(between.contained_minor), ..tax });
        Ok(Line {
            adjusts: Some(adjusts),
            amount_minor: between.amount_minor,
            line_number: 0,
            quantity: between.quantity,
            tax,
            usage: Vec::new(),
            ..line.clone()
        })
    }
}

/// A description as the plan has it, also of a line that was an adjustment itself.
fn described(line: &Line, month: Month) -> &str {
    line.description.strip_suffix(&format!(" (adjustment of {month})")).unwrap_or(&line.description)
}
