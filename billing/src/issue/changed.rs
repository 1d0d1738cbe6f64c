//! Issued invoices of which today's data say something else. Pure.
//!
//! Takes what a month comes to now and what was billed of it; gives each issued invoice whose slot would be billed
//! otherwise today, after every adjustment that was issued: by other lines, by another total, or not at all. An issued
//! invoice stays as it is (I5): the next document of a later month bills the difference (`draft::adjust`). Until then
//! it is told, never dropped in silence (I9).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tollbook_schemas::id::{InvoiceId, PartnerId, SlotId};
use tollbook_schemas::money::Money;

use crate::billed::Billed;
use crate::document::{Document, Line};
use crate::draft::Drafted;

/// An issued invoice that would be another today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedSinceIssue {
    /// Partner.
    pub partner_id: PartnerId,
    /// The issued invoice.
    pub invoice_id: InvoiceId,
    /// Its number.
    pub number: String,
    /// What was billed for its month, adjustments included.
    pub billed: Money,
    /// What its slot would bill today; 0 where nothing would be billed there any more.
    pub today_minor: i64,
    /// Lines that differ.
    pub line_count: usize,
    /// Whether it was voided: nothing adjusts it then.
    pub is_voided: bool,
}

impl ChangedSinceIssue {
    /// What the month comes to more than was billed, in minor units; below 0 where it comes to less.
    #[must_use]
    pub fn difference_minor(&self) -> i64 {
        self.today_minor.saturating_sub(self.billed.minor)
    }
}

impl fmt::Display for ChangedSinceIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let money = |minor| Money { minor, currency: self.billed.currency };
        let difference = match self.difference_minor() {
            less @ ..0 => format!("{} less", money(less.saturating_neg())),
            0 => "the same".to_owned(),
            more => format!("{} more", money(more)),
        };
        let next = match self.is_voided {
            true => {
                "it was voided at Stripe, so nothing adjusts it: bill what its month comes to with `tollbook bill adjust`"
            }
            false => "the draft of a later month adjusts it",
        };
        write!(
            f,
            "changed since issue: today it would be {}, {difference}, by {} other lines; {next}",
            money(self.today_minor),
            self.line_count
        )
    }
}

/// Compares a month as it is now with what was billed of it. A partner that is blocked now is told as such, and not
/// here: nobody knows what it would be billed.
#[must_use]
pub fn changed_since_issue(drafted: &Drafted, billed: &Billed<'_>) -> Vec<ChangedSinceIssue> {
    let blocked: BTreeSet<&PartnerId> = drafted.blocked.iter().map(|blocked| &blocked.partner_id).collect();
    let today: BTreeMap<&SlotId, &Document> = drafted.documents.iter().map(|one| (&one.slot_id, one)).collect();
    let mut changed = Vec::new();
    for (slot_id, slot) in billed.slots() {
        let invoice = &slot.invoice.document;
        if invoice.body.month != drafted.month || blocked.contains(&invoice.body.partner_id) {
            continue;
        }
        // What the month bills of itself: today's document may adjust earlier months beside it.
        let lines = today.get(slot_id).map_or(&[][..], |document| &document.body.lines);
        let lines: Vec<Line> =
            lines.iter().filter(|line| line.adjusts.is_none() && line.credit.is_none()).cloned().collect();
        let Ok(differences) = slot.differences(&lines) else { continue };
        let today_minor = lines.iter().map(|line| line.amount_minor).fold(0, i64::saturating_add);
        if !differences.is_empty() {
            changed.push(ChangedSinceIssue {
                partner_id: invoice.body.partner_id.clone(),
                invoice_id: invoice.invoice_id.clone(),
                number: slot.invoice.number.clone(),
                billed: Money { minor: slot.amount_minor().unwrap_or(0), currency: invoice.body.currency },
                today_minor,
                line_count: differences.len(),
                is_voided: slot.invoice.is_voided,
            });
        }
    }
    changed.sort_by(|a, b| (&a.partner_id, &a.invoice_id).cmp(&(&b.partner_id, &b.invoice_id)));
    changed
}
