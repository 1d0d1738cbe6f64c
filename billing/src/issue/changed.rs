//! Issued invoices of which today's data say something else. Pure.
//!
//! Takes what a month comes to now, its stored documents and what the slots hold; gives each issued invoice whose slot
//! would be billed otherwise today: by other lines, by another total, or not at all. An issued invoice stays as it is
//! (I5), so nothing of this is billed; it is told, never dropped in silence (I9).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tollbook_schemas::id::{InvoiceId, PartnerId, SlotId};
use tollbook_schemas::money::Money;

use super::Slots;
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
    /// What it bills.
    pub issued: Money,
    /// What its slot would bill today; 0 where nothing would be billed there any more.
    pub today_minor: i64,
    /// Lines that are there today and were not issued so, and issued ones that are not there so today.
    pub line_count: usize,
}

impl ChangedSinceIssue {
    /// What today's document bills more than the invoice, in minor units; below 0 where it bills less.
    #[must_use]
    pub fn difference_minor(&self) -> i64 {
        self.today_minor.saturating_sub(self.issued.minor)
    }
}

impl fmt::Display for ChangedSinceIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let money = |minor| Money { minor, currency: self.issued.currency };
        let (more, word) = match self.difference_minor() {
            less @ ..0 => (less.saturating_neg(), "less"),
            more => (more, "more"),
        };
        write!(
            f,
            "changed since issue: today it would be {}, {} {word}, by {} other lines; nothing of that is billed",
            money(self.today_minor),
            money(more),
            self.line_count
        )
    }
}

/// Compares a month as it is now with what was issued. A partner that is blocked now is told as such, and not here:
/// nobody knows what it would be billed.
#[must_use]
pub fn changed_since_issue(
    drafted: &Drafted,
    stored: &BTreeMap<InvoiceId, Document>,
    slots: &Slots,
) -> Vec<ChangedSinceIssue> {
    let blocked: BTreeSet<&PartnerId> = drafted.blocked.iter().map(|blocked| &blocked.partner_id).collect();
    let today: BTreeMap<&SlotId, &Document> = drafted.documents.iter().map(|one| (&one.slot_id, one)).collect();
    let mut changed = Vec::new();
    for invoice in stored.values() {
        let Some(issued) = slots.issued_in(&invoice.slot_id).filter(|event| event.invoice_id == invoice.invoice_id)
        else {
            continue;
        };
        if blocked.contains(&invoice.body.partner_id) {
            continue;
        }
        let now = today.get(&invoice.slot_id);
        let line_count = differing(&invoice.body.lines, now.map_or(&[], |document| &document.body.lines));
        let today_minor = now.map_or(0, |document| document.body.total_minor);
        if line_count > 0 || today_minor != invoice.body.total_minor {
            changed.push(ChangedSinceIssue {
                partner_id: invoice.body.partner_id.clone(),
                invoice_id: invoice.invoice_id.clone(),
                number: issued.number.clone().unwrap_or_default(),
                issued: invoice.total(),
                today_minor,
                line_count,
            });
        }
    }
    changed.sort_by(|a, b| (&a.partner_id, &a.invoice_id).cmp(&(&b.partner_id, &b.invoice_id)));
    changed
}

/// Lines of one side without an equal on the other; a line that changed counts once.
fn differing(issued: &[Line], today: &[Line]) -> usize {
    let mut left: Vec<&Line> = issued.iter().collect();
    let mut new = 0;
    for line in today {
        match left.iter().position(|other| bills_the_same(other, line)) {
            Some(at) => {
                left.swap_remove(at);
            }
            None => new += 1,
        }
    }
    left.len().max(new)
}

/// Whether two lines bill the same: the words, the way it was computed and the slices behind it may differ.
fn bills_the_same(one: &Line, other: &Line) -> bool {
    let billed = |line: &Line| (line.amount_minor, line.quantity, line.span_start, line.span_end);
    one.subscription_id == other.subscription_id
        && one.plan_id == other.plan_id
        && one.price_id == other.price_id
        && one.meter_id == other.meter_id
        && billed(one) == billed(other)
}
