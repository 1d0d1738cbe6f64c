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

use crate::document::{Adjusts, Document, Line};
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

/// What makes a line of today and a billed one the same.
type LineKey<'a> = (&'a SubscriptionId, &'a PlanId, &'a PriceId, DateTime<Utc>);

fn key_of(line: &Line) -> LineKey<'_> {
    (&line.subscription_id, &line.plan_id, &line.price_id, line.span_start)
}

/// A billed line as it stands after every adjustment.
#[derive(Debug, Clone, Copy)]
struct BilledLine<'a> {
    /// As it was printed last.
    line: &'a Line,
    amount_minor: i64,
    quantity: Decimal,
}

/// One issued invoice and what was adjusted of its month.
#[derive(Debug, Clone)]
pub struct BilledSlot<'a> {
    /// The invoice that closed the slot.
    pub invoice: &'a IssuedDocument,
    /// The documents that billed the month: the invoice, and what adjusted it.
    invoice_ids: BTreeSet<&'a InvoiceId>,
    lines: BTreeMap<LineKey<'a>, BilledLine<'a>>,
}

/// All slots that hold an invoice.
#[derive(Debug, Clone, Default)]
pub struct Billed<'a> {
    slots: BTreeMap<SlotId, BilledSlot<'a>>,
}

impl<'a> Billed<'a> {
    /// Folds issued documents; their order does not matter. Where they are those from a month on, what adjusts an earlier
    /// one is left out, as that is.
    ///
    /// # Errors
    /// [`BillingError::Stored`] where amounts do not fit, or a month was adjusted that was never billed.
    pub fn fold(issued: &'a [IssuedDocument], from: Option<Month>) -> Result<Self, BillingError> {
        let mut billed = Self::default();
        for invoice in issued.iter().filter(|issued| issued.document.body.kind.is_invoice()) {
            let slot = BilledSlot {
                invoice,
                invoice_ids: BTreeSet::from([&invoice.document.invoice_id]),
                lines: BTreeMap::new(),
            };
            billed.slots.insert(invoice.document.slot_id.clone(), slot);
        }
        // In printed order, the invoices' own lines first, so that the last adjustment is what was printed last.
        let mut documents: Vec<&Document> = issued.iter().map(|issued| &issued.document).collect();
        documents.sort_by_key(|document| (document.body.month, &document.invoice_id));
        for document in documents {
            let invoice_id = &document.invoice_id;
            for line in &document.body.lines {
                let slot_id = match &line.adjusts {
                    None => document.slot_id.clone(),
                    Some(adjusts) if from.is_some_and(|from| adjusts.month < from) => continue,
                    Some(adjusts) => document.body.slot_of_month(adjusts.month),
                };
                let stored = |what: String| BillingError::stored("invoice", what);
                let slot = billed.slots.get_mut(&slot_id).ok_or_else(|| {
                    stored(format!("line {} of {invoice_id} adjusts what was never billed", line.line_number))
                })?;
                slot.invoice_ids.insert(invoice_id);
                slot.add(line).ok_or_else(|| {
                    stored(format!("what was billed with line {} of {invoice_id} does not fit", line.line_number))
                })?;
            }
        }
        Ok(billed)
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
    /// the same month since it was drafted, or both would bill it.
    #[must_use]
    pub fn is_current(&self, document: &Document) -> bool {
        document.body.lines.iter().all(|line| {
            let Some(adjusts) = &line.adjusts else { return true };
            let slot = self.slots.get(&document.body.slot_of_month(adjusts.month));
            slot.is_some_and(|slot| slot.invoice_ids.iter().copied().eq(&adjusts.invoice_ids))
        })
    }
}

impl<'a> BilledLine<'a> {
    fn of(line: &'a Line) -> Self {
        Self { line, amount_minor: line.amount_minor, quantity: line.quantity }
    }

    fn add(&mut self, line: &'a Line) -> Option<()> {
        self.line = line;
        self.amount_minor = self.amount_minor.checked_add(line.amount_minor)?;
        self.quantity = self.quantity.checked_add(line.quantity).ok()?;
        Some(())
    }
}

/// Lines with those of one key as one, in the order in which the keys come first; none where a sum does not fit.
fn one_a_key(lines: &[Line]) -> Option<Vec<(LineKey<'_>, BilledLine<'_>)>> {
    let mut keyed: Vec<(LineKey<'_>, BilledLine<'_>)> = Vec::new();
    for line in lines {
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

    /// Sum of what was billed for the month, in minor units; none where it does not fit.
    #[must_use]
    pub fn amount_minor(&self) -> Option<i64> {
        self.lines.values().try_fold(0_i64, |sum, line| sum.checked_add(line.amount_minor))
    }

    /// The subscriptions that were billed.
    pub fn subscriptions(&self) -> impl Iterator<Item = &'a SubscriptionId> {
        self.lines.keys().map(|(subscription_id, ..)| *subscription_id)
    }

    /// What stands billed, by subscription and price: amount in minor units and quantity.
    #[cfg(test)]
    pub(crate) fn figures(&self) -> impl Iterator<Item = (&'a SubscriptionId, &'a PriceId, i64, Decimal)> {
        self.lines
            .iter()
            .map(|((subscription, _, price, _), line)| (*subscription, *price, line.amount_minor, line.quantity))
    }

    /// The lines by which the month, as it comes to now, differs from what was billed: amount and quantity are now −
    /// billed, each amount once rounded, so that the difference is exact. In the order of today's lines, then those that
    /// are not billed any more. They have no line numbers yet.
    ///
    /// # Errors
    /// In words, where a difference does not fit.
    pub fn differences(&self, now: &[Line]) -> Result<Vec<Line>, String> {
        let month = self.invoice.document.body.month;
        let mut left = self.lines.clone();
        let mut differences = Vec::new();
        for (key, now) in one_a_key(now).ok_or_else(|| format!("what {month} comes to now does not fit"))? {
            let billed = left.remove(&key);
            let billed = billed.map_or((0, Decimal::ZERO), |billed| (billed.amount_minor, billed.quantity));
            let usage = now.line.usage.clone();
            let between = self.line_between(now.line, billed, (now.amount_minor, now.quantity))?;
            differences.push(Line { usage, ..between });
        }
        let gone = self.lines.keys().filter_map(|key| left.get(key));
        for billed in gone {
            let was = (billed.amount_minor, billed.quantity);
            let working = Working { exact: "0".to_owned(), ..Working::default() };
            differences.push(Line { working, ..self.line_between(billed.line, was, (0, Decimal::ZERO))? });
        }
        differences.retain(|line| line.amount_minor != 0 || line.quantity != Decimal::ZERO);
        for line in &mut differences {
            line.description = format!("{} (adjustment of {month})", described(line, month));
        }
        Ok(differences)
    }

    fn line_between(&self, line: &Line, billed: (i64, Decimal), now: (i64, Decimal)) -> Result<Line, String> {
        let month = self.invoice.document.body.month;
        let too_big = || format!("the adjustment of {month} for price {} does not fit", line.price_id);
        let adjusts = Adjusts {
            billed_amount_minor: billed.0,
            billed_quantity: billed.1,
            invoice_ids: self.invoice_ids.iter().copied().cloned().collect(),
            month,
            now_amount_minor: now.0,
            now_quantity: now.1,
        };
        Ok(Line {
            adjusts: Some(adjusts),
            amount_minor: now.0.checked_sub(billed.0).ok_or_else(too_big)?,
            line_number: 0,
            quantity: now.1.checked_sub(billed.1).map_err(|_| too_big())?,
            usage: Vec::new(),
            ..line.clone()
        })
    }
}

/// A description as the plan has it, also of a line that was an adjustment itself.
fn described(line: &Line, month: Month) -> &str {
    line.description.strip_suffix(&format!(" (adjustment of {month})")).unwrap_or(&line.description)
}
